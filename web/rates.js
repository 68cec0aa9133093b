// Dilation rates as a toy: what a stack reads, the published rule beside the exact truth, and rates that would do better.

import { el, fill, save } from './page/dom.js';
import { grouped, percent } from './page/text.js';

/** @typedef {import('./engine.js').Engine} Engine */

const PRESETS = [
  ['2,2,2', '3', 2, 'equal rates leave holes'],
  ['1,2,5', '3', 2, 'HDC: no holes'],
  ['2,2,3', '3', 2, 'the rule passes, yet there are holes'],
  ['1,4,2', '3', 2, 'the rule fails, yet nothing is missed'],
  ['1,2,5,1,2,5', '3', 2, 'a sawtooth'],
  ['1,2,4,8,16', '2', 1, 'WaveNet'],
  ['1x3,3x1', '3', 2, 'per axis'],
];
/** Largest side of the map in cells: a wider one is shown around its middle. */
const MOST = 301;

/** A count, which may be larger than JavaScript's exact integers. @param {number} n */
export function exact(n) {
  return Number.isSafeInteger(n) ? grouped(n) : `about ${n.toExponential(3).replace('e+', '\u2009\u00d7\u200910^')}`;
}

/** @param {any} gridding */
function holes({ total, covered, coverage, hole_free: none }) {
  if (none) return '0';
  // A difference of numbers that are not exact is not exact, however small it is.
  return Number.isSafeInteger(total) ? grouped(total - covered) : `about ${(total * (1 - coverage)).toExponential(3)}`;
}

/** @param {number[]} list */
function largest(list) {
  return list.reduce((most, value) => Math.max(most, value), 0);
}

