// hailo-florence: a picture and a task; texts beside it, places over it, and a camera that is asked again and again.

import { placed } from "./answer.js";
import { get, postForm, Refused, requestId, SESSION } from "./api.js";
import { Camera, canSee, photograph } from "./camera.js";
import { FIRST, TASKS, textOf } from "./catalogue.js";
import { copy, showCode } from "./code.js";
import { button, el, fill, say, showBusy } from "./dom.js";
import { cards } from "./examples.js";
import { colourOf, Overlay } from "./overlay.js";
import { choose, listen, take } from "./pictures.js";
import { problem, trouble } from "./problems.js";
import { Region } from "./region.js";
import { showSeen } from "./seen.js";
import { Stage } from "./stage.js";
import { seconds, t } from "./words.js";

/** @typedef {import("./catalogue.js").Task} Task */
/** @typedef {import("./overlay.js").Found} Found */
/** @typedef {import("./pictures.js").Picture} Picture */
const LIVE_PAUSE_MS = 200;

export class Tasks {
  input = el("input", { type: "text", id: "question", autocomplete: "off", maxlength: 4000, enterkeyhint: "go" });
  what = el("span", { class: "what muted grow", id: "what" });
  region = new Region("what", () => this.#drawn());
  complaint = el("div", { class: "complaint", role: "alert" });
  row = el("div", { class: "task-row", role: "group", "aria-label": t("tasks") });
  go = button("send", t("run"), () => (this.running || this.camera ? this.#stop() : this.run()), { text: true, class: "button main-button go" });
  live = button("live", t("live"), () => this.#live(), { class: "round", hidden: !canSee });

  /**
   * @param {HTMLElement} root
   * @param {import("./status.js").Status} status
   */
  constructor(root, status) {
    this.status = status;
    this.root = root;
    /** @type {Picture | null} */
    this.picture = null;
    this.task = FIRST;
    /** @type {Map<string, string>} why a task of the model cannot be had, "" where it can */
    this.obstacles = new Map();
    /** @type {any} */
    this.answer = null;
    /** @type {AbortController | null} */
    this.running = null;
    /** @type {Camera | null} */
    this.camera = null;
    /** @type {Overlay | null} */
    this.overlay = null;
    this.stage = new Stage({
      onChoose: () => choose((files) => this.receive(files), { several: false }),
      onCamera: () => photograph((picture) => this.#attach(picture), (files) => this.receive(files), (error) => this.#complain(error)),
      onRemove: () => this.#reset(),
    });
    this.result = el("section", { class: "talk result", tabindex: "-1", "aria-label": t("answers") });
    root.classList.add("tasks");
    root.append(this.stage.root, this.result, this.#composer());
    listen((files) => this.receive(files));
    addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !document.querySelector("dialog[open]")) this.#stop();
    });
    status.onModel(() => this.#learn());
    this.#refresh();
  }

  #composer() {
    this.input.addEventListener("keydown", (event) => event.key === "Enter" && !event.isComposing && this.run());
    return el("div", { class: "composer" }, this.complaint, this.row,
      el("div", { class: "ask" },
        button("plus", t("picture.add"), this.stage.acts.onChoose),
        button("camera", t("camera.take"), this.stage.acts.onCamera, { class: "round" }), this.live, this.input, this.what,
        button("code", t("code"), () => this.#code()), this.go));
  }

  /** Ask what the model that is loaded now can do. */
  async #learn() {
    if (!this.answer) this.#show();
    try {
      const { tasks } = await get("v1/tasks");
      this.obstacles = new Map(tasks.map((/** @type {any} */ each) => [each.name, each.available ? "" : each.reason]));
    } catch {
      // Not loaded yet: the status says so, and this is asked again when it is.
    }
    if (this.task.box && !this.#offers(this.task)) {
      this.task = FIRST;
      this.#refresh();
    }
    this.#choices();
  }

  /** @param {Task} task */
  #offers(task) {
    return !task.box || this.obstacles.get(task.needs) === "";
  }

  #choices() {
    fill(this.row, ...TASKS.filter((task) => this.#offers(task)).map((task) => this.#choice(task)));
  }

  /** @param {File[]} files */
  async receive(files) {
    const file = files[0];
    if (!file) return;
    this.#complain(null);
    try {
      this.#attach(await take(file, file.name || t("picture")));
    } catch (error) {
      this.#complain(error);
    }
  }

  /** @param {Picture} picture */
  #attach(picture) {
    this.#stop();
    this.picture = picture;
    this.answer = null;
    this.#refresh();
    if (this.task.box) this.#ready();
    else if (this.task.input && !this.input.value.trim()) this.input.focus();
    else this.run();
  }

  /** Let a box be drawn. */
  #ready() {
    this.region.root.focus({ preventScroll: true });
  }

  /** Ask about the box that was drawn; a camera asks by itself. */
  #drawn() {
    if (this.camera) return;
    this.#stop();
    this.run();
  }

  #reset() {
    this.#stop();
    this.picture = null;
    this.answer = null;
    this.#refresh();
  }

  /** @param {unknown} error */
  #complain(error) {
    this.complaint.textContent = error instanceof Error ? error.message : "";
  }

