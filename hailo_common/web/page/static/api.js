// Speaks to the service that gave this page: requests, streams, errors, the key.

const KEY = "hailo-key";
const BASE = new URL(".", document.baseURI);

/** @param {number} count of random bytes */
const drawnHex = (count) => Array.from(crypto.getRandomValues(new Uint8Array(count)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** A name for this browser's session, under which the service keeps what the model saw; too long to guess. */
export const SESSION = drawnHex(16);

/**
 * The address of a path of the service, as this browser sees it.
 * @param {string} path
 */
export function address(path) {
  return new URL(path, BASE).href;
}

/** Which kind of service this is a page of. */
export const SERVICE = document.documentElement.dataset.service ?? "hailo-vision";
export const IS_CHAT = SERVICE === "hailo-vision";

/** What the service, or the way to it, refused; `code` is the service's stable word for it. */
export class Refused extends Error {
  /**
   * @param {number} status 0 where nothing came back
   * @param {string} code
   * @param {string} message
   * @param {number} retryAfter seconds, 0 for none
   */
  constructor(status, code, message, retryAfter = 0) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  /** @param {string} value */
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

/** @returns {Record<string, string>} */
function headers() {
  const own = key.get();
  return own ? { authorization: `Bearer ${own}` } : {};
}

/**
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<Response>} one that succeeded
 */
async function ask(path, options = {}) {
  let answer;
  try {
    const merged = { ...headers(), .../** @type {Record<string, string>} */ (options.headers ?? {}) };
    answer = await fetch(address(path), { credentials: "omit", cache: "no-store", ...options, headers: merged });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Refused(0, "unreachable", String(error));
  }
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

/** @param {Response} answer */
async function refusal(answer) {
  const retry = Number(answer.headers.get("retry-after") ?? 0) || 0;
  const body = await answer.json().catch(() => ({}));
  return refusalOf(body, answer.status, retry);
}

/** @type {(body: any, status: number, retry: number) => Refused} of an error in OpenAI's form or the flat one */
function refusalOf(body, status, retry) {
  const nested = body && typeof body.error === "object" ? body.error : null;
  const code = String(nested?.code ?? body?.error ?? `http_${status}`);
  return new Refused(status, code, String(nested?.message ?? body?.message ?? ""), retry);
}

/** @type {(path: string) => Promise<any>} */
export async function get(path) {
  return (await ask(path, { signal: AbortSignal.timeout(10_000) })).json();
}

/**
 * A file of the page.
 * @param {string} path
 */
export async function file(path) {
  return (await ask(path, { cache: "no-cache" })).blob();
}

/**
 * What the model saw of the last request's picture number `index`.
 * @param {number} index
 */
export async function seen(index) {
  return (await ask(`v1/seen/${index}`, { headers: { "x-hailo-session": SESSION } })).blob();
}

/**
 * Ask with a form; where the answer streams, its pieces of text are given on before the whole of it comes.
 * @param {string} path
 * @param {FormData} form
 * @param {{signal: AbortSignal, id: string, onText: (text: string) => void}} options
 * @returns {Promise<any>}
 */
export async function postForm(path, form, { signal, id, onText }) {
  const own = { "x-request-id": id, "x-hailo-session": SESSION };
  const answer = await ask(path, { method: "POST", body: form, headers: own, signal });
  if (!answer.headers.get("content-type")?.startsWith("text/event-stream")) return answer.json();
  let whole = null;
  await eachEvent(answer, signal, (event) => {
    if (typeof event.delta === "string") onText(event.delta);
    else whole = event;
  });
  return whole;
}

/**
 * Ask for a streamed answer and give each of its events on.
 * @param {string} path
 * @param {object} body
 * @param {{signal: AbortSignal, id: string, onEvent: (event: any) => void}} options
 */
export async function postStream(path, body, { signal, id, onEvent }) {
  const own = { "content-type": "application/json", "x-request-id": id, "x-hailo-session": SESSION };
  const answer = await ask(path, { method: "POST", body: JSON.stringify(body), headers: own, signal });
  await eachEvent(answer, signal, onEvent);
}

/** @type {(answer: Response, signal: AbortSignal, onEvent: (event: any) => void) => Promise<void>} */
async function eachEvent(answer, signal, onEvent) {
  if (!answer.body) throw new Refused(0, "unreachable", "");
  let ended = false;
  for await (const data of events(answer.body, signal)) {
    if (data === "[DONE]") {
      ended = true;
      break;
    }
    const event = JSON.parse(data);
    if (event.error) throw refusalOf(event, 200, 0);
    onEvent(event);
  }
  if (!ended) throw new Refused(0, "broken_off", "");
}

/**
 * The data of each server-sent event of a body.
 * @param {ReadableStream<Uint8Array>} body
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<string>}
 */
async function* events(body, signal) {
  const reader = body.pipeThrough(/** @type {any} */ (new TextDecoderStream())).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += value;
      const parts = rest.split("\n\n");
      rest = parts.pop() ?? "";
      for (const part of parts) if (part.startsWith("data: ")) yield part.slice(6);
    }
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Refused(0, "broken_off", String(error));
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** A name for a request, by which its place in the queue is found. */
export function requestId() {
  return `page-${drawnHex(12)}`;
}
