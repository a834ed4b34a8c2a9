// What the model saw: the pictures of the last request as they went into the model, in its own size.

import { seen } from "./api.js";
import { el, sheet } from "./dom.js";
import { problem } from "./problems.js";
import { t } from "./words.js";

/** @param {number} count how many pictures the last request had */
export async function showSeen(count) {
  const { dialog, body } = sheet(t("seen"), t("close"), "middle");
  body.append(el("p", { class: "muted" }, t("seen.more")));
  for (let index = 0; index < count && dialog.open; index++) {
    try {
      const url = URL.createObjectURL(await seen(index));
      dialog.addEventListener("close", () => URL.revokeObjectURL(url));
      const image = el("img", { src: url, alt: t("seen.alt", { number: index + 1 }), class: "seen" });
      const size = el("figcaption", { class: "muted" });
      image.addEventListener("load", () => (size.textContent = `${image.naturalWidth} × ${image.naturalHeight}`));
      body.append(el("figure", {}, image, size));
    } catch (error) {
      const { title, more } = problem(error);
      body.append(el("p", { class: "trouble" }, `${title} ${more}`));
      return;
    }
  }
}