  #refresh() {
    this.root.classList.toggle("begun", Boolean(this.picture || this.camera));
    if (!this.camera) this.stage.show(this.picture ? [this.picture] : [], Boolean(this.picture));
    const frame = /** @type {HTMLElement | null} */ (this.stage.root.querySelector(".frame"));
    this.overlay = frame ? new Overlay(frame, (index) => this.#point(index)) : null;
    if (this.task.box) this.overlay?.root.before(this.region.root);
    else this.region.root.remove();
    this.#choices();
    this.input.hidden = !this.task.input;
    this.what.hidden = Boolean(this.task.input);
    const words = t(this.task.box ? "region.how" : `task.${this.task.id}.${this.task.input ? "input" : "what"}`);
    this.what.textContent = this.input.placeholder = words;
    this.input.setAttribute("aria-label", words);
    this.go.disabled = !this.picture && !this.camera;
    this.#show();
  }

  /** @param {Task} task */
  #choice(task) {
    const reason = this.obstacles.get(task.needs);
    const choose = () => {
      if (reason) {
        this.#complain(new Error(`${t("task.missing")} ${reason}`));
        return;
      }
      this.#complain(null);
      // An answer to the task before would come under the name of this one. A camera goes on by itself.
      if (!this.camera) this.#stop();
      this.task = task;
      this.#refresh();
      if (task.box) this.#ready();
      else if (task.input) this.input.focus();
      else if (this.picture && !this.camera) this.run();
    };
    const name = t(`task.${task.id}`);
    return el("button", { type: "button", class: "chip task", onclick: choose, "aria-pressed": task === this.task, "aria-disabled": Boolean(reason), title: reason || null }, name);
  }

  /** Do the task on the picture that is there. */
  async run() {
    if (!this.picture || this.running) return;
    if (this.task.input && !this.input.value.trim()) {
      this.input.focus();
      return;
    }
    const running = (this.running = new AbortController());
    this.answer = { waiting: true };
    this.#busy();
    this.#show();
    const answer = await this.#ask(this.picture, running);
    if (this.running !== running) return;
    this.running = null;
    this.answer = answer;
    this.#busy();
    this.#show();
    say(answer.error ? problem(answer.error).title : (textOf(answer) || t("found", { count: answer.objects?.length ?? 0 })));
  }

  /** @type {(picture: Picture, running: AbortController) => Promise<any>} */
  async #ask(picture, running) {
    const { task } = this;
    const form = new FormData();
    for (const [name, value] of Object.entries(this.#fields())) form.set(name, value);
    form.set("stream", "true");
    // What has not changed before the camera is not described again.
    if (this.camera) form.set("camera", `page-${SESSION}`);
    form.set("image", picture.blob, picture.name);
    const id = requestId();
    this.status.watch(id, (place) => this.#place(place));
    try {
      const answer = await postForm(task.path, form, { signal: running.signal, id, onText: (text) => this.#grow(text) });
      // About a box in shares of the sides, places are told in them, too.
      const { width, height } = task.box ? { width: 1, height: 1 } : picture;
      return { ...answer, task, width, height };
    } catch (error) {
      if (error instanceof Refused) this.status.suspect(error);
      return running.signal.aborted ? { stopped: true } : { error };
    } finally {
      this.status.unwatch(id);
    }
  }

  /** @returns {Record<string, string>} */
  #fields() {
    const { input, box, fields } = this.task;
    if (box) return { ...fields, box: this.region.corners.map((each) => each.toFixed(4)).join(), normalised: "true" };
    return input ? { ...fields, [input]: this.input.value.trim() } : fields;
  }

  /** @param {{ahead: number, wait_s: number} | null} place */
  #place(place) {
    const line = this.result.querySelector(".waiting-line");
    if (line) line.textContent = placed(place);
  }

  /** @param {string} text the next piece of an answer that is not whole yet */
  #grow(text) {
    const growing = this.result.querySelector(".growing");
    if (growing) growing.textContent += text;
  }

  #stop() {
    this.running?.abort();
    this.running = null;
    if (this.answer?.waiting) this.answer = { stopped: true };
    if (this.camera) {
      this.camera.close();
      this.camera = null;
      this.#refresh();
    }
    this.#busy();
    this.#show();
  }

  #busy() {
    const busy = Boolean(this.running || this.camera);
    showBusy(this.go, busy, t(busy ? "stop" : "run"));
    this.go.disabled = !busy && !this.picture;
    this.live.setAttribute("aria-pressed", String(Boolean(this.camera)));
  }

  /** Look through the camera and ask again whenever the last answer is there. */
  async #live() {
    if (this.camera) {
      this.#stop();
      return;
    }
    this.#complain(null);
    try {
      this.#reset();
      const camera = (this.camera = await Camera.open());
      fill(this.stage.root, el("figure", { class: "figure" }, el("div", { class: "frame" }, camera.view)));
      this.stage.root.classList.remove("empty");
      this.#refresh();
      this.#busy();
      while (this.camera === camera) await this.#look(camera);
    } catch (error) {
      this.#complain(error);
      this.#stop();
    }
  }

  /** @param {Camera} camera */
  async #look(camera) {
    const picture = await camera.picture();
    const running = (this.running = new AbortController());
    const ready = !this.task.input || this.input.value.trim();
    const answer = ready ? await this.#ask(picture, running) : null;
    URL.revokeObjectURL(picture.url);
    if (this.camera !== camera) return;
    if (answer) {
      this.answer = answer;
      this.#show();
    }
    const pause = answer?.error instanceof Refused ? Math.max(1, answer.error.retryAfter) * 1000 : LIVE_PAUSE_MS;
    await new Promise((done) => setTimeout(done, pause));
  }

  #show() {
    const answer = this.answer;
    const objects = answer?.objects ?? [];
    this.overlay?.show(objects, answer?.width || 1, answer?.height || 1);
    if (!answer) fill(this.result, ...(this.picture || this.camera ? [el("p", { class: "muted" }, t(this.task.box ? "region.how" : "task.now"))] : this.#greeting()));
    else if (answer.waiting) fill(this.result, el("h2", { class: "who" }, t(`task.${this.task.id}`)), el("p", { class: "text answer growing", dir: "auto" }), el("p", { class: "facts waiting-line" }, t("waiting")));
    else if (answer.stopped) fill(this.result, el("p", { class: "facts" }, t("stopped")));
    else if (answer.error) fill(this.result, this.#trouble(answer.error));
    else fill(this.result, ...this.#found(answer, objects));
  }

  #greeting() {
    const begin = (/** @type {Picture} */ picture) => this.#attach(picture);
    return [el("h2", { class: "title" }, t("hello.florence")), el("p", { class: "muted" }, t("hello.more")), this.status.about, cards(this.status, begin, false)];
  }

  /** @type {(answer: any, objects: Found[]) => import("./dom.js").Child[]} */
  #found(answer, objects) {
    const text = textOf(answer);
    const list = objects.map((found, index) => this.#item(found, index));
    return [
      el("h2", { class: "who" }, t(`task.${answer.task.id}`)),
      text && el("p", { class: "text answer", dir: "auto" }, text),
      answer.objects && el("p", { class: "muted" }, t("found", { count: objects.length })),
      list.length > 0 && el("ul", { class: "found" }, ...list),
      this.#facts(answer, text || objects.map((each) => each.label).join("\n")),
    ];
  }

  /** @type {(found: Found, index: number) => HTMLElement} */
  #item(found, index) {
    const swatch = el("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = colourOf(index);
    const place = found.box ? found.box.map((each) => Math.round(each)).join(", ") : "";
    const item = el("button", { type: "button", class: "found-item", "aria-pressed": "false" },
      swatch, el("span", { dir: "auto", class: "found-label" }, found.label || t("unnamed")), el("span", { class: "muted mono" }, place));
    item.addEventListener("pointerenter", () => this.#point(index));
    item.addEventListener("pointerleave", () => this.#point(null));
    item.addEventListener("focus", () => this.#point(index));
    item.addEventListener("blur", () => this.#point(null));
    return el("li", {}, item);
  }

  /** @param {number | null} chosen */
  #point(chosen) {
    this.overlay?.highlight(chosen);
    this.result.querySelectorAll(".found-item").forEach((item, index) => {
      item.setAttribute("aria-pressed", String(index === chosen));
    });
  }

  /** @type {(answer: any, text: string) => HTMLElement} */
  #facts(answer, text) {
    const parts = [
      answer.finish_reason === "length" && t("cut"),
      seconds(answer.inference_time_ms / 1000),
      t("fact.count", { count: answer.token_count }),
      answer.cached && t("fact.known"),
      answer.unchanged && t("fact.unchanged"),
    ];
    return el("div", { class: "facts" },
      el("span", { class: "measured" }, parts.filter(Boolean).join(" · ")),
      el("span", { class: "acts" },
        !this.camera && button("again", t("repeat"), () => this.run()),
        button("copy", t("copy"), (event) => copy(text, event)),
        button("code", t("code"), () => this.#code()),
        !answer.unchanged && button("eye", t("seen"), () => showSeen(1))));
  }

  /** @param {unknown} error */
  #trouble(error) {
    return trouble(error, this.status, () => this.run());
  }

  #code() {
    showCode({ text: this.input.value.trim(), path: this.task.path, fields: this.#fields() });
  }
}
