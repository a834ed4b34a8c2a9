// The API key: asked for where the service wants one, kept until this browser's window is closed.

import { key } from "./api.js";
import { button, el, sheet } from "./dom.js";
import { t } from "./words.js";

let open = false;

/** @param {() => void} then */
export function askForKey(then) {
  if (open) return;
  open = true;
  const { dialog, body } = sheet(t("key"), t("close"), "middle");
  dialog.addEventListener("close", () => (open = false));
  const field = el("input", { type: "password", id: "key", autocomplete: "off", spellcheck: "false", "aria-describedby": "key-more", required: true });
  const form = el("form", { class: "field" },
    el("label", { for: "key" }, t("key.label")), field,
    el("p", { class: "muted", id: "key-more" }, t("key.more")),
    el("p", { class: "muted" }, key.get() ? t("key.wrong") : ""),
    button("key", t("key.use"), () => {}, { text: true, class: "button main-button", type: "submit" }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    key.set(field.value.trim());
    dialog.close();
    then();
  });
  body.append(form);
  field.focus();
}
