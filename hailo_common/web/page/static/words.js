// What the page says, in the reader's language; numbers and sizes as they are written there.

import { el } from "./dom.js";

/** @typedef {Record<string, string>} Words */

const CHOSEN = "hailo-language";
const NAMES = { en: "EN", de: "DE", fr: "FR" };

/** @type {Words} */
const ENGLISH = {
  "close": "Close", "status": "Status", "status.open": "Show the details", "language": "Language", "unknown": "unknown",
  "hello.vision": "Ask about a picture",
  "hello.florence": "See what is in a picture",
  "hello.more": "Drop one anywhere on this page, paste it, or begin with one of these. It stays on this machine.",
  "pictures": "Pictures", "picture": "Picture", "picture.alt": "Picture: {name}", "picture.add": "Add a picture",
  "picture.added": "{name} is here", "picture.remove": "Take {name} away", "picture.unseen": "{name}: this browser cannot show it. The service may still read it.",
  "drop.title": "A picture goes here", "drop.or": "Drop it, paste it, or", "drop.here": "Let go to use this picture", "choose": "Choose", "camera": "Camera",
  "camera.view": "What the camera sees", "camera.take": "Take a picture", "camera.name": "camera.jpg",
  "camera.denied": "This browser may not use the camera. Allow it beside the address, then try again.",
  "camera.none": "No camera can be used here. Choose a picture instead.",
  "reduced": "Made smaller here before it is sent: {from} ({was}) to {to} ({is}).",
  "refused.empty": "{name} is empty. Choose another file.",
  "refused.huge": "{name} has {size}; up to {most} can be read here. Choose a smaller one.",
  "refused.kind": "{name} is no picture ({kind}). Choose a JPEG, PNG, WebP or GIF file.",
  "refused.many": "Up to {most} pictures can be asked about at once.",
  "refused.memory": "This browser has too little memory for that picture. Close other pages, or choose a smaller one.",
  "conversation": "Conversation", "answers": "Answers", "you": "You", "model": "Model", "ask.button": "Ask", "stop": "Stop", "run": "Look",
  "ask.placeholder": "Ask about the picture …", "ask.label": "Your question", "ask.now": "Now ask something about it.",
  "ask.describe": "Describe the image.", "ask.count": "How many objects are there?", "ask.shape": "What shape is red?", "ask.below": "What is below the blue star?",
  "ask.json": "Describe the image as JSON.", "ask.people": "How many people are there?", "ask.read": "What text can be read?",
  "ask.garage": "Is the garage door open?", "ask.table": "What is on the table?", "ask.sign": "What does the sign say?",
  "example.shapes-1": "A circle and a square", "example.shapes-2": "Three shapes in a row", "example.shapes-3": "A star above a circle",
  "example.coffee": "A cup of coffee", "example.garage": "A garage and a bicycle", "example.table": "Fruit and a cup", "example.sign": "A sign at a pier",
  "waiting": "Sending …", "looking": "Looking …", "streaming": "Answering …", "stopped": "stopped", "cut": "cut at the longest length",
  "queue": "queue {waiting}", "queue.next": "Next in the queue, about {seconds}", "queue.place": "Number {place} in the queue, about {seconds}",
  "fact.first": "first token {seconds}", "fact.rate": "{rate} tokens/s", "fact.tokens": "{image} picture + {text} text → {answer} tokens", "fact.tokens.text": "{text} → {answer} tokens",
  "fact.known": "picture known", "fact.cached": "{cached} tokens known", "fact.unchanged": "unchanged", "fact.count": "{count} tokens",
  "repeat": "Answer again", "copy": "Copy", "copied": "Copied", "edit": "Edit the question", "new": "Clear the conversation",
  "code": "As code", "code.more": "This request, with the address that this browser uses. Put your own picture in.",
  "code.more.key": "This request, with the address that this browser uses. Put your own picture in, and your key into HAILO_KEY.",
  "seen": "What the model saw", "seen.more": "The pictures of the last request in the model's own size. They are kept in memory for a few minutes, for this page alone.", "seen.alt": "Picture {number} as the model saw it",
  "settings": "Settings", "set.model": "Model", "set.model.first": "The first one", "set.system": "System prompt", "set.temperature": "Temperature", "set.temperature.help": "0 takes the likeliest word every time, 2 is the wildest.",
  "set.longest": "Longest answer", "set.longest.help": "In tokens; empty for as many as fit.", "set.schema": "Answer as JSON of this schema", "set.schema.help": "A JSON schema; empty for plain text.",
  "set.schema.wrong": "This is not a JSON schema. It begins with { and ends with }.", "set.reset": "Back to the defaults",
  "try.again": "Try again", "anew": "Start anew with this picture",
  "trouble": "Trouble", "trouble.gone": "The service does not answer", "trouble.gone.more": "It may be restarting. This page asks again by itself.",
  "trouble.broken": "The answer was broken off", "trouble.full": "Too many are waiting", "trouble.context": "This conversation is full", "trouble.key": "An API key is wanted",
  "trouble.picture": "The service cannot read this picture", "trouble.loading": "The model is not ready yet", "trouble.lost": "The model was restarted while it answered", "trouble.slow": "The model took too long",
  "trouble.device": "The Hailo chip is in trouble", "trouble.busy": "The service is busy", "trouble.failed": "The model failed on this question", "trouble.refused": "The service refused this", "trouble.wait": "Try again in {seconds} s.",
  "state": "State", "state.asking": "asking", "state.ready": "ready", "state.working": "answering", "state.loading": "loading", "state.restarting": "restarting", "state.fetching": "fetching {share}", "state.device": "chip in trouble",
  "state.bad": "cannot answer", "state.gone": "away", "state.gone.more": "The service does not answer. It may be restarting; this page goes on by itself once it is back.", "state.back": "The service is back.", "state.key": "key wanted", "state.slow": "slowed down", "state.drained": "being drained",
  "key": "API key", "key.label": "Your API key", "key.more": "It stays in this window and is gone when you close it.", "key.use": "Use it", "key.enter": "Enter the key", "key.wrong": "The last one was not accepted.", "key.forget": "Forget the key", "key.wanted": "This service wants an API key.",
  "demo.shapes": "This is a small demo model. It knows circles, squares, triangles and stars in eight colours, and nothing else of the world.",
  "demo.other": "This is a small demo model ({what}). It is quick, and often wrong about anything else.",
  "fetch.how": "The large model comes with", "fetch.now": "{model} is being fetched: {share} of {size}.", "fetch.rate": "{rate}/s, about {minutes} left.", "fetch.label": "Fetch of {model}", "fetch.problem": "{model} could not be fetched: {problem}",
  "about": "About", "version": "Version", "queue.title": "Queue", "queue.more": "{running} running, {waiting} waiting, room for {size}", "uptime": "Up", "uptime.value": "{hours} h", "awaits": "Awaits", "stages": "Where it computes", "stage": "Stage", "backend": "Backend", "reason": "Reason",
  "machine": "Machine", "heat": "Temperature", "heat.chip": "Hailo chip", "slowed": "Slowed down by", "slow.under_voltage": "too little voltage", "slow.frequency_capped": "a capped frequency", "slow.throttled": "throttling", "slow.temperature_limit": "heat",
  "hailo": "Hailo", "hailo.there": "connected", "hailo.none": "not there", "memory": "Memory, {name}",
  "requests": "Last requests", "requests.none": "None yet.", "requests.more": "Yours only, and nothing of what was asked.", "time": "Time", "kind": "Kind", "status.code": "Status", "took": "Took", "tokens": "Tokens",
  "models": "Models on this machine", "model.complete": "here", "model.absent": "not here", "model.incomplete": "in part", "size": "Size", "wanted": "Wanted because", "docs": "The API's page",
  "tasks": "Tasks", "task.caption": "Caption", "task.detailed": "Detailed", "task.more": "In full", "task.ask": "Ask", "task.detect": "Detect", "task.regions": "Regions", "task.find": "Find", "task.ground": "Ground", "task.segment": "Outline", "task.read": "Read text",
  "task.caption.what": "A short sentence about the picture.", "task.detailed.what": "Two or three sentences about the picture.", "task.more.what": "A paragraph about the picture.", "task.detect.what": "The usual things, each with a box.", "task.regions.what": "A description for each part of the picture.", "task.read.what": "The text in the picture, and where it is.",
  "task.ask.input": "Ask about the picture …", "task.find.input": "What to look for …", "task.ground.input": "A caption whose things are to be found …", "task.segment.input": "What to outline …",
  "task.now": "Choose what to look for.", "task.missing": "This model cannot do that.", "found": "Found: {count}", "unnamed": "unnamed", "live": "Live camera",
};

