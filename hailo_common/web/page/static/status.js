// How the service is: one line at the top, all of it behind a click, and what the other parts need to know.

import { address, get, key, Refused, SERVICE } from "./api.js";
import { button, el, fill, say, sheet } from "./dom.js";
import { knowsShapes } from "./examples.js";
import { askForKey } from "./key.js";
import { details, progress } from "./details.js";
import { languagePicker, number, percent, t } from "./words.js";

const CALM_S = 3;
const EAGER_S = 1;
const MOST_S = 15;
/** @typedef {"good" | "busy" | "warn" | "bad"} Colour */

export class Status {
  /** @param {HTMLElement} strip */
  constructor(strip) {
    /** @type {any} what `/v1/status` last said */
    this.report = null;
    /** @type {unknown} why it said nothing */
    this.error = null;
    this.failures = 0;
    /** @type {(() => void)[]} */
    this.listeners = [];
    this.watched = "";
    /** @type {((place: any) => void) | null} */
    this.onPlace = null;
    this.timer = 0;
    this.asking = false;
    this.known = "";
    this.told = "";
    /** What a newcomer should know of the model; it changes by itself, and nothing beside it has to. */
    this.about = el("div", { class: "about" });
    this.word = el("span", { class: "state" });
    this.facts = el("span", { class: "strip-facts" });
    this.queue = el("span", { class: "strip-queue" });
    this.light = el("span", { class: "light", "aria-hidden": "true" });
    const open = el("button", { type: "button", class: "strip-main", onclick: () => this.#open() },
      this.light, el("strong", { class: "strip-name" }, SERVICE), this.word, this.facts, this.queue,
      el("span", { class: "sr" }, t("status.open")));
    // What was shown while the modules came.
    strip.querySelector(".first")?.remove();
    strip.append(open, el("span", { class: "grow" }), button("pulse", t("status"), () => this.#open()), languagePicker());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.poll());
    this.poll();
  }

  /** What is loaded: `model`, `description`, `demo`; null before the first load. */
  get model() {
    return this.report?.model ? this.report : null;
  }

  /** @returns {any[]} of a service of several models, each with `name` and `state` */
  get models() {
    return this.report?.models ?? [];
  }

  /** The name to ask for; "" asks for whatever is there. */
  get name() {
    return this.models[0]?.name ?? this.report?.name ?? "";
  }

  /** @param {() => void} listener is called when another model is there, or the engine is in another phase */
  onModel(listener) {
    this.listeners.push(listener);
  }

  /**
   * Ask for the place of a waiting request, until it is no longer watched or another one is.
   * @param {string} id
   * @param {(place: any) => void} onPlace
   */
  watch(id, onPlace) {
    this.watched = id;
    this.onPlace = onPlace;
    this.#later(EAGER_S / 2);
  }

  /** @param {string} id of a request that is over; another one may be watched by now */
  unwatch(id) {
    if (this.watched !== id) return;
    this.watched = "";
    this.onPlace = null;
  }

  /** @param {Refused} error of another request: it may be that the service is away, or wants a key */
  suspect(error) {
    if (error.status === 0 || error.status === 401) this.poll();
  }

  /** @param {number} seconds_ */
  #later(seconds_) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.poll(), seconds_ * 1000);
  }

  async poll() {
    if (this.asking) return;
    this.asking = true;
    clearTimeout(this.timer);
    const before = this.error;
    try {
      this.report = await get(`v1/status${this.watched ? `?request=${this.watched}` : ""}`);
      this.error = null;
      this.failures = 0;
      this.onPlace?.(this.report.place);
    } catch (error) {
      this.error = error;
      this.failures += 1;
    }
    this.asking = false;
    this.#show();
    if (before && !this.error) say(t("state.back"));
    if (this.error instanceof Refused && this.error.status === 401) {
      if (!before || this.failures === 1) this.askKey(() => this.poll());
      return;
    }
    const wait = this.error ? Math.min(MOST_S, 2 ** (this.failures - 1)) : this.watched || this.#changes() ? EAGER_S : CALM_S;
    if (document.visibilityState === "visible") this.#later(wait);
  }

  /** Whether something is on its way that people wait for. */
  #changes() {
    return this.report?.engine.phase === "loading" || this.report?.model_source?.fetch?.total > 0;
  }

  /** @param {() => void} [then] */
  askKey(then = () => {}) {
    askForKey(() => {
      this.error = null;
      then();
      this.poll();
    });
  }

  #show() {
    const { word, colour } = this.#state();
    if (this.word.textContent !== word) this.word.textContent = word;
    this.light.className = `light ${colour}`;
    const report = this.error ? null : this.report;
    fill(this.facts, ...(report ? facts(report) : []));
    const waiting = report?.queue.waiting ?? 0;
    this.queue.textContent = report ? t("queue", { waiting }) : "";
    document.documentElement.dataset.state = colour;
    const known = JSON.stringify([this.report?.model, this.report?.description, this.report?.engine.phase, Boolean(this.error)]);
    const told = JSON.stringify([known, this.report?.model_source, this.report?.error, this.error instanceof Refused && this.error.status]);
    if (told !== this.told) fill(this.about, ...this.#about());
    this.told = told;
    if (known === this.known) return;
    this.known = known;
    for (const listener of this.listeners) listener();
  }

  /** @returns {{word: string, colour: Colour}} */
  #state() {
    if (this.error instanceof Refused && this.error.status === 401) return { word: t("state.key"), colour: "warn" };
    if (this.error) return { word: t("state.gone"), colour: "bad" };
    if (!this.report) return { word: t("state.asking"), colour: "busy" };
    const { status, engine, host, queue, model_source: source, code } = this.report;
    const fetch = source?.fetch;
    if (!this.report.model_loaded && fetch?.total) return { word: t("state.fetching", { share: percent(fetch.done / fetch.total) }), colour: "warn" };
    if (code) return { word: t("state.device"), colour: "bad" };
    if (engine.phase === "loading") return { word: t("state.loading"), colour: "busy" };
    if (engine.phase === "restarting") return { word: t("state.restarting"), colour: "warn" };
    if (status === "unhealthy") return { word: t("state.bad"), colour: "bad" };
    if (Object.values(host.throttling).some(Boolean)) return { word: t("state.slow"), colour: "warn" };
    if (host.drained) return { word: t("state.drained"), colour: "warn" };
    if (queue.running) return { word: t("state.working"), colour: "busy" };
    return { word: t("state.ready"), colour: status === "degraded" ? "warn" : "good" };
  }

