// Numbers and names as people read them: the forms of `render/value.rs`.

/** @param {number} n */
export function grouped(n) {
  return Number.isInteger(n) ? n.toLocaleString('en-US', { maximumFractionDigits: 0 }) : n.toLocaleString('en-US', { maximumFractionDigits: 2 });
}

/** Four significant digits: `4.089 G`. @param {number} n */
export function magnitude(n) {
  return scaled(n, 1000, ['', 'k', 'M', 'G', 'T', 'P', 'E'], 4);
}

/** Three significant digits: `9.38 MiB`. @param {number} n */
export function bytes(n) {
  return scaled(n, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'], 3);
}

/** As `number.rs`: the unit follows from the number that will be printed. @param {number} value @param {number} base @param {string[]} units @param {number} digits */
function scaled(value, base, units, digits) {
  if (value < base) return `${grouped(value)}${units[0] && `\u2009${units[0]}`}`;
  let [left, unit] = [value, 0];
  while (unit + 1 < units.length && Number(left.toFixed(decimals(left, digits))) >= base) {
    left /= base;
    unit += 1;
  }
  return `${left.toFixed(decimals(left, digits))}\u2009${units[unit]}`;
}

/** The decimals that show a value with some significant digits. @param {number} value @param {number} digits */
function decimals(value, digits) {
  for (let places = digits - 1; places > 0; places -= 1) {
    const whole = Math.floor(Number(value.toFixed(places))).toString().length;
    if (whole + places <= digits) return places;
  }
  return 0;
}

/** @param {number} part @param {number} whole */
export function percent(part, whole) {
  if (!whole) return '';
  const share = (100 * part) / whole;
  return share > 0 && share < 0.1 ? '<0.1\u2009%' : `${share.toFixed(1)}\u2009%`;
}

/** `1.25 ms`. @param {number} s seconds */
export function duration(s) {
  return s >= 1 ? `${s.toFixed(2)}\u2009s` : s >= 1e-3 ? `${(s * 1e3).toFixed(2)}\u2009ms` : `${(s * 1e6).toFixed(1)}\u2009\u00b5s`;
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
