// The conversation of this browser, kept in this browser: it comes back after a reload and leaves with one click.

/**
 * @typedef {object} KeptTurn
 * @property {"user" | "assistant"} role
 * @property {string} text
 * @property {{name: string, blob: Blob, width: number, height: number, note: string}[]} pictures
 * @property {any} facts
 */

const NAME = "hailo-page";
const STORE = "conversation";

/** @returns {Promise<IDBDatabase>} */
function opened() {
  return new Promise((done, fail) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => done(request.result);
    request.onerror = () => fail(request.error ?? new Error());
  });
}

/**
 * @template T
 * @param {IDBTransactionMode} mode
 * @param {(store: IDBObjectStore) => IDBRequest<T>} work
 * @returns {Promise<T | undefined>} undefined in a browser that keeps nothing, such as a private window
 */
async function within(mode, work) {
  try {
    const base = await opened();
    try {
      const request = work(base.transaction(STORE, mode).objectStore(STORE));
      return await new Promise((done, fail) => {
        request.onsuccess = () => done(request.result);
        request.onerror = () => fail(request.error ?? new Error());
      });
    } finally {
      base.close();
    }
  } catch {
    return undefined;
  }
}

/** @returns {Promise<KeptTurn[]>} */
export async function load() {
  const kept = await within("readonly", (store) => store.get("turns"));
  return Array.isArray(kept) ? kept : [];
}

/** @param {KeptTurn[]} turns */
export async function save(turns) {
  await within("readwrite", (store) => store.put(turns, "turns"));
}

export async function clear() {
  await within("readwrite", (store) => store.clear());
}