  #about() {
    const report = this.report;
    if (this.error) return [el("p", { class: "notice" }, t(this.error instanceof Refused && this.error.status === 401 ? "key.wanted" : "state.gone.more"))];
    if (!report) return [];
    const told = [];
    if (report.demo) told.push(el("p", { class: "notice" }, knowsShapes(report) ? t("demo.shapes") : t("demo.other", { what: report.description })));
    const fetch = report.model_source?.fetch;
    if (fetch && !fetch.problem && fetch.total) told.push(progress(fetch));
    else if (fetch?.problem) told.push(el("p", { class: "notice" }, t("fetch.problem", { model: fetch.model, problem: fetch.problem })));
    else if (report.demo || (!report.model && report.model_source?.awaits)) told.push(el("p", { class: "muted" }, t("fetch.how"), " ", el("code", { class: "command" }, "sudo hailo-ctl models fetch")));
    if (!report.model_loaded && report.error) told.push(el("p", { class: "notice", dir: "auto" }, report.error));
    return told;
  }

  #open() {
    const { dialog, body } = sheet(t("status"), t("close"));
    const shown = details(this);
    body.append(shown.root);
    const timer = setInterval(shown.refresh, 2000);
    dialog.addEventListener("close", () => clearInterval(timer));
  }

  /** The places that lead on: the API's page, the other way to the service. */
  links() {
    return [
      this.report?.docs && el("a", { href: address("docs"), target: "_blank", rel: "noreferrer" }, t("docs")),
      key.get() && button("key", t("key.forget"), () => {
        key.forget();
        location.reload();
      }, { text: true }),
    ];
  }
}

/** @param {any} report */
function facts(report) {
  const backends = [...new Set(report.stages.map((/** @type {any} */ stage) => stage.backend))].join(" + ");
  const degrees = [...(report.chip_temperature_c ?? []), report.host.temperature_c].filter((each) => typeof each === "number");
  return [
    report.model && el("span", { class: "fact-model" }, report.model),
    backends && el("span", { class: "fact-backend" }, backends),
    degrees.length > 0 && el("span", { class: "fact-heat" }, `${number(Math.max(...degrees), 0)} °C`),
  ];
}
