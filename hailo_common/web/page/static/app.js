// Begins the page: the language, the status line, and what this service is for.

import { IS_CHAT } from "./api.js";
import { setLanguage } from "./words.js";

setLanguage();
const [{ Status }, page] = await Promise.all([import("./status.js"), IS_CHAT ? import("./conversation.js") : import("./tasks.js")]);
const strip = document.getElementById("strip");
const main = document.getElementById("main");
if (strip && main) {
  const status = new Status(strip);
  if ("Conversation" in page) new page.Conversation(main, status);
  else new page.Tasks(main, status);
}
