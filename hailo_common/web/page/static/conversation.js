// hailo-vision: pictures, a question, an answer that comes as it is made, and what it took.

import { Live, measured, messages } from "./answer.js";
import { postStream, Refused, requestId } from "./api.js";
import { photograph } from "./camera.js";
import { copy, showCode } from "./code.js";
import { button, el, fill, say, showBusy } from "./dom.js";
import { cards, inItsWords, questionsFor } from "./examples.js";
import { problem, trouble } from "./problems.js";
import * as history from "./history.js";
import { choose, listen, MOST_PICTURES, take } from "./pictures.js";
import { showSeen } from "./seen.js";
import { Settings } from "./settings.js";
import { Stage } from "./stage.js";
import { t } from "./words.js";

/** @typedef {import("./pictures.js").Picture} Picture */
/**
 * @typedef {object} Turn
 * @property {"user" | "assistant"} role
 * @property {string} text
 * @property {Picture[]} pictures
 * @property {"waiting" | "streaming" | "done" | "stopped" | "failed"} state
 * @property {any} facts of an answer: `usage`, `performance`, `finish`
 * @property {unknown} [error]
 */

export class Conversation {
  input = el("textarea", { rows: 1, id: "question", placeholder: t("ask.placeholder"), "aria-label": t("ask.label"), enterkeyhint: "send" });
  complaint = el("div", { class: "complaint", role: "alert" });
  suggestions = el("div", { class: "suggestions" });
  go = button("send", t("ask.button"), () => (this.running ? this.stop() : this.ask()), { text: true, class: "button main-button go" });
  fresh = button("trash", t("new"), () => this.clear());
  welcome = el("div", { class: "welcome" });

  /**
   * @param {HTMLElement} root
   * @param {import("./status.js").Status} status
   */
  constructor(root, status) {
    this.status = status;
    /** @type {Turn[]} */
    this.turns = [];
    /** @type {Picture[]} */
    this.pending = [];
    /** @type {AbortController | null} */
    this.running = null;
    this.settings = new Settings(status);
    this.stage = new Stage({
      onChoose: () => choose((files) => this.receive(files)),
      onCamera: () => photograph((picture) => this.#attach(picture), (files) => this.receive(files), (error) => this.#complain(error)),
      onRemove: (picture) => this.#detach(picture),
    });
    this.log = el("ol", { class: "turns", "aria-label": t("conversation") });
    this.talk = el("section", { class: "talk", tabindex: "-1", "aria-label": t("answers") }, this.welcome, this.log);
    root.classList.add("chat");
    root.append(this.stage.root, this.talk, this.#composer());
    listen((files) => this.receive(files));
    addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.running && !document.querySelector("dialog[open]")) this.stop();
    });
    status.onModel(() => this.#refresh());
    history.load().then((kept) => this.#restore(kept));
    this.#refresh();
    this.input.focus({ preventScroll: true });
  }

  #composer() {
    this.input.addEventListener("input", () => this.#grow());
    this.input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.ask();
    });
    const add = button("plus", t("picture.add"), () => choose((files) => this.receive(files)));
    const shoot = button("camera", t("camera.take"), () => this.stage.acts.onCamera(), { class: "round narrow-off" });
    return el("div", { class: "composer" },
      this.complaint,
      el("div", { class: "ask" }, add, shoot, this.input, this.go),
      el("div", { class: "under" }, this.suggestions, el("span", { class: "grow" }), this.settings.button, this.fresh,
        button("code", t("code"), () => this.#code(this.turns.length))));
  }

  #grow() {
    this.input.style.height = "auto";
    this.input.style.height = `${Math.min(this.input.scrollHeight, 200)}px`;
  }

  /** @param {File[]} files */
  async receive(files) {
    this.#complain(null);
    for (const file of files) {
      try {
        this.#attach(await take(file, file.name || t("picture")));
      } catch (error) {
        this.#complain(error);
      }
    }
  }

  /** @param {Picture} picture */
  #attach(picture) {
    if (this.pending.length >= MOST_PICTURES) {
      this.#complain(new Error(t("refused.many", { most: MOST_PICTURES })));
      return;
    }
    this.pending.push(picture);
    this.#refresh();
    say(t("picture.added", { name: picture.name }));
    this.input.focus({ preventScroll: true });
  }