/** @param {Engine} engine @param {(name: string, text: string) => void} open shows a spec in the editor */
export function ratesView(engine, open) {
  const rates = el('input.rates', { type: 'text', value: '2,2,2', spellcheck: 'false', autocomplete: 'off', 'aria-label': 'Dilation rates from the input to the output', maxlength: '400' });
  const kernel = el('input.kernel', { type: 'text', value: '3', spellcheck: 'false', autocomplete: 'off', maxlength: '200' });
  const axes = el('select', {}, ...[1, 2, 3].map((n) => el('option', { value: n, selected: n === 2 }, String(n))));
  const layer = el('input', { type: 'range', min: '1', max: '3', value: '3', step: '1', 'aria-label': 'Layers of the map, from the input' });
  const layerText = el('span.quiet', {});
  const flaws = el('div.rate-flaws', { role: 'status' });
  const canvas = el('canvas.coverage', { tabindex: '0', role: 'img' });
  const at = el('p.at', { 'aria-live': 'polite' }, '\u00a0');
  const verdicts = el('div.verdicts');
  const facts = el('dl.facts');
  const better = el('div.better');
  const figure = el('button', { type: 'button' }, 'Save the figure');
  const network = el('button', { type: 'button' }, 'Open as a network');
  const map = el('div.map', {}, canvas, at, el('label.layers-shown', {}, layerText, layer), el('div.bar', {}, figure, network));
  const result = el('div.rates-result', {}, map, el('div', {}, verdicts, better, facts));
  const root = el('main.room.rates-view', { id: 'rates', hidden: true },
    el('h1', {}, 'Which positions does a stack of dilated convolutions read?'),
    el('p.description', {}, 'Type dilation rates from the input to the output. The map shows every position of the receptive field, shaded by the number of ways in which it reaches the output; what stays empty is never read, whatever the weights.'),
    el('form.rates-form', { onsubmit: (/** @type {Event} */ event) => event.preventDefault() },
      el('label', {}, 'Rates', rates), el('label', {}, 'Kernel', kernel), el('label', {}, 'Axes', axes)),
    el('div.presets', { role: 'group', 'aria-label': 'Examples' }, ...PRESETS.map(([list, k, n, what]) => el('button', { type: 'button', onclick: () => set(String(list), String(k), Number(n)) }, el('code', {}, String(list)), el('span', {}, String(what))))),
    flaws, result);

  /** @type {any} */
  let shown = null;
  /** @type {any} */
  let whole = null;
  let timer = 0;
  for (const field of [rates, kernel]) field.addEventListener('input', () => { clearTimeout(timer); timer = window.setTimeout(ask, 120); });
  axes.addEventListener('change', ask);
  layer.addEventListener('input', () => { askMap(); });
  document.addEventListener('theme', () => draw());
  canvas.addEventListener('pointermove', (event) => point(event));
  canvas.addEventListener('pointerleave', () => { at.textContent = '\u00a0'; });
  figure.addEventListener('click', () => { if (whole) save(`gridding-${rates.value}.svg`, whole.figures[0], 'image/svg+xml'); });
  network.addEventListener('click', () => { if (whole?.gridding) open('dilated.yaml', spec(whole.gridding)); });
  new ResizeObserver(() => draw()).observe(map);
  return { root, ask, set, get: () => ({ rates: rates.value, kernel: kernel.value, axes: Number(axes.value) }) };

  /** @param {string} list @param {string} k @param {number} n */
  function set(list, k, n) {
    [rates.value, kernel.value, axes.value] = [list, k, String(n)];
    ask();
  }

  async function ask() {
    const typed = rates.value.trim();
    const { json, flaw, replaced } = await engine.ask({ do: 'rates', rates: typed, kernel: kernel.value.trim(), axes: Number(axes.value) }, { slot: 'rates' });
    if (replaced) return;
    if (!json || !json.gridding) {
      const marks = json ? json.marks : [{ message: flaw ?? 'stopped', help: [], place: null }];
      fill(flaws, ...marks.map((/** @type {any} */ mark) => wrong(mark, typed)));
      root.classList.add('stale');
      rates.setAttribute('aria-invalid', 'true');
      return;
    }
    rates.removeAttribute('aria-invalid');
    root.classList.remove('stale');
    fill(flaws);
    [whole, shown] = [json, json.gridding];
    const count = json.gridding.rates.length;
    layer.max = layer.value = String(count);
    layer.disabled = count < 2;
    tell(json);
    draw();
  }

  /** A flaw, with the token that has it. @param {any} mark @param {string} typed */
  function wrong(mark, typed) {
    const place = mark.place;
    const text = place?.file === 'rates' ? typed : place?.file === 'kernel' ? kernel.value.trim() : '';
    return el('div.rate-flaw', {},
      el('p', {}, el('span.badge.error', {}, 'error'), ' ', mark.message),
      text ? el('p', {}, el('code', {}, text.slice(0, place.from), el('mark', {}, text.slice(place.from, place.to) || '\u2038'), text.slice(place.to))) : null,
      ...mark.help.map((/** @type {string} */ help) => el('p.quiet', {}, help)));
  }

  /** Asks for the map of the first layers. */
  async function askMap() {
    if (!whole?.gridding) return;
    const first = Number(layer.value);
    const { gridding } = whole;
    if (first === gridding.rates.length) {
      shown = gridding;
      draw();
      return;
    }
    const list = (/** @type {any[]} */ values) => values.slice(0, first).map((value) => (Array.isArray(value) ? value.join('x') : value)).join(',');
    const { json } = await engine.ask({ do: 'rates', rates: list(gridding.rates), kernel: list(gridding.kernels), axes: gridding.axes }, { slot: 'map' });
    if (json?.gridding) {
      shown = json.gridding;
      draw();
    }
  }

  /** @param {any} json */
  function tell({ gridding, hdc, without }) {
    const exactOk = gridding.hole_free;
    fill(verdicts,
      hdc
        ? verdict('Published rule', 'Wang et al. 2018, section 3.2', hdc.rule_ok, hdc.groups.map((/** @type {any} */ group) => `${group.rates.join(', ')}: gcd ${group.gcd}, M\u2082 = ${group.m2} ${group.m2_ok ? '\u2264' : '>'} ${hdc.kernel}`).slice(0, 4))
        : verdict('Published rule', 'Wang et al. 2018, section 3.2', null, [without?.message ?? '']),
      verdict('Exact coverage', 'every tap counted', exactOk, [`${exact(gridding.covered)} of ${exact(gridding.total)} positions read`, exactOk ? 'no hole' : `largest gap ${grouped(gridding.max_gap)}`]));
    const sentence = hdc ? el('p.difference', {}, el(`span.badge.${hdc.agrees ? 'good' : 'warning'}`, {}, hdc.agrees ? 'they agree' : 'they differ'), ` ${hdc.difference}`) : null;
    if (sentence) verdicts.append(sentence);
    const offers = hdc?.proposals ? [...hdc.proposals.nearest, hdc.proposals.widest_within, hdc.proposals.widest].filter(Boolean) : [];
    const known = new Set();
    const distinct = offers.filter((/** @type {any} */ offer) => { const key = offer.rates.join(); return known.has(key) ? false : known.add(key); });
    fill(better, distinct.length ? el('h2', {}, 'Rates that pass both') : null,
      distinct.length ? el('div.presets', {}, ...distinct.map((/** @type {any} */ offer) => el('button', { type: 'button', onclick: () => set(offer.groups.map((/** @type {number[]} */ group) => group.join(',')).join('/'), kernel.value, Number(axes.value)) }, el('code', {}, offer.rates.join(',')), el('span', {}, `reads ${grouped(offer.size)} per axis`)))) : null);
    const rows = /** @type {[string, string][]} */ ([
      ['Receptive field', gridding.size.map((/** @type {number} */ n) => exact(n)).join(' \u00d7 ')],
      ['Coverage', percent(gridding.coverage, 1)],
      ['Holes', holes(gridding)],
      ['Sub-grids', gridding.sub_grids === null ? 'no outputs share inputs' : gridding.sub_grids === 1 ? '1: all outputs are linked' : `${exact(gridding.sub_grids)}: classes of outputs that share no input`],
      ['Paths through taps', exact(gridding.paths)],
      ['Breaks at', gridding.breaks ? `rate ${gridding.breaks.rate}; at most ${gridding.breaks.largest} fits beside the smaller ones` : 'no rate'],
    ]);
    fill(facts, ...rows.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]));
  }

  /** @param {string} name @param {string} source @param {boolean | null} ok @param {string[]} lines */
  function verdict(name, source, ok, lines) {
    return el(`section.verdict.${ok === null ? 'none' : ok ? 'good' : 'bad'}`, { 'aria-label': name },
      el('h2', {}, name), el('p.quiet', {}, source),
      el('p.word', {}, ok === null ? 'does not apply' : ok ? 'holds' : 'fails'),
      ...lines.map((line) => el('p', {}, line)));
  }

  /** The part of an axis that is shown: all of it, or its middle. @param {number} size @returns {[number, number]} */
  function window_(size) {
    if (size <= MOST) return [0, size];
    const first = Math.floor((size - MOST) / 2);
    return [first, first + MOST];
  }

  function grid() {
    const lists = shown?.multiplicity;
    if (!lists) return null;
    // Of three axes, the slice through the middle of the first.
    const last = lists.slice(-2);
    const rows = last.length === 2 ? last[0] : [1];
    const columns = last[last.length - 1];
    const factor = lists.length === 3 ? lists[0][Math.floor(lists[0].length / 2)] : 1;
    return { rows, columns, factor, y: window_(rows.length), x: window_(columns.length) };
  }

  function draw() {
    if (!shown || root.hidden) return;
    const cells = grid();
    layerText.textContent = Number(layer.value) === Number(layer.max) ? `after all ${layer.max} layers` : `after ${layer.value} of ${layer.max} layers`;
    const context = canvas.getContext('2d');
    if (!context) return;
    if (!cells) {
      [canvas.width, canvas.height] = [1, 1];
      at.textContent = 'The map is too wide to list; its figures are exact.';
      return;
    }
    const [height, width] = [cells.y[1] - cells.y[0], cells.x[1] - cells.x[0]];
    const ratio = window.devicePixelRatio || 1;
    const space = Math.max(160, Math.min(map.clientWidth, 620)) * ratio;
    const cell = Math.max(1, Math.min(Math.floor(space / width), Math.floor((560 * ratio) / height), 44 * ratio));
    const tall = height === 1 ? Math.max(cell, 40 * ratio) : cell;
    [canvas.width, canvas.height] = [cell * width, tall * height];
    canvas.style.width = `${canvas.width / ratio}px`;
    canvas.style.height = `${canvas.height / ratio}px`;
    canvas.setAttribute('aria-label', `Coverage map, ${shown.size.join(' by ')}: ${exact(shown.covered)} of ${exact(shown.total)} positions are read`);
    const style = getComputedStyle(document.documentElement);
    const colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
    const heat = [1, 2, 3, 4, 5, 6, 7].map((level) => colour(`--h${level}`));
    const most = largest(cells.rows) * largest(cells.columns) * cells.factor;
    const gap = cell >= 6 * ratio ? Math.max(1, Math.round(cell / 14)) : 0;
    context.fillStyle = colour('--surface');
    context.fillRect(0, 0, canvas.width, canvas.height);
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1) {
        const value = cells.rows[cells.y[0] + y] * cells.columns[cells.x[0] + x] * cells.factor;
        const level = value ? Math.max(1, Math.ceil((Math.log1p(value) / Math.log1p(most)) * 6)) : 0;
        context.fillStyle = value ? heat[level] : colour('--sunk');
        context.fillRect(x * cell, y * tall, cell - gap, tall - gap);
        if (!value && cell >= 8 * ratio) {
          // A hole is seen without colours, too.
          context.fillStyle = colour('--bad');
          const dot = Math.max(2, Math.round(cell / 9));
          context.fillRect(x * cell + (cell - gap - dot) / 2, y * tall + (tall - gap - dot) / 2, dot, dot);
        } else if (value && cell >= 26 * ratio && value < 10_000) {
          context.fillStyle = level >= 5 ? colour('--heat-ink-strong') : colour('--heat-ink');
          context.font = `${Math.round(cell * 0.34)}px ${colour('--sans')}`;
          context.textAlign = 'center';
          context.textBaseline = 'middle';
          context.fillText(String(value), x * cell + (cell - gap) / 2, y * tall + (tall - gap) / 2 + 1);
        }
      }
    }
  }

  /** @param {PointerEvent} event */
  function point(event) {
    const cells = grid();
    if (!cells) return;
    const box = canvas.getBoundingClientRect();
    const pick = (/** @type {number} */ share, /** @type {[number, number]} */ [from, to]) => from + Math.min(to - from - 1, Math.max(0, Math.floor(share * (to - from))));
    const y = pick((event.clientY - box.top) / box.height, cells.y);
    const x = pick((event.clientX - box.left) / box.width, cells.x);
    const value = cells.rows[y] * cells.columns[x] * cells.factor;
    at.textContent = `${cells.rows.length > 1 ? `(${y}, ${x})` : x}: ${value === 0 ? 'never read' : value === 1 ? 'read in one way' : `read in ${exact(value)} ways`}`;
  }

  /** A network of the stack. @param {any} gridding */
  function spec(gridding) {
    const one = (/** @type {any} */ value) => (Array.isArray(value) ? `[${value.join(', ')}]` : String(value));
    const size = gridding.size.map((/** @type {number} */ n) => Math.min(256, Math.max(32, Math.ceil((2 * n) / 16) * 16)));
    const layers = gridding.rates.map((/** @type {any} */ rate, /** @type {number} */ i) => `  - conv: {out_channels: 16, kernel: ${one(gridding.kernels[i])}, dilation: ${one(rate)}, padding: same}\n  - relu`);
    return `description: Dilated convolutions of rates ${rates.value.replace(/[^\d,/x ]/g, '')}\ninput: [16, ${size.join(', ')}]\nlayers:\n${layers.join('\n')}\n`;
  }
}
