// The page: its bar, the parts of one network, and which network is shown.

import { comparePart, diffPart } from './book.js';
import { cardPart } from './card.js';
import { channelsPart, memoryPart, pathsPart, rooflinePart, treemapPart } from './charts.js';
import { el, fill } from './dom.js';
import { graphPart } from './graph.js';
import { checkPart, headPart } from './head.js';
import { microscopePart } from './microscope.js';
import { Model } from './model.js';
import { layersPart } from './table.js';

/** @typedef {{networks: import('./model.js').Network[], compare?: any, diff?: any, picture?: string}} Book */

const THEME = 'cnnkit-theme';

/** Shows a report inside `root`; `embedded` in a page that has a bar of its own, where a report that is shown again keeps
 * what was opened and chosen. @param {HTMLElement} root @param {Book} book @param {{first?: number, embedded?: boolean}} [options] */
export function show(root, book, { first = 0, embedded = false } = {}) {
  const image = book.picture ? new Image() : null;
  if (image && book.picture) {
    image.src = book.picture;
    image.addEventListener('load', () => draw(shown));
  }
  let shown = first;
  draw(first);

  /** @param {number} index */
  function draw(index) {
    shown = index;
    const network = book.networks[index];
    if (!network) {
      fill(root, el('p', {}, 'This report has no network.'));
      return;
    }
    const before = embedded ? /** @type {{model?: Model}} */ (root).model : undefined;
    const model = new Model(network, before?.opened);
    const ready = image && image.complete && image.naturalWidth > 0 ? image : null;
    const parts = [
      book.compare ? comparePart(book.compare, index, (next) => { draw(next); document.getElementById('top')?.scrollIntoView(); }) : null,
      book.diff ? diffPart(book.diff) : null,
      checkPart(model),
      el('div.bench', {}, graphPart(model), cardPart(model)),
      microscopePart(model, ready),
      memoryPart(model),
      treemapPart(model),
      rooflinePart(model),
      channelsPart(model),
      pathsPart(model),
      layersPart(model),
    ].filter((part) => part !== null);
    const links = /** @type {[string, string][]} */ ([['checks', 'Checks'], ['graph', 'Graph'], ['field', 'Field'], ['memory', 'Memory'], ['cost', 'Cost'], ['intensity', 'Intensity'], ['channels', 'Channels'], ['paths', 'Paths'], ['layers', 'Layers']]);
    if (book.diff) links.unshift(['diff', 'Changes']);
    if (book.compare) links.unshift(['compare', 'Networks']);
    const bar = el('nav', { 'aria-label': 'Parts of the report' }, ...links.map(([id, text]) => el('a', { href: `#${id}` }, text)));
    fill(root,
      embedded ? null : el('a.skip', { href: '#main' }, 'Skip to the figures'),
      embedded ? el('div.top', {}, bar) : el('div.top', {}, el('a.brand', { href: '#top' }, 'cnnkit'), bar, themeButton()),
      el('main', { id: 'main', tabindex: '-1' }, headPart(model), ...parts),
      embedded ? null : el('footer', {}, 'Made by cnnkit. Every figure follows from the layers; this file makes no request.'));
    // For the next one, for tests, and for whoever looks into the page.
    Object.assign(root, { model });
    const again = before && before.chosen >= 0 ? model.index.get(before.nodes[before.chosen].id) : undefined;
    if (again !== undefined) model.choose(again, 'before');
  }
}

/** A button between light and dark; without a choice the page follows the system. */
export function themeButton() {
  const root = document.documentElement;
  try {
    const stored = localStorage.getItem(THEME);
    if (stored === 'light' || stored === 'dark') root.dataset.theme = stored;
  } catch {
    // No storage in this browser: the choice lasts as long as the page.
  }
  const dark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches);
  const button = el('button.theme', { type: 'button', 'aria-pressed': String(dark()) }, 'Dark');
  button.addEventListener('click', () => {
    root.dataset.theme = dark() ? 'light' : 'dark';
    button.setAttribute('aria-pressed', String(dark()));
    document.dispatchEvent(new Event('theme'));
    try {
      localStorage.setItem(THEME, root.dataset.theme);
    } catch {
      // As above.
    }
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    button.setAttribute('aria-pressed', String(dark()));
    document.dispatchEvent(new Event('theme'));
  });
  return button;
}

const data = document.getElementById('data');
const app = document.getElementById('app');
if (data && app) {
  /** @type {Book} */
  const book = JSON.parse(data.textContent ?? '{"networks": []}');
  // Of two versions the newer one comes first into view.
  show(app, book, { first: book.diff ? 1 : 0 });
}
