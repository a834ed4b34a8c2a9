// The pictures that are asked about, large, or where to put one.

import { button, el, fill } from "./dom.js";
import { t } from "./words.js";

/** @typedef {import("./pictures.js").Picture} Picture */

export class Stage {
  /**
   * @param {object} acts
   * @param {() => void} acts.onChoose
   * @param {() => void} acts.onCamera
   * @param {((picture: Picture) => void)} [acts.onRemove]
   */
  constructor(acts) {
    this.acts = acts;
    this.root = el("section", { class: "stage", "aria-label": t("pictures") });
    this.notes = el("p", { class: "note", role: "status" });
    this.show([], false);
  }

  /**
   * @param {Picture[]} pictures
   * @param {boolean} waiting whether they wait for a question and may be taken away
   */
  show(pictures, waiting) {
    this.root.classList.toggle("empty", !pictures.length);
    if (!pictures.length) {
      fill(this.root, this.#drop());
      return;
    }
    const shown = pictures.map((picture) => this.#figure(picture, waiting));
    const notes = pictures.map((picture) => picture.note).filter(Boolean);
    this.notes.textContent = notes.join(" ");
    fill(this.root, ...shown, notes.length > 0 && this.notes);
  }

  /**
   * @param {Picture} picture
   * @param {boolean} waiting
   */
  #figure(picture, waiting) {
    const size = picture.width ? { width: picture.width, height: picture.height } : {};
    const image = el("img", { src: picture.url, alt: t("picture.alt", { name: picture.name }), ...size });
    image.addEventListener("error", () => image.replaceWith(el("p", { class: "unseen" }, t("picture.unseen", { name: picture.name }))));
    const remove = waiting && this.acts.onRemove;
    const away = remove && button("close", t("picture.remove", { name: picture.name }), () => remove(picture), { class: "round over" });
    return el("figure", { class: "figure" }, el("div", { class: "frame" }, image, away));
  }

  #drop() {
    return el("div", { class: "drop" },
      el("p", { class: "drop-title" }, t("drop.title")),
      el("p", { class: "muted" }, t("drop.or")),
      el("div", { class: "row" },
        button("picture", t("choose"), this.acts.onChoose, { text: true }),
        button("camera", t("camera"), this.acts.onCamera, { text: true })));
  }
}
