// A box on the picture: drawn with mouse or finger, moved and sized with the arrow keys.

import { el, say } from "./dom.js";
import { percent, t } from "./words.js";

/** @typedef {[x: number, y: number, width: number, height: number]} Box in shares of the picture's sides */

/** What a key moves, and the least that a box has of a side. */
const STEP = 0.02;
/** @type {Record<string, [number, number]>} */
const ARROWS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

/** @type {(value: number, least: number, most: number) => number} */
const within = (value, least, most) => Math.min(Math.max(value, least), most);

export class Region {
  shown = el("div", { class: "region-box" });

  /**
   * @param {string} how the id of what says how it is done
   * @param {() => void} onDrawn is called for each box that somebody is done with
   */
  constructor(how, onDrawn) {
    this.onDrawn = onDrawn;
    /** @type {[number, number] | null} where the pointer went down */
    this.from = null;
    /** @type {Box} */
    this.place = [0.25, 0.25, 0.5, 0.5];
    this.before = this.place;
    this.root = el("div", { class: "region", tabindex: 0, role: "application", "aria-label": t("region"), "aria-describedby": how }, this.shown);
    this.root.addEventListener("pointerdown", (event) => this.#down(event));
    this.root.addEventListener("pointermove", (event) => this.#stretch(event));
    this.root.addEventListener("pointerup", (event) => this.#up(event));
    this.root.addEventListener("pointercancel", () => this.#cancel());
    this.root.addEventListener("keydown", (event) => this.#key(event));
    this.#set(this.place);
  }

  /** Left, top, right and bottom. */
  get corners() {
    const [x, y, width, height] = this.place;
    return [x, y, x + width, y + height];
  }

  /** @param {Box} place */
  #set(place) {
    this.place = place;
    ["left", "top", "width", "height"].forEach((name, index) => this.shown.style.setProperty(name, `${100 * (place[index] ?? 0)}%`));
  }

  /** @type {(event: PointerEvent) => [number, number]} */
  #point({ clientX, clientY }) {
    const { left, top, width, height } = this.root.getBoundingClientRect();
    return [within((clientX - left) / width, 0, 1), within((clientY - top) / height, 0, 1)];
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if (event.button || !event.isPrimary) return;
    this.root.setPointerCapture(event.pointerId);
    this.before = this.place;
    this.from = this.#point(event);
  }

  /** @param {PointerEvent} event */
  #stretch(event) {
    if (!this.from || !event.isPrimary) return;
    const [[left, top], [x, y]] = [this.from, this.#point(event)];
    this.#set([Math.min(left, x), Math.min(top, y), Math.abs(x - left), Math.abs(y - top)]);
  }

  /** @param {PointerEvent} event */
  #up(event) {
    if (!this.from || !event.isPrimary) return;
    this.#stretch(event);
    this.from = null;
    let [x, y, width, height] = this.place;
    if (width < STEP && height < STEP) {
      // Hardly drawn, it was a tap: the box that was there goes to it.
      [, , width, height] = this.before;
      [x, y] = [x - width / 2, y - height / 2];
    }
    [width, height] = [Math.max(STEP, width), Math.max(STEP, height)];
    this.#set([within(x, 0, 1 - width), within(y, 0, 1 - height), width, height]);
    this.onDrawn();
  }

  #cancel() {
    if (this.from) this.#set(this.before);
    this.from = null;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const arrow = ARROWS[event.key];
    if (event.key === "Enter") this.onDrawn();
    if (!arrow || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const [[dx, dy], [x, y, width, height]] = [arrow, this.place];
    if (event.shiftKey) this.#set([x, y, within(width + dx, STEP, 1 - x), within(height + dy, STEP, 1 - y)]);
    else this.#set([within(x + dx, 0, 1 - width), within(y + dy, 0, 1 - height), width, height]);
    const [left = "", top = "", right = "", bottom = ""] = this.corners.map(percent);
    say(t("region.at", { left, top, right, bottom }));
  }
}
