// What the page says, in the reader's language; numbers and sizes as they are written there.

import { el } from "./dom.js";
import { WORDS } from "./languages.js";

const CHOSEN = "hailo-language";
/** In the order of the columns of `WORDS`. */
const LANGUAGES = ["en", "de", "fr"];

let language = "en";
let column = 0;

/** Take the language that was chosen here, else the browser's. */
export function setLanguage() {
  const wanted = [localStorage.getItem(CHOSEN) ?? "", ...navigator.languages].map((each) => each.slice(0, 2));
  language = wanted.find((each) => LANGUAGES.includes(each)) ?? "en";
  column = LANGUAGES.indexOf(language);
  document.documentElement.lang = language;
}

/** @type {(name: string, values?: Record<string, string | number>) => string} */
export function t(name, values = {}) {
  const text = WORDS[name]?.[column] ?? name;
  return text.replace(/\{(\w+)\}/g, (_, each) => String(values[each] ?? ""));
}

/**
 * In English whatever the language, for a model that knows no other.
 * @param {string} name
 */
export function english(name) {
  return WORDS[name]?.[0] ?? name;
}

/** @type {(value: number, digits: number) => string} with so many digits after the point */
export function number(value, digits) {
  return value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** @param {number} value */
export function seconds(value) {
  return value < 0.1 ? `${number(value * 1000, 0)} ms` : `${number(value, value < 10 ? 1 : 0)} s`;
}

/** @param {number} value in seconds */
export function minutes(value) {
  return value < 90 ? `${number(value, 0)} s` : `${number(value / 60, 0)} min`;
}

/** @param {number} share of 1 */
export function percent(share) {
  return share.toLocaleString(language, { style: "percent", maximumFractionDigits: 0 });
}

/** @param {number} size */
export function bytes(size) {
  if (size >= 1e9) return `${number(size / 1e9, 1)} GB`;
  if (size >= 1e6) return `${number(size / 1e6, size >= 1e7 ? 0 : 1)} MB`;
  return `${number(size / 1e3, 0)} kB`;
}

/** @param {string} at */
export function clock(at) {
  return new Date(at).toLocaleTimeString(language);
}

/** Choose another language; the page begins anew in it. */
export function languagePicker() {
  const options = LANGUAGES.map((code) => el("option", { value: code, selected: code === language, lang: code }, code.toUpperCase()));
  const picker = el("select", { class: "language", "aria-label": t("language"), title: t("language") }, ...options);
  picker.addEventListener("change", () => {
    localStorage.setItem(CHOSEN, picker.value);
    location.reload();
  });
  return picker;
}

