// The field microscope: what a unit of any layer reads of the input, position by position, and which units read a position.

import { choice, el, fill, section, set, svg } from './dom.js';
import { elements } from './model.js';
import { picture } from './picture.js';
import { along, has, hull, positions, products } from './sets.js';
import { readersOf, support, NotShown } from './support.js';
import { grouped, percent, plural } from './text.js';
import { unitsReading, ways } from './ways.js';

/** @typedef {import('./model.js').Model} Model */
/** @typedef {import('./sets.js').Region} Region */

/** Most pixels of a canvas along an axis; beyond it, a pixel stands for several positions. */
const MOST_PIXELS = 2048;
/** Pixels of the grid of units along its longer side, so that the units of a small map have gaps. */
const GRID = 336;

/** @param {Model} model @param {HTMLImageElement | null} image */
export function microscopePart(model, image) {
  const lead = 'What one unit reads, exactly: composed from the windows of all layers before it, with holes and without what lies beyond the border.';
  const net = model.network.graph;
  const inputs = model.nodes.flatMap((_, i) => (model.isInput(i) && (model.nodes[i].shape?.length ?? 0) > 1 ? [i] : []));
  if (!inputs.length) return section('field', 'Field microscope', lead, el('p.missing', {}, 'No input of this network has positions.'));

  let input = inputs[0];
  /** @type {number[]} */
  let maps = [];
  let node = -1;
  /** @type {number[]} */
  let unit = [];
  let mode = 'read';
  let slice = 0;
  /** @type {number | null} */
  let frame = null;
  /** @type {ReturnType<typeof setInterval> | null} */
  let timer = null;
  /** @type {ReturnType<typeof setTimeout> | null} */
  let pause = null;

  const base = el('canvas.base', { 'aria-hidden': 'true' });
  const mask = el('canvas.mask', { 'aria-hidden': 'true' });
  const box = el('div.hull', { 'aria-hidden': 'true' });
  const stack = el('div.stack', { tabindex: '0', role: 'application', 'aria-label': 'Input: arrow keys move over its positions; the grid shows the units that read the position', 'aria-describedby': 'field-result' }, base, mask, box);
  const grid = el('canvas.grid', { tabindex: '0', role: 'application', 'aria-label': 'Units of the layer: arrow keys choose one', 'aria-describedby': 'field-result' });
  const result = el('output.result', { id: 'field-result', 'aria-live': 'polite' });
  const picker = el('select', { 'aria-label': 'Layer', onchange: () => model.choose(Number(picker.value), 'field') });
  const slider = el('input', { type: 'range', min: '0', 'aria-label': 'Step through the layers', oninput: () => model.choose(maps[Number(slider.value)], 'field') });
  const play = el('button', { type: 'button', onclick: () => run() }, 'Play');
  const growth = svg('svg.growth', { viewBox: '0 0 100 24', preserveAspectRatio: 'none', 'aria-hidden': 'true' });
  const numbers = el('div.numbers', {});
  const slices = el('div.slices', {});
  const gridTitle = el('h3', {}, 'Units');
  const inputTitle = el('h3', {}, 'Input');
  const modes = choice('Shade', [['read', 'Read'], ['log', 'Ways, log'], ['linear', 'Ways']], mode, (value) => { mode = value; later(); });
  const chooseInput = inputs.length > 1
    ? el('select', { 'aria-label': 'Input', onchange: (/** @type {Event} */ event) => { input = Number(/** @type {HTMLSelectElement} */ (event.target).value); begin(); } }, ...inputs.map((i) => el('option', { value: i }, model.nodes[i].id)))
    : null;

  const part = section('field', 'Field microscope', lead,
    el('div.bar', {}, chooseInput, el('div.steps', {},
      el('button', { type: 'button', 'aria-label': 'Previous layer', onclick: () => step(-1) }, '\u2039'), picker,
      el('button', { type: 'button', 'aria-label': 'Next layer', onclick: () => step(1) }, '\u203a'), play), numbers, modes),
    el('div.track', {}, growth, slider),
    el('div.scope', {},
      el('div.view', {}, inputTitle, stack, slices),
      el('div.view', {}, gridTitle, grid),
      el('div.view.said', {}, result, el('p.keys', {},
        el('span', {}, el('span.swatch.s-read', {}), 'read'), el('span', {}, el('span.swatch.s-hole', {}), 'hole: inside the box, not read'), el('span', {}, el('span.swatch.s-unread', {}), 'not read')))));

  model.onChoose((chosen, from) => {
    if (from === 'field') stop(false);
    if (maps.includes(chosen) && chosen !== node) show(chosen);
  });
  // The pointer and the arrow keys over units and positions.
  aim(grid, units, () => unit, (at) => { unit = at; later(); }, () => later());
  let cursor = /** @type {number[]} */ ([]);
  aim(stack, sizes, () => (cursor.length === sizes().length ? cursor : sizes().map((size) => Math.floor(size / 2))), (at) => {
    cursor = sizes().length > 2 ? [slice, ...at.slice(1)] : at;
    drawReaders(cursor);
  }, () => drawUnit());
  document.addEventListener('theme', function again() {
    // A report that was replaced needs no colours.
    if (part.isConnected) later();
    else document.removeEventListener('theme', again);
  });
  begin();
  return part;

  /** The shape of the chosen input's positions. */
  function sizes() {
    return (model.nodes[input].shape ?? []).slice(1);
  }

  function units() {
    return (model.nodes[node]?.shape ?? []).slice(1);
  }

  /** Starts with an input. */
  function begin() {
    const rank = model.nodes[input].shape?.length;
    const useful = readersOf(net, input);
    maps = model.nodes.flatMap((data, i) => (useful[i] && i !== input && data.shape?.length === rank && elements(data.shape?.slice(1)) > 1 ? [i] : []));
    fill(picker, ...maps.map((i) => el('option', { value: i }, model.nodes[i].id)));
    set(slider, { max: Math.max(0, maps.length - 1) });
    if (!maps.length) {
      fill(result, 'No layer has a map of positions.');
      return;
    }
    drawPicture();
    drawGrowth();
    // A field that covers all of the input shows less than one inside it.
    const small = maps.filter((i) => (model.fields[i] ?? []).some((field) => field.input === model.nodes[input].id && field.seen > 0 && field.seen <= 0.4));
    const wanted = small[small.length - 1] ?? model.network.headline?.node ?? -1;
    slice = Math.floor((sizes()[0] ?? 1) / 2);
    show(maps.includes(wanted) ? wanted : maps[maps.length - 1]);
  }

  /** @param {number} by */
  function step(by) {
    const at = Math.min(maps.length - 1, Math.max(0, maps.indexOf(node) + by));
    model.choose(maps[at], 'field');
  }

  /** Steps through the layers, so that one sees the field grow. */
  function run() {
    if (timer !== null) {
      stop(true);
      return;
    }
    if (maps.indexOf(node) >= maps.length - 1) show(maps[0]);
    play.textContent = 'Stop';
    timer = setInterval(() => {
      const at = maps.indexOf(node) + 1;
      if (at >= maps.length) stop(true);
      else show(maps[at]);
    }, Math.max(120, Math.min(600, 12000 / maps.length)));
  }

  /** @param {boolean} choose whether the layer where it stops becomes the chosen one */
  function stop(choose) {
    if (timer !== null) clearInterval(timer);
    timer = null;
    play.textContent = 'Play';
    if (choose) model.choose(node, 'field');
  }

  /** Shows a layer, at the unit that lies where the last one did. @param {number} next */
  function show(next) {
    const old = units();
    const place = unit.map((u, i) => (u + 0.5) / old[i]);
    node = next;
    unit = units().map((size, i) => (place.length === units().length ? Math.min(size - 1, Math.floor(place[i] * size)) : Math.floor(size / 2)));
    picker.value = String(node);
    slider.value = String(maps.indexOf(node));
    set(slider, { 'aria-valuetext': model.nodes[node].id });
    const names = units().length === 1 ? ['index'] : units().length === 2 ? ['row', 'column'] : ['slice', 'row', 'column'];
    fill(numbers, ...units().map((size, axis) => {
      const field = el('input', { type: 'number', min: 0, max: size - 1, step: 1, value: unit[axis] });
      field.addEventListener('input', () => {
        const value = Number(field.value);
        if (Number.isInteger(value) && value >= 0 && value < size) { unit[axis] = value; later(); }
      });
      return el('label', {}, names[axis] ?? `axis ${axis}`, field);
    }));
    gridTitle.textContent = `Units of ${units().join(' \u00d7 ')}`;
    later();
  }

  function later() {
    if (frame !== null) return;
    frame = requestAnimationFrame(() => { frame = null; drawUnit(); });
  }

  /** How many positions a pixel of the picture stands for. */
  function scale() {
    return Math.max(1, Math.ceil(Math.max(...sizes()) / MOST_PIXELS));
  }

  /** Width and height of the plane that is drawn. @param {number[]} axes @returns {[number, number]} */
  function plane(axes) {
    return [axes[axes.length - 1] ?? 1, axes.length > 1 ? axes[axes.length - 2] : 1];
  }

  function drawPicture() {
    const [width, height] = plane(sizes());
    const s = scale();
    const [w, h] = [Math.ceil(width / s), Math.ceil(height / s)];
    [base.width, base.height, mask.width, mask.height] = [w, h, w, h];
    base.getContext('2d')?.drawImage(picture(w, h, height > 1 ? image : null), 0, 0);
    stack.style.aspectRatio = height === 1 ? '9 / 1' : `${w} / ${h}`;
    stack.style.maxWidth = height === 1 ? '100%' : `min(100%, ${Math.min(560, Math.max(280, (560 * w) / h))}px)`;
    inputTitle.textContent = `Input${inputs.length > 1 ? ` ${model.nodes[input].id}` : ''} of ${sizes().join(' \u00d7 ')}`;
  }

  /** A line of the field's size over the layers. */
  function drawGrowth() {
    const values = maps.map((i) => Math.log(1 + Math.max(1, ...(model.fields[i] ?? []).filter((field) => field.input === model.nodes[input].id).map((field) => Math.max(...field.size)))));
    const most = Math.max(...values, 1);
    const x = (/** @type {number} */ i) => (maps.length > 1 ? (100 * i) / (maps.length - 1) : 50);
    const points = values.map((value, i) => `${x(i).toFixed(2)},${(23 - (21 * value) / most).toFixed(2)}`);
    fill(growth, svg('polygon', { points: `0,24 ${points.join(' ')} 100,24` }));
  }

  /** @param {string} name */
  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  /** Draws what the unit reads. */
  function drawUnit() {
    if (node < 0) return;
    const labels = numbers.querySelectorAll('input');
    labels.forEach((field, axis) => { if (document.activeElement !== field) field.value = String(unit[axis]); });
    drawGrid(null);
    const start = performance.now();
    /** @type {Region} */
    let read;
    try {
      read = support(net, node, input, unit, true);
    } catch (error) {
      fail(error);
      return;
    }
    const axes = sizes();
    const inside = positions(read);
    const bounds = hull(read);
    if (axes.length > 2) {
      const rows = along(read, 0);
      if (rows.length && !has(rows, slice)) slice = Math.floor((rows[0][0] + rows[rows.length - 1][1]) / 2);
      drawSlices(read);
    } else fill(slices);
    let shaded = '';
    if (mode === 'read') drawRead(read, bounds);
    else {
      try {
        shaded = drawWays(read);
      } catch (error) {
        drawRead(read, bounds);
        shaded = `Ways are not shown: ${reason(error)}.`;
      }
    }
    frameHull(bounds);
    /** @type {Record<string, unknown>} */
    const data = { 'data-node': model.nodes[node].id, 'data-unit': unit.join(','), 'data-positions': inside, 'data-rows': JSON.stringify(axes.map((_, axis) => along(read, axis))), 'data-holes': null };
    const lines = [
      el('p.headline', {}, `Unit ${unit.join(', ')} reads `, el('strong', {}, grouped(inside)), ` of ${grouped(elements(axes))} positions`, el('span.quiet', {}, ` (${percent(inside, elements(axes))})`)),
    ];
    if (bounds) lines.push(el('p', {}, `Rows and columns: ${axes.map((_, axis) => runs(along(read, axis))).join(' \u00d7 ')}`));
    const field = (model.fields[node] ?? []).find((other) => other.input === model.nodes[input].id);
    if (field?.sampling) lines.push(el('p.quiet', {}, 'Sampling at data-dependent positions counts with its regular grid.'));
    if (field?.global_context) lines.push(el('p.quiet', {}, 'Gates and statistics over the whole map act on it as well; they are not shown.'));
    if (shaded) lines.push(el('p.quiet', {}, shaded));
    set(result, data);
    fill(result, ...lines);
    // The field without borders may wait while the pointer moves on.
    if (pause !== null) clearTimeout(pause);
    pause = setTimeout(() => { pause = null; drawWhole(); }, performance.now() - start > 20 ? 80 : 0);
  }

  /** Says how large the field is if borders are ignored. */
  function drawWhole() {
    const line = el('p');
    try {
      const whole = support(net, node, input, unit, false);
      const spans = hull(whole);
      const area = spans?.reduce((product, [lo, hi]) => product * (hi - lo + 1), 1) ?? 0;
      const holes = area - positions(whole);
      set(result, { 'data-holes': holes });
      if (spans) fill(line, `Borders ignored: a box of ${spans.map(([lo, hi]) => hi - lo + 1).join('\u2009\u00d7\u2009')}, `, holes ? el('strong.holes', {}, plural(holes, 'hole')) : 'no holes');
    } catch (error) {
      fill(line, `Borders ignored: not shown, ${reason(error)}.`);
    }
    if (result.children.length > 1) result.children[1].after(line);
  }

  /** @param {unknown} error */
  function reason(error) {
    if (error instanceof NotShown) return error.message;
    throw error;
  }

  /** @param {unknown} error */
  function fail(error) {
    const why = reason(error);
    if (pause !== null) clearTimeout(pause);
    pause = null;
    const context = mask.getContext('2d');
    context?.clearRect(0, 0, mask.width, mask.height);
    frameHull(null);
    set(result, { 'data-positions': null, 'data-rows': null, 'data-holes': null });
    fill(result, el('p.missing', {}, `Unit ${unit.join(', ')} of ${model.nodes[node].id} is not shown: ${why}.`));
  }

  /** Returns the region's part in the plane that is drawn, as rectangles [x0, y0, x1, y1]. @param {Region} read */
  function rectangles(read) {
    return products(read).flatMap((sets) => {
      if (sets.length > 2 && !has(sets[sets.length - 3], slice)) return [];
      const xs = sets[sets.length - 1];
      const ys = sets.length > 1 ? sets[sets.length - 2] : [[0, 0]];
      return ys.flatMap(([y0, y1]) => xs.map(([x0, x1]) => [x0, y0, x1, y1]));
    });
  }

  /** @param {Region} read @param {import('./sets.js').Interval[] | null} bounds */
  function drawRead(read, bounds) {
    const context = mask.getContext('2d');
    if (!context) return;
    const s = scale();
    /** @param {number[]} r @param {string} paint */
    const rect = ([x0, y0, x1, y1], paint) => {
      const [x, y, w, h] = [Math.floor(x0 / s), Math.floor(y0 / s), Math.floor(x1 / s) - Math.floor(x0 / s) + 1, Math.floor(y1 / s) - Math.floor(y0 / s) + 1];
      context.clearRect(x, y, w, h);
      context.fillStyle = paint;
      context.fillRect(x, y, w, h);
    };
    rect([0, 0, mask.width * s - 1, mask.height * s - 1], colour('--veil'));
    if (bounds) {
      const [xs, ys] = [bounds[bounds.length - 1], bounds.length > 1 ? bounds[bounds.length - 2] : [0, 0]];
      const shown = bounds.length < 3 || (slice >= bounds[0][0] && slice <= bounds[0][1]);
      if (shown) rect([xs[0], ys[0], xs[1], ys[1]], colour('--hole'));
    }
    const paint = colour('--read');
    for (const r of rectangles(read)) rect(r, paint);
  }

  /** Shades positions by the number of ways. @param {Region} read @returns {string} */
  function drawWays(read) {
    const field = ways(net, node, input, unit);
    const context = mask.getContext('2d');
    if (!context) return '';
    const axes = sizes();
    const [width, height] = [mask.width, mask.height];
    const pixels = context.createImageData(width, height);
    const most = field.data.reduce((a, b) => Math.max(a, b), 0);
    const [red, green, blue] = rgb(colour('--way'));
    const [w, h] = [field.size[axes.length - 1] ?? 0, axes.length > 1 ? field.size[axes.length - 2] : 1];
    const [x0, y0] = [field.lo[axes.length - 1] ?? 0, axes.length > 1 ? field.lo[axes.length - 2] : 0];
    const first = axes.length > 2 ? slice - field.lo[axes.length - 3] : 0;
    const s = scale();
    for (let i = 0; i < width * height; i += 1) pixels.data.set([16, 18, 22, 190], 4 * i);
    if (axes.length < 4 && first >= 0 && (axes.length < 3 || first < field.size[0])) {
      for (let y = 0; y < h; y += 1) {
        for (let x = 0; x < w; x += 1) {
          const value = field.data[(first * h + y) * w + x];
          if (value <= 0) continue;
          const share = mode === 'log' ? Math.log1p(value) / Math.log1p(most) : value / most;
          const at = 4 * (Math.floor((y + y0) / s) * width + Math.floor((x + x0) / s));
          const t = 0.12 + 0.88 * share;
          pixels.data.set([16 + (red - 16) * t, 18 + (green - 18) * t, 22 + (blue - 22) * t, 225], at);
        }
      }
    }
    context.putImageData(pixels, 0, 0);
    const total = field.data.reduce((a, b) => a + b, 0);
    const centre = field.data.length && most ? `The most frequent position has ${count(most)} of ${count(total)} ways` : 'No ways';
    return `${centre}; ways follow windows, channels do not multiply them.${positions(read) ? '' : ' It reads nothing.'}`;
  }

  /** @param {number} n */
  function count(n) {
    return n < 1e9 ? grouped(Math.round(n)) : n.toExponential(2).replace('e+', '\u2009\u00d7\u200910^');
  }

  /** @param {string} text @returns {number[]} */
  function rgb(text) {
    return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16) || 0);
  }

  /** @param {import('./sets.js').Interval[] | null} bounds */
  function frameHull(bounds) {
    const axes = sizes();
    const [width, height] = plane(axes);
    if (!bounds) {
      box.hidden = true;
      return;
    }
    box.hidden = false;
    const [x0, x1] = bounds[bounds.length - 1];
    const [y0, y1] = bounds.length > 1 ? bounds[bounds.length - 2] : [0, 0];
    box.style.left = `${(100 * x0) / width}%`;
    box.style.top = `${(100 * y0) / height}%`;
    box.style.width = `${(100 * (x1 - x0 + 1)) / width}%`;
    box.style.height = `${(100 * (y1 - y0 + 1)) / height}%`;
  }

  /** One bar per slice of a volume. @param {Region} read */
  function drawSlices(read) {
    const depth = sizes()[0];
    const perSlice = new Array(depth).fill(0);
    for (const sets of products(read)) {
      const inner = sets.slice(1).reduce((all, set_) => all * set_.reduce((sum, [lo, hi]) => sum + hi - lo + 1, 0), 1);
      for (const [lo, hi] of sets[0]) for (let z = lo; z <= hi; z += 1) perSlice[z] += inner;
    }
    const most = Math.max(1, ...perSlice);
    const range = el('input', { type: 'range', min: 0, max: depth - 1, value: slice, 'aria-label': 'Slice of the input' });
    range.addEventListener('input', () => { slice = Number(range.value); later(); });
    const bars = svg('svg.bars', { viewBox: `0 0 ${depth} 24`, preserveAspectRatio: 'none', 'aria-hidden': 'true' },
      ...perSlice.map((n, z) => svg(`rect${z === slice ? '.on' : ''}`, { x: z + 0.1, width: 0.8, y: 24 - (24 * n) / most, height: (24 * n) / most })));
    const focused = document.activeElement && slices.contains(document.activeElement);
    fill(slices, bars, range, el('p.quiet', {}, `Slice ${slice} of ${depth}: ${grouped(perSlice[slice])} positions read`));
    if (focused) range.focus();
  }

  /** Draws the units; `readers` are those that read a position. @param {import('./ways.js').Field | null} readers */
  function drawGrid(readers) {
    const axes = units();
    const [width, height] = plane(axes);
    const tall = axes.length === 1;
    const cell = Math.max(1, Math.floor(GRID / Math.max(width, height)));
    const high = tall ? Math.max(cell, 28) : cell;
    [grid.width, grid.height] = [width * cell, tall ? high : height * cell];
    grid.style.aspectRatio = tall ? '9 / 1' : `${grid.width} / ${grid.height}`;
    const context = grid.getContext('2d');
    if (!context) return;
    const gap = cell > 7 ? 1 : 0;
    const paint = (/** @type {number} */ x, /** @type {number} */ y, /** @type {string} */ style) => {
      context.fillStyle = style;
      context.fillRect(x * cell, y * cell, cell - gap, (tall ? high : cell) - gap);
    };
    const plain = colour('--cell');
    if (gap) {
      for (let y = 0; y < height; y += 1) for (let x = 0; x < width; x += 1) paint(x, y, plain);
    } else {
      context.fillStyle = plain;
      context.fillRect(0, 0, grid.width, grid.height);
    }
    if (readers) {
      const [w, h] = [readers.size[axes.length - 1] ?? 0, axes.length > 1 ? readers.size[axes.length - 2] : 1];
      const first = axes.length > 2 ? unit[0] - readers.lo[0] : 0;
      const style = colour('--way');
      if (axes.length < 3 || (first >= 0 && first < readers.size[0])) {
        for (let y = 0; y < h; y += 1) {
          for (let x = 0; x < w; x += 1) {
            if (readers.data[(first * h + y) * w + x]) paint(x + readers.lo[axes.length - 1], y + (axes.length > 1 ? readers.lo[axes.length - 2] : 0), style);
          }
        }
      }
    } else {
      const [x, y] = [unit[axes.length - 1], axes.length > 1 ? unit[axes.length - 2] : 0];
      paint(x, y, colour('--accent'));
      // A unit of a large map is too small to be seen.
      if (cell < 6) {
        context.strokeStyle = colour('--accent');
        context.lineWidth = 2;
        context.strokeRect(x * cell - 4, y * cell - 4, cell + 8, cell + 8);
      }
    }
  }

  /** Shows the units that read a position. @param {number[]} at */
  function drawReaders(at) {
    if (pause !== null) clearTimeout(pause);
    pause = null;
    try {
      const readers = unitsReading(net, node, input, at);
      drawGrid(readers);
      const n = readers.data.reduce((sum, x) => sum + (x > 0 ? 1 : 0), 0);
      set(result, { 'data-readers': n, 'data-position': at.join(',') });
      fill(result, el('p.headline', {}, `Position ${at.join(', ')} is read by `, el('strong', {}, plural(n, 'unit')), ` of ${grouped(elements(units()))}`));
    } catch (error) {
      fill(result, el('p.missing', {}, `The units that read position ${at.join(', ')} are not shown: ${reason(error)}.`));
    }
  }
}

