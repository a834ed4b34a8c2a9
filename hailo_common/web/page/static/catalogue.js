// What a Florence-2 can be asked for, and how; the model that is loaded may know fewer.

/**
 * @typedef {object} Task
 * @property {string} id
 * @property {string} path
 * @property {Record<string, string>} fields
 * @property {string} needs the model's task
 * @property {string} [input] the field that a text goes into
 * @property {boolean} [box] whether it is about a box on the picture; offered only by a model that knows it
 */

/** @type {Task[]} */
export const TASKS = [
  { id: "caption", path: "v1/caption", fields: {}, needs: "caption" },
  { id: "detailed", path: "v1/caption", fields: { detail: "detailed" }, needs: "detailed_caption" },
  { id: "more", path: "v1/caption", fields: { detail: "more" }, needs: "more_detailed_caption" },
  { id: "ask", path: "v1/vqa", fields: {}, needs: "vqa", input: "question" },
  { id: "detect", path: "v1/detect", fields: {}, needs: "od" },
  { id: "regions", path: "v1/detect", fields: { kind: "regions" }, needs: "dense_region_caption" },
  { id: "find", path: "v1/detect", fields: {}, needs: "open_vocabulary_detection", input: "text" },
  { id: "ground", path: "v1/ground", fields: {}, needs: "caption_to_phrase_grounding", input: "text" },
  { id: "segment", path: "v1/segment", fields: {}, needs: "referring_expression_segmentation", input: "text" },
  { id: "read", path: "v1/ocr", fields: { regions: "true" }, needs: "ocr_with_region" },
  { id: "name-here", path: "v1/region", fields: {}, needs: "region_to_category", box: true },
  { id: "describe-here", path: "v1/region", fields: { detail: "description" }, needs: "region_to_description", box: true },
  { id: "segment-here", path: "v1/segment", fields: {}, needs: "region_to_segmentation", box: true },
  { id: "read-here", path: "v1/ocr", fields: {}, needs: "region_to_ocr", box: true },
];
export const FIRST = /** @type {Task} */ (TASKS[0]);

/** @param {any} answer of any task; "" where it is of places */
export function textOf(answer) {
  return String(answer.caption ?? answer.answer ?? answer.text ?? "");
}
