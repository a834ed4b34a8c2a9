// The same request as code: curl, Python, JavaScript, Home Assistant, with the address that this browser uses.

import { address, IS_CHAT, key } from "./api.js";
import { button, el, fill, say, sheet } from "./dom.js";
import { t } from "./words.js";

/**
 * @typedef {object} Asked
 * @property {string} text the question, "" for none
 * @property {number} [pictures] of a conversation
 * @property {any} [body] of a conversation: the other fields
 * @property {string} [system]
 * @property {string} [path] of a task
 * @property {Record<string, string>} [fields] of a task
 */

/** @param {Asked} asked */
export function showCode(asked) {
  const { body } = sheet(t("code"), t("close"));
  const snippets = IS_CHAT ? chat(asked) : task(asked);
  const shown = el("pre", { class: "code", tabindex: "0", role: "tabpanel", "aria-label": t("code") });
  const tabs = Object.entries(snippets).map(([name, text], index) => {
    const tab = el("button", { type: "button", role: "tab", class: "chip", "aria-selected": index === 0 }, name);
    tab.addEventListener("click", () => {
      for (const each of tabs) each.setAttribute("aria-selected", String(each === tab));
      fill(shown, text);
    });
    return tab;
  });
  fill(shown, Object.values(snippets)[0] ?? "");
  body.append(
    el("p", { class: "muted" }, t(key.get() ? "code.more.key" : "code.more")),
    el("div", { class: "suggestions", role: "tablist", "aria-label": t("code") }, ...tabs), shown,
    button("copy", t("copy"), (event) => copy(shown.textContent ?? "", event), { text: true }));
}

/** @param {string} text as a word of a shell */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
/** @param {string} word where a key is wanted */
const bearer = (word) => (key.get() ? ` -H "Authorization: Bearer ${word}"` : "");
/** @param {unknown} value */
const json = (value) => JSON.stringify(value, null, 2);

/** @type {(asked: Asked) => Record<string, string>} */
function chat({ text, pictures = 1, body = {}, system = "" }) {
  const url = address("v1/chat/completions");
  const names = Array.from({ length: pictures }, (_, index) => (pictures > 1 ? `picture-${index + 1}.jpg` : "picture.jpg"));
  const more = Object.entries(body).filter(([name]) => name !== "model");
  return {
    curl: chatCurl(url, text, names, body, system),
    Python: chatPython(text, names, body, more, system),
    JavaScript: chatScript(url, text, names, body, system),
    "Home Assistant": chatHome(text, names),
  };
}

/** @type {(url: string, text: string, names: string[], body: any, system: string) => string} */
function chatCurl(url, text, names, body, system) {
  const mark = "@@@";
  const images = names.map((name) => ({ type: "image_url", image_url: { url: `data:image/jpeg;base64,${mark}${name}${mark}` } }));
  const first = system ? [{ role: "system", content: system }] : [];
  const whole = JSON.stringify({ ...body, messages: [...first, { role: "user", content: [...images, { type: "text", text }] }] });
  const parts = whole.split(mark).map((part, index) => (index % 2 ? `base64 -w 0 ${quoted(part)}` : `printf %s ${quoted(part)}`));
  const auth = bearer("$HAILO_KEY");
  return `(${parts.join("\n ")}) |\n  curl${auth} -H 'Content-Type: application/json' -d @- ${quoted(url)}\n`;
}

/** @type {(text: string, names: string[], body: any, more: [string, unknown][], system: string) => string} */
function chatPython(text, names, body, more, system) {
  const fields = more.map(([name, value]) => `    ${name}=${python(value)},\n`).join("");
  return `# pip install openai
import base64
import os
from pathlib import Path

from openai import OpenAI

def picture(name):
    data = base64.b64encode(Path(name).read_bytes()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}}

client = OpenAI(base_url=${python(address("v1"))}, api_key=os.environ.get("HAILO_KEY", "none"))
answer = client.chat.completions.create(
    model=${python(body.model ?? "default")},
    messages=[${system ? `\n        {"role": "system", "content": ${python(system)}},` : ""}
        {"role": "user", "content": [
            ${names.map((name) => `picture(${python(name)})`).join(", ")},
            {"type": "text", "text": ${python(text)}},
        ]},
    ],
${fields})
print(answer.choices[0].message.content)
`;
}