/** @type {Words} */
let words = ENGLISH;
let language = "en";

/** Take the language that was chosen here, else the browser's. */
export async function setLanguage() {
  const wanted = [localStorage.getItem(CHOSEN) ?? "", ...navigator.languages].map((each) => each.slice(0, 2));
  language = wanted.find((each) => each in NAMES) ?? "en";
  if (language === "de") words = (await import("./words.de.js")).default;
  if (language === "fr") words = (await import("./words.fr.js")).default;
  document.documentElement.lang = language;
}

/**
 * @param {string} name
 * @param {Record<string, string | number>} [values]
 */
export function t(name, values = {}) {
  return filled(words[name] ?? ENGLISH[name] ?? name, values);
}

/**
 * In English whatever the language, for a model that knows no other.
 * @param {string} name
 */
export function english(name) {
  return ENGLISH[name] ?? name;
}

/**
 * @param {string} text
 * @param {Record<string, string | number>} values
 */
function filled(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/**
 * @param {number} value
 * @param {number} digits after the point
 */
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
  const options = Object.entries(NAMES).map(([code, name]) => el("option", { value: code, selected: code === language, lang: code }, name));
  const picker = el("select", { class: "language", "aria-label": t("language"), title: t("language") }, ...options);
  picker.addEventListener("change", () => {
    localStorage.setItem(CHOSEN, picker.value);
    location.reload();
  });
  return picker;
}

