// Pictures on their way in: chosen, dropped, pasted or photographed, made smaller where they are large.

import { el } from "./dom.js";
import { bytes, t } from "./words.js";

/**
 * @typedef {object} Picture
 * @property {string} name
 * @property {Blob} blob what is sent
 * @property {string} url of the blob, to be shown
 * @property {number} width in pixels, 0 where this browser cannot read it
 * @property {number} height
 * @property {string} note what was done to it, "" for nothing
 */

/** Longer sides gain nothing: every model here makes its pictures smaller than that. */
const LONGEST = 1600;
const LIGHT = 1_500_000;
const MOST = 100_000_000;
export const MOST_PICTURES = 8;

/**
 * @param {Blob} blob
 * @param {string} name
 * @returns {Promise<Picture>} as it is or smaller; throws an Error whose message says what it is instead
 */
export async function take(blob, name) {
  if (!blob.size) throw new Error(t("refused.empty", { name }));
  if (blob.size > MOST) throw new Error(t("refused.huge", { name, size: bytes(blob.size), most: bytes(MOST) }));
  if (blob.type && !blob.type.startsWith("image/")) throw new Error(t("refused.kind", { name, kind: blob.type }));
  const bitmap = await createImageBitmap(blob, { imageOrientation: "from-image" }).catch(() => null);
  if (!bitmap) {
    if (!blob.type) throw new Error(t("refused.kind", { name, kind: t("unknown") }));
    return whole(blob, name, 0, 0);
  }
  const { width, height } = bitmap;
  const scale = Math.min(1, LONGEST / Math.max(width, height));
  if (scale === 1 && blob.size <= LIGHT) {
    bitmap.close();
    return whole(blob, name, width, height);
  }
  const small = await drawn(bitmap, Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale)));
  bitmap.close();
  const sizes = { from: `${width} × ${height}`, was: bytes(blob.size), to: `${small.width} × ${small.height}`, is: bytes(small.blob.size) };
  return { ...small, name, url: URL.createObjectURL(small.blob), note: t("reduced", sizes) };
}

/** @type {(blob: Blob, name: string, width: number, height: number) => Picture} */
function whole(blob, name, width, height) {
  return { name, blob, url: URL.createObjectURL(blob), width, height, note: "" };
}

/**
 * @param {CanvasImageSource} source
 * @param {number} width
 * @param {number} height
 * @returns {Promise<{blob: Blob, width: number, height: number}>} a JPEG of that size
 */
export async function drawn(source, width, height) {
  const canvas = el("canvas", { width, height });
  const pen = canvas.getContext("2d");
  if (!pen) throw new Error(t("refused.memory"));
  // What is transparent would be black in a JPEG.
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, width, height);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(source, 0, 0, width, height);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.9));
  if (!(blob instanceof Blob)) throw new Error(t("refused.memory"));
  return { blob, width, height };
}

/**
 * Let the whole page take pictures that are dropped on it or pasted into it.
 * @param {(files: File[]) => void} onFiles
 */
export function listen(onFiles) {
  let depth = 0;
  const shade = el("div", { class: "shade", hidden: true }, el("p", {}, t("drop.here")));
  document.body.append(shade);
  const show = (/** @type {number} */ change) => {
    depth = Math.max(0, depth + change);
    shade.hidden = depth === 0;
  };
  const carries = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files") ?? false;
  addEventListener("dragenter", (event) => carries(event) && show(1));
  addEventListener("dragleave", (event) => carries(event) && show(-1));
  addEventListener("dragover", (event) => carries(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    show(-depth);
    onFiles([...(event.dataTransfer?.files ?? [])]);
  });
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    onFiles(files);
  });
}

/**
 * Open the browser's own picker.
 * @param {(files: File[]) => void} onFiles
 * @param {{camera?: boolean, several?: boolean}} [options] `camera`: a phone's own camera
 */
export function choose(onFiles, { camera = false, several = true } = {}) {
  const input = el("input", { type: "file", accept: "image/*", multiple: several && !camera, capture: camera ? "environment" : null, hidden: true });
  input.addEventListener("change", () => onFiles([...(input.files ?? [])]));
  // A browser may forget an input that is nowhere on the page while people choose.
  document.querySelector("input[type=file]")?.remove();
  document.body.append(input);
  input.click();
}

/** @type {(blob: Blob) => Promise<string>} a `data:` URL */
export function dataUrl(blob) {
  return new Promise((done, fail) => {
    const reader = new FileReader();
    reader.onload = () => done(String(reader.result));
    reader.onerror = () => fail(reader.error ?? new Error());
    reader.readAsDataURL(blob);
  });
}