/** @type {(value: unknown) => string} as Python writes it */
function python(value) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(/** @type {object} */ (value)).map(([name, each]) => `${JSON.stringify(name)}: ${python(each)}`).join(", ")}}`;
  return JSON.stringify(value);
}

/** @type {(url: string, text: string, names: string[], body: any, system: string) => string} */
function chatScript(url, text, names, body, system) {
  const auth = key.get() ? `, authorization: \`Bearer \${process.env.HAILO_KEY}\`` : "";
  return `// Node.js 20 or newer
import { readFileSync } from "node:fs";

const picture = (name) => ({
  type: "image_url",
  image_url: { url: "data:image/jpeg;base64," + readFileSync(name, "base64") },
});

const answer = await fetch(${JSON.stringify(url)}, {
  method: "POST",
  headers: { "content-type": "application/json"${auth} },
  body: JSON.stringify({
    ...${json(body).replaceAll("\n", "\n    ")},
    messages: [${system ? `\n      { role: "system", content: ${JSON.stringify(system)} },` : ""}
      { role: "user", content: [${names.map((name) => `picture(${JSON.stringify(name)})`).join(", ")}, { type: "text", text: ${JSON.stringify(text)} }] },
    ],
  }),
});
console.log((await answer.json()).choices[0].message.content);
`;
}

/** @type {(text: string, names: string[]) => string} */
function chatHome(text, names) {
  const images = names.map((name) => `-F "images[]=@/config/www/${name}"`).join(" ");
  return home("ask_the_picture", `curl -s${bearer("YOUR_KEY")} ${images} -F ${quoted(`prompt=${text}`)} ${address("v1/vision/analyze")}`, "results[0].analysis");
}

/** @type {(name: string, command: string, field: string) => string} */
function home(name, command, field) {
  return `# configuration.yaml
shell_command:
  ${name}: >-
    ${command}

# in an automation, after camera.snapshot has written the file:
actions:
  - action: shell_command.${name}
    response_variable: answer
  - action: notify.notify
    data:
      message: "{{ (answer.stdout | from_json).${field} }}"
`;
}

/** @type {Record<string, string>} where each path has its answer, but for those that find places */
const FIELDS = { "v1/caption": "caption", "v1/vqa": "answer", "v1/ocr": "text", "v1/region": "text" };

/** @type {(asked: Asked) => Record<string, string>} */
function task({ path = "v1/caption", fields = {} }) {
  const url = address(path);
  const pairs = Object.entries(fields);
  const auth = bearer("$HAILO_KEY");
  const flags = pairs.map(([name, value]) => ` -F ${quoted(`${name}=${value}`)}`).join("");
  const field = FIELDS[path] ?? "objects";
  const head = key.get() ? `\n    headers={"Authorization": "Bearer " + os.environ["HAILO_KEY"]},` : "";
  return {
    curl: `curl${auth} -F image=@picture.jpg${flags} ${quoted(url)}\n`,
    Python: `# pip install requests\n${head ? "import os\n" : ""}import requests\n\nanswer = requests.post(\n    ${python(url)},\n    files={"image": open("picture.jpg", "rb")},\n    data=${python(fields)},${head}\n)\nprint(answer.json()[${python(field)}])\n`,
    JavaScript: `// Node.js 20 or newer\nimport { openAsBlob } from "node:fs";\n\nconst form = new FormData();\nform.set("image", await openAsBlob("picture.jpg"), "picture.jpg");\n${pairs.map(([name, value]) => `form.set(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`).join("")}const answer = await fetch(${JSON.stringify(url)}, { method: "POST", body: form${key.get() ? ", headers: { authorization: `Bearer ${process.env.HAILO_KEY}` }" : ""} });\nconsole.log((await answer.json()).${field});\n`,
    "Home Assistant": home("look_at_the_picture", `curl -s${bearer("YOUR_KEY")} -F image=@/config/www/picture.jpg${flags} ${url}`, field),
  };
}

/**
 * Copy a text, also where the page has no right to the clipboard because it came without HTTPS.
 * @param {string} text
 * @param {MouseEvent} event
 */
export async function copy(text, event) {
  const target = /** @type {HTMLElement} */ (event.currentTarget);
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = el("textarea", { class: "sr", "aria-hidden": "true" });
    (target.closest("dialog") ?? document.body).append(area);
    area.value = text;
    area.select();
    document.execCommand("copy");
    area.remove();
    target.focus();
  }
  target.classList.add("done");
  say(t("copied"));
  setTimeout(() => target.classList.remove("done"), 1200);
}
