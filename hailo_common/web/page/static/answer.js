// An answer while it comes, what it took, and the conversation as it is sent for one.

import { dataUrl } from "./pictures.js";
import { number, seconds, t } from "./words.js";

/** @param {{ahead: number, wait_s: number} | null} place of a request in the queue, null once it is worked on */
export function placed(place) {
  return place ? t(place.ahead ? "queue.place" : "queue.next", { place: place.ahead + 1, seconds: seconds(place.wait_s) }) : t("looking");
}

/** An answer while it comes: text is added once a frame, and nothing else on the page moves. */
export class Live {
  /**
   * @param {HTMLLIElement} item
   * @param {HTMLElement} scroller
   */
  constructor(item, scroller) {
    this.scroller = scroller;
    this.line = item.querySelector(".facts");
    this.text = document.createTextNode("");
    item.querySelector(".answer")?.replaceChildren(this.text);
    this.item = item;
    this.waiting = "";
    this.frame = 0;
  }

  /** @param {string} text */
  add(text) {
    this.waiting += text;
    this.item.classList.replace("waiting", "streaming");
    this.frame ||= requestAnimationFrame(() => this.flush());
  }

  flush() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    if (!this.waiting) return;
    const below = this.scroller.scrollHeight - this.scroller.scrollTop - this.scroller.clientHeight;
    this.text.appendData(this.waiting);
    this.waiting = "";
    if (this.line) this.line.textContent = t("streaming");
    if (below < 80) this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  /** @param {{ahead: number, wait_s: number} | null} place */
  place(place) {
    if (this.line && !this.text.length) this.line.textContent = placed(place);
  }
}

/**
 * The measured line of an answer, of numbers that the service counted.
 * @param {import("./conversation.js").Turn} turn
 */
export function measured(turn) {
  const { performance: took, usage, finish } = turn.facts ?? {};
  const parts = [];
  if (turn.state === "stopped") parts.push(t("stopped"));
  if (finish === "length") parts.push(t("cut"));
  if (took) {
    parts.push(t("fact.first", { seconds: seconds(took.time_to_first_token_ms / 1000) }));
    // A rate of two or three tokens says nothing.
    if (usage?.completion_tokens > 3) parts.push(t("fact.rate", { rate: number(took.tokens_per_second, 1) }));
  }
  if (usage) {
    const image = usage.prompt_tokens_details?.image_tokens ?? 0;
    const counts = { image, text: usage.prompt_tokens - image, answer: usage.completion_tokens };
    parts.push(t(image ? "fact.tokens" : "fact.tokens.text", counts));
    const cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
    if (took?.cached_pictures) parts.push(t("fact.known"));
    else if (cached) parts.push(t("fact.cached", { cached }));
  }
  return parts.join(" · ");
}

/** @type {(turns: import("./conversation.js").Turn[], system: string) => Promise<object[]>} */
export async function messages(turns, system) {
  const made = [];
  if (system) made.push({ role: "system", content: system });
  for (const { role, text, pictures } of turns) {
    const images = await Promise.all(pictures.map(async ({ blob }) => ({ type: "image_url", image_url: { url: await dataUrl(blob) } })));
    made.push({ role, content: images.length ? [...images, { type: "text", text }] : text });
  }
  return made;
}