/**
 * Calls `move` with the index under the pointer, or the one that the arrow keys reach; `leave` when the pointer leaves.
 * @param {HTMLElement} element @param {() => number[]} sizes @param {() => number[]} now @param {(at: number[]) => void} move @param {() => void} leave
 */
function aim(element, sizes, now, move, leave) {
  /** @type {number | null} */
  let frame = null;
  /** @param {PointerEvent} event */
  const under = (event) => {
    const rect = element.getBoundingClientRect();
    const axes = sizes();
    const at = now().slice();
    /** @param {number} share @param {number} size */
    const index = (share, size) => Math.min(size - 1, Math.max(0, Math.floor(share * size)));
    at[axes.length - 1] = index((event.clientX - rect.left) / rect.width, axes[axes.length - 1]);
    if (axes.length > 1) at[axes.length - 2] = index((event.clientY - rect.top) / rect.height, axes[axes.length - 2]);
    if (frame !== null) cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => { frame = null; move(at); });
  };
  element.addEventListener('pointermove', under);
  element.addEventListener('pointerdown', under);
  element.addEventListener('pointerleave', () => {
    if (frame !== null) cancelAnimationFrame(frame);
    leave();
  });
  element.addEventListener('blur', leave);
  element.addEventListener('keydown', (event) => {
    const axes = sizes();
    const steps = /** @type {Record<string, [number, number]>} */ ({ ArrowLeft: [1, -1], ArrowRight: [1, 1], ArrowUp: [2, -1], ArrowDown: [2, 1], PageUp: [3, -1], PageDown: [3, 1] })[event.key];
    if (!steps || axes.length < steps[0]) return;
    event.preventDefault();
    const axis = axes.length - steps[0];
    const at = now().slice();
    at[axis] = Math.min(axes[axis] - 1, Math.max(0, at[axis] + steps[1] * (event.shiftKey ? 10 : 1)));
    move(at);
  });
}

/** `0..6, 9`. @param {import('./sets.js').Set} set */
function runs(set) {
  const shown = set.slice(0, 6).map(([lo, hi]) => (lo === hi ? `${lo}` : `${lo}..${hi}`));
  if (set.length > 6) shown.push(`\u2026 ${set.length} runs in all`);
  return shown.join(', ') || 'nothing';
}
