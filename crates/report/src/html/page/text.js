// Numbers and names as people read them: the forms of `render/value.rs`.

/** @param {number} n */
export function grouped(n) {
  return Number.isInteger(n) ? n.toLocaleString('en-US', { maximumFractionDigits: 0 }) : n.toLocaleString('en-US', { maximumFractionDigits: 2 });
}

/** `4.089 G`. @param {number} n */
export function magnitude(n) {
  for (const [unit, size] of /** @type {[string, number][]} */ ([['T', 1e12], ['G', 1e9], ['M', 1e6], ['k', 1e3]])) {
    if (n >= size) return `${digits(n / size)}\u2009${unit}`;
  }
  return grouped(n);
}

/** `9.4 MiB`. @param {number} n */
export function bytes(n) {
  for (const [unit, size] of /** @type {[string, number][]} */ ([['TiB', 2 ** 40], ['GiB', 2 ** 30], ['MiB', 2 ** 20], ['KiB', 2 ** 10]])) {
    if (n >= size) return `${digits(n / size)}\u2009${unit}`;
  }
  return `${grouped(n)}\u2009B`;
}

/** @param {number} x */
function digits(x) {
  return x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x.toFixed(2);
}

/** @param {number} part @param {number} whole */
export function percent(part, whole) {
  if (!whole) return '';
  const share = (100 * part) / whole;
  return share > 0 && share < 0.1 ? '<0.1\u2009%' : `${share.toFixed(1)}\u2009%`;
}

/** `[64, 56, 56]`, `?` where it is open. @param {number[] | null | undefined} shape */
export function shapeText(shape) {
  return shape ? shape.join('\u2009\u00d7\u2009') : '?';
}

/** Returns a text in which every character is seen rather than obeyed, as `render/safe.rs` does. @param {unknown} text */
export function visible(text) {
  return String(text).replace(/[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g, (c) => {
    const code = c.charCodeAt(0);
    return code < 0x20 ? String.fromCharCode(0x2400 + code) : `<U+${code.toString(16).toUpperCase().padStart(4, '0')}>`;
  });
}

/** A field of CSV: quoted where needed, and marked where a spreadsheet would compute it. @param {string | number} value */
export function csvField(value) {
  let text = typeof value === 'number' ? String(value) : visible(value);
  if (typeof value !== 'number' && /^[=+\-@\t]/.test(text)) text = `'${text}`;
  return /[",\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
}

/** `one layer`, `3 layers`. @param {number} n @param {string} word */
export function plural(n, word) {
  return n === 1 ? `1 ${word}` : `${grouped(n)} ${word}s`;
}
