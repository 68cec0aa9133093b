// Tables that sort and save.

import { el, fill, save, section, set } from './dom.js';
import { bytes, csvField, duration, grouped, shapeText } from './text.js';

/** @typedef {import('./model.js').Model} Model */
/** A column: its title, its value for sorting and CSV, its text, and whether it is a number. @typedef {{title: string, key: string, value: (node: number) => string | number, text?: (node: number) => string, number?: boolean}} Column */

/** The table of layers. @param {Model} model */
export function layersPart(model) {
  /** @param {number} node */
  const field = (node) => (model.fields[node] ?? [])[0];
  /** @type {Column[]} */
  const columns = [
    { title: 'Layer', key: 'id', value: (n) => model.nodes[n].id },
    { title: 'Kind', key: 'op', value: (n) => model.layers[n].op },
    { title: 'Settings', key: 'settings', value: (n) => model.layers[n].settings },
    { title: 'Output', key: 'output', value: (n) => (model.nodes[n].shape ?? []).join('x'), text: (n) => shapeText(model.nodes[n].shape), number: true },
    { title: 'Parameters', key: 'params', value: (n) => model.layers[n].params, number: true },
    { title: 'MACs', key: 'macs', value: (n) => model.layers[n].macs, number: true },
    { title: 'Other ops', key: 'other_ops', value: (n) => model.layers[n].other_ops, number: true },
    { title: 'Bytes', key: 'output_bytes', value: (n) => model.outputBytes(n), text: (n) => bytes(model.outputBytes(n)), number: true },
    { title: 'Field', key: 'field', value: (n) => (field(n) ? Math.max(0, ...field(n).size) : 0), text: (n) => (!field(n) ? '' : field(n).global ? 'all' : [...new Set(field(n).size)].join('\u00d7')), number: true },
    { title: 'Jump', key: 'jump', value: (n) => number(field(n)?.jump?.[0]), text: (n) => (field(n) ? [...new Set(field(n).jump)].join('\u00d7') : ''), number: true },
  ];
  if (model.network.profile) {
    const fused = (/** @type {number} */ n) => model.hosts[n] !== n;
    columns.push({ title: 'Time', key: 'seconds', value: (n) => model.seconds[n], text: (n) => (model.isInput(n) ? '\u2013' : fused(n) ? 'fused' : duration(model.seconds[n])), number: true });
  }
  const all = model.nodes.map((_, node) => node);
  let sorted = { column: -1, down: false };
  let query = '';
  const search = el('input', { type: 'search', placeholder: 'Filter', 'aria-label': 'Filter the layers', spellcheck: 'false', autocomplete: 'off', oninput: () => { query = search.value.trim().toLowerCase(); draw(); } });
  const found = el('span.found', { 'aria-live': 'polite' });
  const body = el('tbody');
  const heads = columns.map((column, i) => el(column.number ? 'th.n' : 'th', { scope: 'col', 'aria-sort': 'none' }, el('button.sort', { type: 'button', onclick: () => sort(i) }, column.title)));
  const table = el('table.layers', {}, el('caption.hidden', {}, `Layers of ${model.name}`), el('thead', {}, el('tr', {}, ...heads)), body);
  /** @type {Map<number, HTMLTableRowElement>} */
  const rows = new Map();
  for (const node of all) {
    rows.set(node, el('tr', {}, ...columns.map((column, i) => {
      const value = column.value(node);
      const text = column.text ? column.text(node) : typeof value === 'number' ? (value ? grouped(value) : '\u2013') : value;
      if (i === 0) return el('th', { scope: 'row' }, el('button.link', { type: 'button', onclick: () => model.choose(node, 'table') }, text));
      return el(column.number ? 'td.n' : 'td', {}, text);
    })));
  }
  const scroll = el('div.wide.tall', { tabindex: '0', role: 'region', 'aria-label': 'Table of layers' }, table);
  model.onChoose((node, from) => {
    rows.forEach((row, other) => row.classList.toggle('chosen', other === node));
    const row = rows.get(node);
    if (row && from !== 'table' && row.isConnected) scroll.scrollTop = row.offsetTop - scroll.clientHeight / 2;
  });
  draw();
  return section('layers', 'Layers', null, el('div.bar', {}, el('div.search', {}, search, found), el('button', { type: 'button', onclick: () => save(`${model.name}-layers.csv`, csv(), 'text/csv') }, 'Save CSV')), scroll);

  /** @param {number | string | undefined} x */
  function number(x) {
    if (typeof x !== 'string') return x ?? 0;
    const [top, bottom] = x.split('/').map(Number);
    return top / (bottom || 1);
  }

  /** @param {number} column */
  function sort(column) {
    const first = Boolean(columns[column].number);
    if (sorted.column !== column) sorted = { column, down: first };
    else if (sorted.down === first) sorted = { column, down: !first };
    else sorted = { column: -1, down: false };
    heads.forEach((head, i) => set(head, { 'aria-sort': i !== sorted.column ? 'none' : sorted.down ? 'descending' : 'ascending' }));
    draw();
  }

  /** The rows that are shown, in order. */
  function shown() {
    const list = query ? all.filter((node) => model.nodes[node].id.toLowerCase().includes(query) || model.layers[node].op.includes(query)) : all.slice();
    if (sorted.column < 0) return list;
    const { value } = columns[sorted.column];
    const sign = sorted.down ? -1 : 1;
    return list.sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      return sign * (typeof x === 'number' && typeof y === 'number' ? x - y : String(x).localeCompare(String(y), 'en', { numeric: true })) || a - b;
    });
  }

  function draw() {
    const list = shown();
    fill(body, ...list.map((node) => rows.get(node)));
    found.textContent = query ? `${list.length} of ${all.length}` : `${all.length} rows`;
  }

  function csv() {
    const lines = [columns.map((column) => column.key).join(',')];
    for (const node of shown()) lines.push(columns.map((column) => csvField(column.value(node))).join(','));
    return `${lines.join('\n')}\n`;
  }
}
