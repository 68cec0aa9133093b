// @ts-check
// cnnkit in a thread of its own: one request, one answer. The page starts it from its text, with a compiled module.
'use strict';

/** @typedef {{memory: WebAssembly.Memory, reserve: (length: number) => number, call: (head: number) => number, last_words: () => number, answer: () => number}} Exports */

/** @type {Exports | null} */
let cnnkit = null;

/** @param {Exports} exports @param {number} length */
function answered({ memory, answer }, length) {
  return new TextDecoder().decode(new Uint8Array(memory.buffer, answer() >>> 0, length >>> 0));
}

/** @param {Exports} exports @param {string} text @param {ArrayBuffer} [file] */
function ask(exports, text, file) {
  const head = new TextEncoder().encode(text);
  const at = exports.reserve(head.length + (file ? file.byteLength : 0)) >>> 0;
  if (at === 0) return { flaw: 'There is no memory for this file in a page; the program reads it from the disk.' };
  const memory = new Uint8Array(exports.memory.buffer);
  memory.set(head, at);
  if (file) memory.set(new Uint8Array(file), at + head.length);
  return { answer: answered(exports, exports.call(head.length)) };
}

/** Why an instance ended. @param {Exports} exports @param {unknown} error */
function reason(exports, error) {
  try {
    const length = exports.last_words();
    if (length) return answered(exports, length);
  } catch {
    // It can say nothing more.
  }
  return error instanceof RangeError ? `too deep for a page: ${error.message}` : String(error);
}

self.onmessage = ({ data }) => {
  if (data.module) {
    // Not asynchronously: a request that came meanwhile would find no instance.
    const instance = new WebAssembly.Instance(/** @type {WebAssembly.Module} */ (data.module), {});
    cnnkit = /** @type {Exports} */ (/** @type {unknown} */ (instance.exports));
    return;
  }
  const exports = cnnkit;
  if (!exports) return;
  const start = performance.now();
  try {
    self.postMessage({ id: data.id, ...ask(exports, data.request, data.file), seconds: (performance.now() - start) / 1000 });
  } catch (error) {
    self.postMessage({ id: data.id, fatal: reason(exports, error) });
  }
};
