// Pictures to begin with: what the loaded model can do. They are drawn here, but for one that the service has.

import { file } from "./api.js";
import { el } from "./dom.js";
import { take } from "./pictures.js";
import { english, t } from "./words.js";

/**
 * @typedef {object} Example
 * @property {string} name
 * @property {(pen: Pen) => void | Promise<void>} draw on 640 × 480, or on a size that it sets
 * @property {string} question a key of the words, "" for a task without a text
 */

/** @typedef {CanvasRenderingContext2D} Pen */
/** @typedef {[shape: "circle" | "square" | "triangle" | "star", colour: string, x: number, y: number, half: number]} Shape */

const RED = "#d62828";
const BLUE = "#1d4ed8";
const GREEN = "#15803d";
const YELLOW = "#facc15";

/** @type {(ground: string, ...shapes: Shape[]) => (pen: Pen) => void} */
function shapes(ground, ...shapes) {
  return (pen) => {
    const light = pen.createLinearGradient(0, 0, 0, 480);
    light.addColorStop(0, "#f8fafc");
    light.addColorStop(1, ground);
    pen.fillStyle = light;
    pen.fillRect(0, 0, 640, 480);
    for (const [kind, colour, x, y, half] of shapes) {
      pen.fillStyle = colour;
      pen.beginPath();
      outline(pen, kind, x, y, half);
      pen.fill();
    }
  };
}

/** @type {(pen: Pen, kind: Shape[0], x: number, y: number, half: number) => void} */
function outline(pen, kind, x, y, half) {
  if (kind === "circle") pen.arc(x, y, half, 0, 2 * Math.PI);
  else if (kind === "square") pen.rect(x - half, y - half, 2 * half, 2 * half);
  else {
    const points = kind === "star" ? 10 : 3;
    for (let i = 0; i < points; i++) {
      const radius = kind === "star" && i % 2 ? half * 0.42 : half * 1.1;
      const angle = (2 * Math.PI * i) / points - Math.PI / 2;
      pen.lineTo(x + radius * Math.cos(angle), y + radius * Math.sin(angle));
    }
    pen.closePath();
  }
}

/** @param {Pen} pen */
function garage(pen) {
  band(pen, "#bfe0f2", 0, 300);
  band(pen, "#7d8f69", 300, 180);
  box(pen, "#e9e2d4", 120, 120, 400, 230);
  polygon(pen, "#8b3a2f", [90, 130, 320, 30, 550, 130]);
  box(pen, "#f8f8f5", 170, 190, 220, 160);
  for (let y = 210; y < 350; y += 28) box(pen, "#c9ccc8", 170, y, 220, 3);
  box(pen, "#5b4636", 430, 220, 60, 130);
  wheel(pen, 455, 390);
  wheel(pen, 560, 390);
  pen.strokeStyle = "#b91c1c";
  pen.lineWidth = 7;
  pen.beginPath();
  for (const [x, y] of [[455, 390], [485, 335], [540, 335], [505, 390], [485, 335], [455, 390], [505, 390]]) pen.lineTo(x ?? 0, y ?? 0);
  pen.moveTo(560, 390);
  pen.lineTo(532, 312);
  pen.lineTo(555, 306);
  pen.stroke();
  box(pen, "#1f2937", 472, 322, 30, 8);
}

/** @param {Pen} pen */
function table(pen) {
  band(pen, "#efe7da", 0, 250);
  band(pen, "#a9764a", 250, 230);
  ball(pen, "#d62828", 170, 290, 62);
  ball(pen, "#e0a11b", 300, 315, 58);
  box(pen, "#4d7c0f", 166, 214, 8, 26);
  box(pen, "#2563eb", 420, 190, 120, 150);
  pen.strokeStyle = "#2563eb";
  pen.lineWidth = 18;
  pen.beginPath();
  pen.arc(545, 262, 36, -Math.PI / 2, Math.PI / 2);
  pen.stroke();
  pen.fillStyle = "#1e40af";
  pen.beginPath();
  pen.ellipse(480, 190, 60, 14, 0, 0, 2 * Math.PI);
  pen.fill();
}

/** @param {Pen} pen */
function sign(pen) {
  band(pen, "#cfe4ef", 0, 340);
  band(pen, "#6b7f5c", 340, 140);
  box(pen, "#6b7280", 312, 250, 16, 190);
  box(pen, "#fdfdf8", 130, 80, 380, 180);
  pen.strokeStyle = "#14532d";
  pen.lineWidth = 10;
  pen.strokeRect(142, 92, 356, 156);
  pen.fillStyle = "#14532d";
  pen.textAlign = "center";
  pen.font = "bold 64px sans-serif";
  pen.fillText("FERRY", 320, 165);
  pen.font = "bold 44px sans-serif";
  pen.fillText("9:45 → Pier 3", 320, 222);
}

