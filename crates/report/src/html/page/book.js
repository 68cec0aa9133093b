// What concerns several networks: the comparison, and what changed since an older one.

import { el, section } from './dom.js';
import { bytes, grouped, magnitude } from './text.js';

/** The networks side by side; a name shows its network. @param {any} compare @param {number} shown @param {(index: number) => void} choose */
export function comparePart(compare, shown, choose) {
  /** @type {[string, (network: any) => string, string | null][]} */
  const columns = [
    ['Parameters', (n) => magnitude(n.params), 'params'],
    ['MACs', (n) => magnitude(n.macs), 'macs'],
    ['FLOPs', (n) => magnitude(n.flops), 'flops'],
    ['Activations', (n) => bytes(n.activations), 'activations'],
    ['Peak', (n) => bytes(n.peak), 'peak'],
    ['Depth', (n) => grouped(n.depth), null],
    ['Layers', (n) => grouped(n.layers), null],
    ['Field', (n) => (n.rf ? [...new Set(n.rf)].join('\u00d7') : '\u2013'), null],
  ];
  return section('compare', 'Networks', 'Ratios are against the first.',
    el('div.wide', { tabindex: '0', role: 'region', 'aria-label': 'Comparison of the networks' }, el('table.small.compare', {},
      el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, 'Network'), ...columns.map(([title]) => el('th.n', { scope: 'col' }, title)))),
      el('tbody', {}, ...compare.networks.map((/** @type {any} */ network, /** @type {number} */ i) => el(i === shown ? 'tr.chosen' : 'tr', {},
        el('th', { scope: 'row' }, el('button.link', { type: 'button', 'aria-current': i === shown ? 'true' : null, onclick: () => choose(i) }, network.name)),
        ...columns.map(([, text, key]) => {
          const ratio = key ? compare.ratios[i]?.[key] : null;
          return el('td.n', {}, text(network), i > 0 && typeof ratio === 'number' ? el('span.ratio', {}, `${ratio.toFixed(3)}\u00d7`) : null);
        })))))));
}

/** What changed. @param {any} diff */
export function diffPart(diff) {
  const value = (/** @type {any} */ x) => (x === null || x === undefined ? '\u2013' : Array.isArray(x) ? x.map((y) => (typeof y === 'number' ? grouped(y) : String(y))).join('\u2009\u00d7\u2009') : typeof x === 'number' ? grouped(x) : String(x));
  const changed = diff.quantities.filter((/** @type {any} */ q) => JSON.stringify(q.old) !== JSON.stringify(q.new));
  const change = (/** @type {any} */ q) => {
    if (typeof q.old !== 'number' || typeof q.new !== 'number') return '';
    const by = q.new - q.old;
    const share = q.old ? ` (${by > 0 ? '+' : ''}${((100 * by) / q.old).toFixed(1)}\u2009%)` : '';
    return `${by > 0 ? '+' : '\u2212'}${grouped(Math.abs(by))}${share}`;
  };
  const blocks = diff.blocks ?? [];
  return section('diff', 'What changed', el('span', {}, el('code', {}, diff.old), ' \u2192 ', el('code', {}, diff.new)),
    changed.length
      ? el('div.wide', { tabindex: '0', role: 'region', 'aria-label': 'Changed quantities' }, el('table.small', {}, el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, 'Quantity'), ...['Old', 'New', 'Change'].map((text) => el('th.n', { scope: 'col' }, text)))),
          el('tbody', {}, ...changed.map((/** @type {any} */ q) => el('tr', {}, el('th', { scope: 'row' }, q.name), el('td.n', {}, value(q.old)), el('td.n', {}, value(q.new)), el('td.n', {}, change(q)))))))
      : el('p', {}, 'No figure changed.'),
    blocks.length ? el('div.wide', { tabindex: '0', role: 'region', 'aria-label': 'Changed blocks' }, blockTable(blocks)) : null);
}

/** @param {any[]} blocks */
function blockTable(blocks) {
  const pair = (/** @type {any} */ old, /** @type {any} */ now) => {
    if (typeof old !== 'number' && typeof now !== 'number') return '';
    const by = (now ?? 0) - (old ?? 0);
    return by === 0 ? '=' : `${by > 0 ? '+' : '\u2212'}${magnitude(Math.abs(by))}`;
  };
  return el('table.small', {}, el('caption', {}, 'Blocks'), el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, 'Block'), el('th', { scope: 'col' }, 'Status'), el('th.n', { scope: 'col' }, 'Parameters'), el('th.n', { scope: 'col' }, 'MACs'))),
    el('tbody', {}, ...blocks.map((block) => el('tr', {}, el('th', { scope: 'row' }, block.id), el('td', {}, !block.old ? 'new' : !block.new ? 'removed' : 'changed'), el('td.n', {}, pair(block.old?.params, block.new?.params)), el('td.n', {}, pair(block.old?.macs, block.new?.macs))))));
}