  /** @param {Picture} picture */
  #detach(picture) {
    this.pending = this.pending.filter((each) => each !== picture);
    this.#refresh();
    this.input.focus();
  }

  /** @param {unknown} error */
  #complain(error) {
    this.complaint.textContent = error instanceof Error ? error.message : "";
  }

  /** The pictures that a question without new ones is about. */
  #current() {
    const asked = this.turns.findLast((turn) => turn.pictures.length)?.pictures ?? [];
    return this.pending.length ? this.pending : asked;
  }

  #refresh() {
    const model = this.status.model;
    this.stage.show(this.#current(), this.pending.length > 0);
    const begun = this.turns.length > 0 || this.pending.length > 0;
    this.talk.parentElement?.classList.toggle("begun", begun);
    this.fresh.hidden = !this.turns.length;
    this.welcome.hidden = this.turns.length > 0;
    fill(this.welcome, ...(this.pending.length ? [el("p", { class: "muted" }, t("ask.now"))] : this.#greeting()));
    const tries = begun ? questionsFor(model) : [];
    fill(this.suggestions, ...tries.map((text) => el("button", { type: "button", class: "chip", onclick: () => this.#suggest(text) }, text)));
  }

  #greeting() {
    const begin = (/** @type {Picture} */ picture, /** @type {string} */ question) => {
      this.pending = [picture];
      this.input.value = question;
      this.ask();
    };
    return [
      el("h2", { class: "title" }, t("hello.vision")),
      el("p", { class: "muted" }, t("hello.more")),
      this.status.about,
      cards(this.status, begin, true),
    ];
  }

  /** @param {string} text */
  #suggest(text) {
    this.input.value = text;
    this.ask();
  }

  /** Ask what stands in the field about the pictures that are there. */
  async ask() {
    if (this.running) return;
    const text = this.input.value.trim() || (this.pending.length ? this.#first() : "");
    if (!text) {
      this.input.focus();
      return;
    }
    this.#complain(null);
    this.turns.push({ role: "user", text, pictures: this.pending, state: "done", facts: null });
    this.pending = [];
    this.input.value = "";
    this.#grow();
    await this.#answer();
  }

  #first() {
    return inItsWords(this.status.model, "ask.describe");
  }

  async #answer() {
    /** @type {Turn} */
    const turn = { role: "assistant", text: "", pictures: [], state: "waiting", facts: {} };
    const asked = this.turns.slice();
    this.turns.push(turn);
    this.#refresh();
    this.#draw();
    const shown = new Live(this.#nodeOf(turn), this.talk);
    const running = (this.running = new AbortController());
    const id = requestId();
    this.#busy(true);
    this.status.watch(id, (place) => shown.place(place));
    try {
      const body = { ...this.settings.body(), messages: await messages(asked, this.settings.system), stream: true, stream_options: { include_usage: true } };
      await postStream("v1/chat/completions", body, { signal: running.signal, id, onEvent: (event) => this.#take(turn, shown, event) });
      turn.state = "done";
    } catch (error) {
      turn.state = running.signal.aborted ? "stopped" : "failed";
      turn.error = error;
      if (error instanceof Refused) this.status.suspect(error);
    }
    this.running = null;
    this.status.unwatch(id);
    shown.flush();
    this.#busy(false);
    this.#draw();
    say(turn.state === "done" ? turn.text : turn.state === "stopped" ? t("stopped") : problem(turn.error).title);
    this.#keep();
  }

  /** @type {(turn: Turn, shown: Live, event: any) => void} a chunk of OpenAI's stream */
  #take(turn, shown, event) {
    const choice = event.choices?.[0];
    const text = choice?.delta?.content;
    if (text) {
      turn.state = "streaming";
      turn.text += text;
      shown.add(text);
    }
    if (choice?.finish_reason) turn.facts.finish = choice.finish_reason;
    if (event.performance) turn.facts.performance = event.performance;
    if (event.usage) turn.facts.usage = event.usage;
  }

  /** @param {boolean} busy */
  #busy(busy) {
    showBusy(this.go, busy, t(busy ? "stop" : "ask.button"));
    this.fresh.disabled = busy;
  }

  stop() {
    this.running?.abort();
  }

  async clear() {
    this.stop();
    this.turns = [];
    this.pending = [];
    await history.clear();
    this.#refresh();
    this.#draw();
    this.input.focus();
  }

  /** @param {Turn} turn */
  #nodeOf(turn) {
    return /** @type {HTMLLIElement} */ (this.log.children[this.turns.indexOf(turn)]);
  }

  #draw() {
    const last = this.turns.length - 1;
    fill(this.log, ...this.turns.map((turn, index) => (turn.role === "user" ? this.#question(turn, index) : this.#reply(turn, index, index === last))));
    this.talk.scrollTop = this.talk.scrollHeight;
  }

  /** @type {(turn: Turn, index: number) => HTMLElement} */
  #question(turn, index) {
    const thumbs = turn.pictures.map((picture) => el("img", { src: picture.url, alt: t("picture.alt", { name: picture.name }), class: "thumb" }));
    return el("li", { class: "turn question" },
      el("h2", { class: "who" }, t("you")),
      thumbs.length > 0 && el("div", { class: "thumbs" }, ...thumbs),
      el("p", { class: "text", dir: "auto" }, turn.text),
      !this.running && el("div", { class: "acts" }, button("edit", t("edit"), () => this.#edit(index))));
  }

  /** @type {(turn: Turn, index: number, last: boolean) => HTMLElement} */
  #reply(turn, index, last) {
    const open = turn.state === "waiting" || turn.state === "streaming";
    const text = el("p", { class: "text answer", dir: "auto" }, turn.text);
    const item = el("li", { class: `turn reply ${turn.state}`, "aria-busy": open }, el("h2", { class: "who" }, this.status.model?.model ?? t("model")), text);
    if (open) item.append(el("p", { class: "facts waiting-line" }, t("waiting")));
    else {
      if (turn.state === "failed") item.append(trouble(turn.error, this.status, () => this.#again(index), () => this.#anew()));
      item.append(this.#facts(turn, index, last));
    }
    return item;
  }

  /** @type {(turn: Turn, index: number, last: boolean) => HTMLElement} */
  #facts(turn, index, last) {
    const spoken = measured(turn);
    const pictured = this.turns.slice(0, index).some((each) => each.pictures.length);
    return el("div", { class: "facts" },
      el("span", { class: "measured" }, spoken),
      el("span", { class: "acts" },
        last && !this.running && button("again", t("repeat"), () => this.#again(index)),
        turn.text && button("copy", t("copy"), (event) => copy(turn.text, event)),
        button("code", t("code"), () => this.#code(index)),
        last && pictured && turn.state !== "failed" && button("eye", t("seen"), () => showSeen(this.#sent(index)))));
  }

  /** @param {number} index how many pictures were sent for the answer of that number */
  #sent(index) {
    return this.turns.slice(0, index).reduce((sum, turn) => sum + turn.pictures.length, 0);
  }

  /** @param {number} index */
  #again(index) {
    if (this.running) return;
    this.turns = this.turns.slice(0, index);
    this.#answer();
  }

  /** @param {number} index */
  #edit(index) {
    const turn = this.turns[index];
    if (!turn || this.running) return;
    this.turns = this.turns.slice(0, index);
    this.pending = turn.pictures;
    this.input.value = turn.text;
    this.#refresh();
    this.#draw();
    this.#grow();
    this.input.focus();
  }

  /** The same question in a new conversation: with its pictures and nothing of what went before. */
  #anew() {
    const question = this.turns.findLast((turn) => turn.role === "user");
    if (!question) return;
    this.turns = [{ ...question, pictures: this.#current() }];
    this.#answer();
  }

  /** @param {number} index */
  #code(index) {
    const asked = this.turns.slice(0, index).findLast((turn) => turn.role === "user");
    const text = asked?.text ?? (this.input.value.trim() || this.#first());
    showCode({ text, pictures: Math.max(1, this.#current().length), body: this.settings.body(), system: this.settings.system });
  }

  #keep() {
    const done = this.turns.filter((turn) => turn.state !== "failed");
    history.save(done.map(({ role, text, pictures, facts }) => ({
      role, text, facts, pictures: pictures.map(({ name, blob, width, height, note }) => ({ name, blob, width, height, note })),
    })));
  }

  /** @param {import("./history.js").KeptTurn[]} kept */
  #restore(kept) {
    if (this.turns.length || !kept.length) return;
    this.turns = kept.map((turn) => ({
      ...turn, state: "done", pictures: turn.pictures.map((picture) => ({ ...picture, url: URL.createObjectURL(picture.blob) })),
    }));
    this.#refresh();
    this.#draw();
  }
}
