// Begins the page: the language, the status line, and what this service is for.

import { Status } from "./status.js";
import { setLanguage } from "./words.js";

/** @param {(main: HTMLElement, status: Status) => unknown} make what this service is for */
export function begin(make) {
  setLanguage();
  const strip = document.getElementById("strip");
  const main = document.getElementById("main");
  if (strip && main) make(main, new Status(strip));
}
