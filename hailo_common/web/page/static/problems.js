// What went wrong, in words: what it is, what the service itself says, and what can be done.

import { Refused } from "./api.js";
import { button, el } from "./dom.js";
import { t } from "./words.js";

/** @typedef {"again" | "anew" | "key" | "none"} Act */

/** @type {Record<string, [string, Act]>} */
const KNOWN = {
  unreachable: ["trouble.gone", "again"],
  broken_off: ["trouble.broken", "again"],
  queue_full: ["trouble.full", "again"],
  context_length_exceeded: ["trouble.context", "anew"],
  invalid_api_key: ["trouble.key", "key"],
  unauthorized: ["trouble.key", "key"],
  unsupported_image_format: ["trouble.picture", "none"],
  image_decode_failed: ["trouble.picture", "none"],
  model_not_ready: ["trouble.loading", "again"],
  engine_lost: ["trouble.lost", "again"],
  engine_timeout: ["trouble.slow", "again"],
};

/** @type {(error: unknown) => {title: string, more: string, act: Act}} */
export function problem(error) {
  if (!(error instanceof Refused)) return { title: t("trouble"), more: error instanceof Error ? error.message : String(error), act: "again" };
  const [title, act] = KNOWN[error.code] ?? byStatus(error);
  const wait = error.retryAfter ? t("trouble.wait", { seconds: error.retryAfter }) : "";
  const more = error.status ? error.message : t("trouble.gone.more");
  return { title: t(title), more: [more, wait].filter(Boolean).join(" "), act };
}

/**
 * What went wrong as a box, with a button for what can be done.
 * @param {unknown} error
 * @param {import("./status.js").Status} status asks for a key
 * @param {() => unknown} again
 * @param {() => unknown} [anew] begins a conversation
 */
export function trouble(error, status, again, anew) {
  const { title, more, act } = problem(error);
  const acts = {
    again: () => button("again", t("try.again"), again, { text: true }),
    anew: () => (anew ? button("plus", t("anew"), anew, { text: true }) : acts.again()),
    key: () => button("key", t("key.enter"), () => status.askKey(again), { text: true }),
    none: () => null,
  };
  return el("div", { class: "trouble" }, el("strong", {}, title), el("p", { dir: "auto" }, more), acts[act]());
}

/** @type {(error: Refused) => [string, Act]} */
function byStatus({ status, code }) {
  if (status === 401) return ["trouble.key", "key"];
  if (code.startsWith("device_") || code.startsWith("hailort_") || code === "driver_mismatch") return ["trouble.device", "again"];
  if (code.includes("image") || code.includes("pixels")) return ["trouble.picture", "none"];
  if (status === 503) return ["trouble.busy", "again"];
  return status >= 500 || status === 200 ? ["trouble.failed", "again"] : ["trouble.refused", "none"];
}
