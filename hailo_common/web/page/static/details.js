// All of the status: stages with their reasons, queue, machine, last requests, models on this machine.

import { get } from "./api.js";
import { el, fill } from "./dom.js";
import { bytes, clock, minutes, number, percent, t } from "./words.js";

/**
 * @param {import("./status.js").Status} status
 */
export function details(status) {
  const now = el("div", {});
  const models = el("div", {});
  const root = el("div", { class: "details" }, now, models, el("div", { class: "row" }, ...status.links()));
  const refresh = () => fill(now, ...(status.report ? [model(status.report), stages(status.report), machine(status.report), requests(status.report)] : [el("p", {}, t("state.gone.more"))]));
  refresh();
  get("v1/status/models").then(({ models: rows }) => fill(models, ...known(rows)), () => {});
  return { root, refresh };
}

/** @type {(title: string, ...children: import("./dom.js").Child[]) => HTMLElement} */
function part(title, ...children) {
  return el("section", {}, el("h3", {}, title), ...children);
}

/** @param {[string, import("./dom.js").Child][]} pairs */
function list(pairs) {
  return el("dl", {}, ...pairs.filter(([, value]) => value).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

/** @type {(caption: string, heads: string[], rows: import("./dom.js").Child[][]) => HTMLElement} */
function table(caption, heads, rows) {
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, el("table", {}, el("caption", { class: "sr" }, caption),
    el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))),
    el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map((cell) => el("td", {}, cell)))))));
}

/** @param {any} report */
function model(report) {
  const { queue } = report;
  return part(t("model"), list([
    [t("model"), report.model],
    [t("about"), report.description],
    [t("version"), report.version],
    [t("queue.title"), t("queue.more", { running: queue.running, waiting: queue.waiting, size: queue.size })],
    [t("uptime"), t("uptime.value", { hours: number(report.uptime_seconds / 3600, 1) })],
    [t("trouble"), report.error ?? report.note],
    [t("awaits"), report.model_source?.awaits],
  ]));
}

/** @param {any} report */
function stages(report) {
  const rows = report.stages.map((/** @type {any} */ stage) => [stage.name, stage.backend, stage.reason]);
  return rows.length > 0 && part(t("stages"), table(t("stages"), [t("stage"), t("backend"), t("reason")], rows));
}

/** @param {any} report */
function machine({ host, memory_mb: memory, chip_temperature_c: chip, hailo_device: device }) {
  const slowed = Object.entries(host.throttling).filter(([, now]) => now).map(([name]) => t(`slow.${name}`));
  const degrees = (/** @type {number} */ value) => `${number(value, 0)} °C`;
  return part(t("machine"), list([
    [t("heat"), typeof host.temperature_c === "number" ? degrees(host.temperature_c) : ""],
    [t("heat.chip"), chip?.map(degrees).join(", ")],
    [t("slowed"), slowed.join(", ")],
    [t("hailo"), t(device === "connected" ? "hailo.there" : "hailo.none")],
    ...Object.entries(memory).map(([name, size]) => /** @type {[string, string]} */ ([t("memory", { name }), bytes(Number(size) * 1e6)])),
  ]));
}

/** @param {any} report */
function requests({ requests: rows }) {
  if (!rows.length) return part(t("requests"), el("p", { class: "muted" }, t("requests.none")));
  const cells = rows.slice(0, 20).map((/** @type {any} */ each) => [clock(each.at), each.endpoint, String(each.status), `${number(each.ms, 0)} ms`, each.tokens === null ? "–" : String(each.tokens)]);
  return part(t("requests"), el("p", { class: "muted" }, t("requests.more")),
    table(t("requests"), [t("time"), t("kind"), t("status.code"), t("took"), t("tokens")], cells));
}

/** @param {any[]} rows */
function known(rows) {
  if (!rows.length) return [];
  const cells = rows.map((row) => [row.name, row.progress?.total ? progress({ model: row.name, ...row.progress }) : t(`model.${row.state}`), bytes(row.bytes), row.wanted]);
  return [part(t("models"), table(t("models"), [t("model"), t("state"), t("size"), t("wanted")], cells))];
}

/** @param {{model: string, done: number, total: number, left_s: number | null}} fetch */
export function progress({ model, done, total, left_s: left }) {
  const rate = left ? t("fetch.rate", { rate: bytes((total - done) / left), minutes: minutes(left) }) : "";
  return el("div", { class: "fetching" },
    el("p", {}, t("fetch.now", { model, share: percent(done / total), size: bytes(total) }), " ", rate),
    el("progress", { max: total, value: done, "aria-label": t("fetch.label", { model }) }));
}
