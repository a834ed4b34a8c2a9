// What may be set for a conversation: system prompt, temperature, longest answer, a JSON schema, the model.

import { button, el, sheet } from "./dom.js";
import { t } from "./words.js";

const KEPT = "hailo-settings";

export class Settings {
  /** @param {import("./status.js").Status} status */
  constructor(status) {
    this.status = status;
    /** @type {{system: string, temperature: string, longest: string, schema: string, model: string}} */
    this.values = { system: "", temperature: "", longest: "", schema: "", model: "", ...JSON.parse(sessionStorage.getItem(KEPT) ?? "{}") };
    this.button = button("gear", t("settings"), () => this.#open());
    this.#mark();
  }

  get system() {
    return this.values.system.trim();
  }

  /** The fields of a request; what is not set is not sent. */
  body() {
    const { temperature, longest, schema, model } = this.values;
    const name = model || this.status.name;
    return {
      ...(name ? { model: name } : {}),
      ...(temperature !== "" ? { temperature: Number(temperature) } : {}),
      ...(longest !== "" ? { max_tokens: Number(longest) } : {}),
      ...(schema.trim() ? { response_format: { type: "json_schema", json_schema: { name: "answer", schema: JSON.parse(schema) } } } : {}),
    };
  }

  #mark() {
    this.button.classList.toggle("set", Object.values(this.values).some(Boolean));
  }

  #open() {
    const { dialog, body } = sheet(t("settings"), t("close"));
    const wrong = el("p", { class: "complaint", role: "alert" });
    /** @type {(name: keyof Settings["values"], control: HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement, help?: string) => HTMLElement} */
    const field = (name, control, help) => {
      control.id = `set-${name}`;
      control.value = this.values[name];
      control.addEventListener("input", () => this.#set(name, control, wrong));
      return el("div", { class: "field" }, el("label", { for: control.id }, t(`set.${name}`)), control, help && el("p", { class: "muted" }, help));
    };
    const names = this.status.models.map((each) => each.name).filter(Boolean);
    body.append(
      names.length > 1 ? field("model", el("select", {}, el("option", { value: "" }, t("set.model.first")), ...names.map((name) => el("option", { value: name }, name)))) : "",
      field("system", el("textarea", { rows: 4 })),
      field("temperature", el("input", { type: "number", min: 0, max: 2, step: 0.1, placeholder: "0" }), t("set.temperature.help")),
      field("longest", el("input", { type: "number", min: 1, step: 1 }), t("set.longest.help")),
      field("schema", el("textarea", { rows: 8, spellcheck: "false", class: "mono", placeholder: '{"type": "object", "properties": {"open": {"type": "boolean"}}}' }), t("set.schema.help")),
      wrong,
      button("again", t("set.reset"), () => {
        this.values = { system: "", temperature: "", longest: "", schema: "", model: "" };
        this.#keep();
        dialog.close();
      }, { text: true }));
  }

  /** @type {(name: keyof Settings["values"], control: HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement, wrong: HTMLElement) => void} */
  #set(name, control, wrong) {
    const valid = control.checkValidity() && (name !== "schema" || isObject(control.value));
    control.setAttribute("aria-invalid", String(!valid));
    wrong.textContent = valid ? "" : control.validationMessage || t("set.schema.wrong");
    if (!valid) return;
    this.values[name] = control.value;
    this.#keep();
  }

  #keep() {
    sessionStorage.setItem(KEPT, JSON.stringify(this.values));
    this.#mark();
  }
}

/** @param {string} text */
function isObject(text) {
  if (!text.trim()) return true;
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}
