// Elements without markup: whatever a model or a service says becomes text and nothing else.

/**
 * @typedef {string | Node | null | undefined | false} Child
 * @typedef {Record<string, string | number | boolean | null | undefined | ((event: any) => unknown)>} Properties
 */

/**
 * An element with properties and children; `on…` are listeners, `class`, `aria-…` and `data-…` attributes.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Properties} [properties]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || (value === false && !name.startsWith("aria-"))) continue;
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true && !name.startsWith("aria-") ? "" : String(value));
  }
  made.append(...kept(children));
  return made;
}

/** @type {(children: Child[]) => (string | Node)[]} */
function kept(children) {
  return /** @type {(string | Node)[]} */ (children.filter((child) => child || child === ""));
}

/**
 * Put other children into an element.
 * @param {Element} parent
 * @param {...Child} children
 */
export function fill(parent, ...children) {
  parent.replaceChildren(...kept(children));
}

const SVG = "http://www.w3.org/2000/svg";

/**
 * An SVG element with attributes.
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @param {...Node} children
 * @returns {SVGElement}
 */
export function svg(tag, attributes, ...children) {
  const made = /** @type {SVGElement} */ (document.createElementNS(SVG, tag));
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

const ICONS = {
  picture: "M3 5h18v14H3zM3 16l5-5 4 4 3-3 6 6M15.5 9.5h.01",
  camera: "M4 8h3l2-3h6l2 3h3v11H4zM12 10a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7",
  send: "M12 19V5M6 11l6-6 6 6",
  stop: "M7 7h10v10H7z",
  again: "M20 5v5h-5M19.5 10A8 8 0 1 0 20 14",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  edit: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
  code: "M8 7l-5 5 5 5M16 7l5 5-5 5M13.5 5l-3 14",
  eye: "M2 12s4-6.5 10-6.5S22 12 22 12s-4 6.5-10 6.5S2 12 2 12zM12 9.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5",
  gear: "M4 7h9M19 7h1M4 17h1M11 17h9M16 4.5v5M8 14.5v5",
  close: "M6 6l12 12M18 6L6 18",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13",
  pulse: "M2 12h5l3-7 4 14 3-7h5",
  key: "M15 4a5 5 0 1 0 0 10 5 5 0 0 0 0-10M11.5 12.5L4 20v0h4v-3h3v-3",
  live: "M5 5a10 10 0 0 0 0 14M19 5a10 10 0 0 1 0 14M8 8a6 6 0 0 0 0 8M16 8a6 6 0 0 1 0 8M12 11.9h.01",
  plus: "M12 5v14M5 12h14",
};

/**
 * A drawing of one line; it says nothing to a screen reader.
 * @param {keyof typeof ICONS} name
 * @returns {SVGElement}
 */
export function icon(name) {
  return svg("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));
}

/**
 * A button with an icon and a name; the name is shown where `text` is true.
 * @param {keyof typeof ICONS} drawing
 * @param {string} name
 * @param {(event: MouseEvent) => unknown} onclick
 * @param {Properties & {text?: boolean}} [more]
 * @returns {HTMLButtonElement}
 */
export function button(drawing, name, onclick, { text = false, ...more } = {}) {
  const label = text ? el("span", {}, name) : null;
  const named = text ? {} : { "aria-label": name, title: name };
  return el("button", { type: "button", class: text ? "button" : "round", onclick, ...named, ...more }, icon(drawing), label);
}

/**
 * Let a button that sends be one that stops while its work runs.
 * @param {HTMLButtonElement} go
 * @param {boolean} busy
 * @param {string} name
 */
export function showBusy(go, busy, name) {
  fill(go, icon(busy ? "stop" : "send"), el("span", {}, name));
  go.classList.toggle("stopping", busy);
}

/**
 * A dialog with a title that closes by its button, Escape, or a click beside it.
 * @param {string} title
 * @param {string} close what the closing button is called
 * @param {string} kind `side` for a drawer, `middle` for a question
 * @returns {{dialog: HTMLDialogElement, body: HTMLDivElement}}
 */
export function sheet(title, close, kind = "side") {
  const id = `title-${Math.random().toString(36).slice(2)}`;
  const body = el("div", { class: "sheet-body" });
  const dialog = el("dialog", { class: `sheet ${kind}`, "aria-labelledby": id });
  const shut = button("close", close, () => dialog.close());
  dialog.append(el("div", { class: "sheet-head" }, el("h2", { id }, title), shut), body);
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return { dialog, body };
}

/**
 * Tell a screen reader something that is seen elsewhere on the page.
 * @param {string} text
 */
export function say(text) {
  const said = document.getElementById("said");
  if (said) said.textContent = text;
}
