// Elements. Text of models enters the page through `textContent` and attributes only.

import { visible } from './text.js';

const SVG = 'http://www.w3.org/2000/svg';

/** @typedef {Node | string | number | null | undefined | false} Child */

/** Makes an HTML element: `el('button.quiet', {type: 'button'}, 'Fold')`.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T | `${T}.${string}`} name @param {Record<string, unknown>} [attributes] @param {...Child} children @returns {HTMLElementTagNameMap[T]} */
export function el(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split('.');
  const node = document.createElement(/** @type {T} */ (tag));
  if (classes.length) node.className = classes.join(' ');
  set(node, attributes);
  append(node, children);
  return node;
}

/** @template {keyof SVGElementTagNameMap} T @param {T | `${T}.${string}`} name @param {Record<string, unknown>} [attributes] @param {...Child} children @returns {SVGElementTagNameMap[T]} */
export function svg(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split('.');
  const node = document.createElementNS(SVG, /** @type {T} */ (tag));
  if (classes.length) node.setAttribute('class', classes.join(' '));
  set(node, attributes);
  append(node, children);
  return node;
}

/** @param {Element} node @param {Record<string, unknown>} attributes */
export function set(node, attributes) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) node.removeAttribute(key);
    else if (key.startsWith('on') && typeof value === 'function') node.addEventListener(key.slice(2), /** @type {EventListener} */ (value));
    else node.setAttribute(key, value === true ? '' : visible(value));
  }
}

/** @param {Element} node @param {Child[]} children */
function append(node, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : visible(child));
  }
}

/** Replaces the children. @param {Element} node @param {...Child} children */
export function fill(node, ...children) {
  node.replaceChildren();
  append(node, children);
}

/** A dotted name that breaks behind its dots. @param {string} name */
export function dotted(name) {
  const span = el('span.dotted');
  name.split('.').forEach((part, i, all) => {
    append(span, [part + (i + 1 < all.length ? '.' : ''), i + 1 < all.length ? el('wbr') : null]);
  });
  return span;
}

/** A section of the page. @param {string} id @param {string} title @param {string | Node | null} lead @param {...Child} children */
export function section(id, title, lead, ...children) {
  const heading = el('h2', { id: `${id}-title` }, title);
  return el('section.part', { id, 'aria-labelledby': `${id}-title` }, el('div.part-head', {}, heading, lead ? el('p.lead', {}, lead) : null), ...children);
}

/** A choice of few: buttons of which one is pressed.
 * @param {string} label @param {[string, string][]} options @param {string} chosen @param {(value: string) => void} choose */
export function choice(label, options, chosen, choose) {
  const buttons = options.map(([value, text]) =>
    el('button', { type: 'button', 'aria-pressed': String(value === chosen), onclick: () => pick(value) }, text),
  );
  /** @param {string} value */
  function pick(value) {
    buttons.forEach((button, i) => button.setAttribute('aria-pressed', String(options[i][0] === value)));
    choose(value);
  }
  return el('div.choice', { role: 'group', 'aria-label': label }, ...buttons);
}

/** Draws a chart again whenever its width changes, so that its text keeps its size. @param {SVGSVGElement} chart @param {number} height @param {(width: number) => void} draw */
export function responsive(chart, height, draw) {
  let known = 0;
  /** @param {number} width */
  const at = (width) => {
    known = width;
    set(chart, { viewBox: `0 0 ${width} ${height}` });
    draw(width);
  };
  at(1000);
  new ResizeObserver(() => {
    const width = Math.round(chart.getBoundingClientRect().width);
    if (width > 0 && Math.abs(width - known) > 1) at(width);
  }).observe(chart);
}

/** Saves a text as a file. @param {string} name @param {string} text @param {string} type */
export function save(name, text, type) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = el('a', { href: url, download: name.replace(/[^\w.-]+/g, '_') });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
