// Places over a picture: boxes, outlines and corners of texts, each with its label, in colours that keep apart.

import { el, svg } from "./dom.js";

/** Okabe and Ito's palette, which people who see colours differently can tell apart; black and grey left out. */
const COLOURS = ["#56b4e9", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#0072b2"];
/** With more than these, labels are shown one at a time. */
const MOST_LABELS = 8;

/** @typedef {{label: string, box?: number[], quad?: number[], polygons?: number[][]}} Found */

/** @param {number} index */
export const colourOf = (index) => COLOURS[index % COLOURS.length] ?? "#56b4e9";

/**
 * The outlines of a place, each a list of x and y in turns.
 * @param {Found} found
 * @returns {number[][]}
 */
function outlines({ box, quad, polygons }) {
  if (polygons) return polygons;
  if (quad) return [quad];
  if (!box) return [];
  const [x0 = 0, y0 = 0, x1 = 0, y1 = 0] = box;
  return [[x0, y0, x1, y0, x1, y1, x0, y1]];
}

export class Overlay {
  /**
   * @param {HTMLElement} frame what the picture lies in; it has the picture's own size on the page
   * @param {(index: number | null) => void} onPoint is told what the pointer is on
   */
  constructor(frame, onPoint) {
    this.frame = frame;
    this.onPoint = onPoint;
    /** @type {SVGElement[]} */
    this.marks = [];
    /** @type {HTMLElement[]} */
    this.labels = [];
    this.root = el("div", { class: "overlay", "aria-hidden": "true" });
    frame.querySelector("img, video")?.after(this.root);
  }

  /**
   * @param {Found[]} objects in pixels of a picture of this size
   * @param {number} width
   * @param {number} height
   */
  show(objects, width, height) {
    this.marks = objects.map((found, index) => this.#mark(found, index));
    this.labels = objects.map((found, index) => label(found, index, width, height));
    const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none" }, ...this.marks);
    this.root.classList.toggle("many", objects.length > MOST_LABELS);
    this.root.replaceChildren(drawing, ...this.labels);
  }

  /** @type {(found: Found, index: number) => SVGElement} */
  #mark(found, index) {
    const shapes = outlines(found).flatMap((points) => [
      svg("polygon", { points: points.join(" "), class: "halo" }),
      svg("polygon", { points: points.join(" "), class: "line", stroke: colourOf(index), fill: colourOf(index) }),
    ]);
    const group = svg("g", { class: "mark" }, ...shapes);
    group.addEventListener("pointerenter", () => this.onPoint(index));
    group.addEventListener("pointerleave", () => this.onPoint(null));
    group.addEventListener("click", () => this.onPoint(index));
    return group;
  }

  /** @param {number | null} chosen */
  highlight(chosen) {
    this.root.classList.toggle("chosen", chosen !== null);
    this.marks.forEach((mark, index) => mark.classList.toggle("on", index === chosen));
    this.labels.forEach((each, index) => each.classList.toggle("on", index === chosen));
  }
}

/** @type {(found: Found, index: number, width: number, height: number) => HTMLElement} */
function label(found, index, width, height) {
  const points = outlines(found).flat();
  const left = Math.min(...points.filter((_, each) => each % 2 === 0));
  const top = Math.min(...points.filter((_, each) => each % 2 === 1));
  const made = el("span", { class: "label", dir: "auto" }, found.label);
  made.style.left = `${(100 * left) / width}%`;
  made.style.top = `${(100 * top) / height}%`;
  made.style.background = colourOf(index);
  made.classList.toggle("below", top < height * 0.08);
  made.hidden = !found.label || !points.length;
  return made;
}
