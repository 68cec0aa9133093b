// A text in the fragment of an address: nothing of it reaches a server. What is read is bounded, because anybody can write one.

/** Most characters of a fragment. */
export const MOST_CHARACTERS = 32_768;
/** Most bytes of what it unfolds to. */
export const MOST_BYTES = 262_144;

/** @param {Uint8Array} bytes */
function base64url(bytes) {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
}

/** @param {string} text */
function bytesOf(text) {
  const plain = atob(text.replace(/-/g, '+').replace(/_/g, '/'));
  return Uint8Array.from(plain, (c) => c.charCodeAt(0));
}

/** Reads a stream of at most `most` bytes. @param {ReadableStream<Uint8Array>} stream @param {number} most */
async function gathered(stream, most) {
  /** @type {Uint8Array[]} */
  const parts = [];
  let size = 0;
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > most) {
      await reader.cancel();
      throw new Error(`it has more than ${most} bytes`);
    }
    parts.push(value);
  }
  const all = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** @param {Uint8Array<ArrayBuffer>} bytes */
function streamOf(bytes) {
  return new Blob([bytes]).stream();
}

/** The fragment for a spec, `spec=...`. @param {{name: string, text: string}} spec */
export async function packed({ name, text }) {
  const bytes = new TextEncoder().encode(JSON.stringify({ name, text }));
  if (bytes.length > MOST_BYTES) throw new Error(`the spec has ${bytes.length} bytes, a link at most ${MOST_BYTES}`);
  const folded = base64url(await gathered(streamOf(bytes).pipeThrough(new CompressionStream('deflate-raw')), MOST_BYTES));
  if (folded.length > MOST_CHARACTERS) throw new Error(`the link would have ${folded.length} characters, at most ${MOST_CHARACTERS} are read`);
  return `spec=${folded}`;
}

/** The spec of a fragment, null if it has none. @param {string} fragment @returns {Promise<{name: string, text: string} | null>} */
export async function unpacked(fragment) {
  const folded = fragment.replace(/^#/, '').match(/^spec=(.*)$/s)?.[1];
  if (folded === undefined) return null;
  if (folded.length > MOST_CHARACTERS) throw new Error(`it has ${folded.length} characters, at most ${MOST_CHARACTERS} are read`);
  const bytes = await gathered(streamOf(bytesOf(folded)).pipeThrough(new DecompressionStream('deflate-raw')), MOST_BYTES);
  const found = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  if (typeof found?.name !== 'string' || typeof found?.text !== 'string') throw new Error('it is no spec');
  return { name: found.name.slice(0, 100), text: found.text };
}