/** @param {Pen} pen */
async function coffee(pen) {
  const photograph = await createImageBitmap(await file("page/coffee.jpg"));
  pen.canvas.width = photograph.width;
  pen.canvas.height = photograph.height;
  pen.drawImage(photograph, 0, 0);
}

/** @type {(pen: Pen, colour: string, y: number, height: number) => void} */
const band = (pen, colour, y, height) => box(pen, colour, 0, y, 640, height);

/** @type {(pen: Pen, colour: string, x: number, y: number, width: number, height: number) => void} */
function box(pen, colour, x, y, width, height) {
  pen.fillStyle = colour;
  pen.fillRect(x, y, width, height);
}

/** @type {(pen: Pen, colour: string, x: number, y: number, radius: number) => void} */
function ball(pen, colour, x, y, radius) {
  pen.fillStyle = colour;
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fill();
}

/** @type {(pen: Pen, colour: string, points: number[]) => void} */
function polygon(pen, colour, points) {
  pen.fillStyle = colour;
  pen.beginPath();
  for (let i = 0; i < points.length; i += 2) pen.lineTo(points[i] ?? 0, points[i + 1] ?? 0);
  pen.fill();
}

/** @type {(pen: Pen, x: number, y: number) => void} */
function wheel(pen, x, y) {
  pen.strokeStyle = "#1f2937";
  pen.lineWidth = 7;
  pen.beginPath();
  pen.arc(x, y, 34, 0, 2 * Math.PI);
  pen.stroke();
}

/** @type {Example[]} */
const SHAPES = [
  { name: "shapes-1", draw: shapes("#cbd5e1", ["circle", RED, 205, 255, 95], ["square", BLUE, 445, 245, 80]), question: "ask.describe" },
  { name: "shapes-2", draw: shapes("#cbd5e1", ["triangle", GREEN, 140, 260, 80], ["star", YELLOW, 330, 240, 85], ["square", RED, 520, 250, 65]), question: "ask.count" },
  { name: "shapes-3", draw: shapes("#d6d3d1", ["star", BLUE, 320, 140, 90], ["circle", GREEN, 320, 355, 85]), question: "ask.below" },
];

/** @type {[Example, Example, Example]} */
const THINGS = [
  { name: "garage", draw: garage, question: "ask.garage" },
  { name: "table", draw: table, question: "ask.table" },
  { name: "sign", draw: sign, question: "ask.sign" },
];

/** A demo model knows English alone, cannot read, and sees more in a photograph than in what is drawn. */
const EVERYDAY = [{ name: "coffee", draw: coffee, question: "ask.describe" }, ...THINGS.slice(0, 2).map((each) => ({ ...each, question: "ask.describe" }))];

/**
 * The examples that suit a model.
 * @param {{demo?: boolean, description?: string} | null} model what the service says of it
 */
function examplesFor(model) {
  if (!model?.demo) return THINGS;
  return knowsShapes(model) ? SHAPES : EVERYDAY;
}

/**
 * Whether a demo model knows coloured shapes and nothing else.
 * @param {{description?: string}} model
 */
export function knowsShapes({ description = "" }) {
  return /shape/i.test(description);
}

/**
 * Suggestions for a picture that is there, in the words that the model understands.
 * @param {{demo?: boolean, description?: string} | null} model
 */
export function questionsFor(model) {
  const names = examplesFor(model) === SHAPES ? ["ask.describe", "ask.count", "ask.shape", "ask.json"] : ["ask.describe", "ask.people", "ask.read", "ask.json"];
  return names.map((name) => inItsWords(model, name));
}

/**
 * A question in the reader's language, or in English for a demo model, which knows no other.
 * @param {{demo?: boolean} | null} model
 * @param {string} name a key of the words
 */
export function inItsWords(model, name) {
  return model?.demo ? english(name) : t(name);
}

/**
 * Cards to begin with; none before it is known which suit.
 * @param {import("./status.js").Status} status
 * @param {(picture: import("./pictures.js").Picture, question: string) => void} onChosen
 * @param {boolean} withQuestion whether the question is asked, too
 */
export function cards({ model, report, error }, onChosen, withQuestion) {
  if (!report && !error) return null;
  return el("ul", { class: "cards" }, ...examplesFor(model).map((example) => {
    const canvas = el("canvas", { width: 640, height: 480, role: "img", "aria-label": t(`example.${example.name}`) });
    const pen = canvas.getContext("2d");
    const drawn = Promise.resolve(pen && example.draw(pen)).catch(() => item.remove());
    const question = inItsWords(model, example.question);
    const label = withQuestion ? question : t(`example.${example.name}`);
    const begin = async () => {
      await drawn;
      const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
      if (blob instanceof Blob) onChosen(await take(blob, `${example.name}.png`), question);
    };
    const item = el("li", {}, el("button", { type: "button", class: "card", onclick: begin }, canvas, el("span", {}, label)));
    return item;
  }));
}
