// Charts: memory over the run, where cost lies, arithmetic intensity, channels, paths.

import { choice, el, fill, responsive, section, set, svg } from './dom.js';
import { chooser } from './head.js';
import { bytes, duration, grouped, magnitude, percent, plural, shapeText } from './text.js';

/** @typedef {import('./model.js').Model} Model */

/** Live bytes by step. @param {Model} model */
export function memoryPart(model) {
  const live = model.liveBytes();
  const most = Math.max(...live, 1);
  const peak = live.indexOf(Math.max(...live));
  const [width, height] = [1000, 180];
  const x = (/** @type {number} */ step) => (width * step) / live.length;
  const y = (/** @type {number} */ value) => height - (height - 8) * (value / most);
  let area = `M0 ${height}`;
  live.forEach((value, step) => { area += `V${y(value).toFixed(1)}H${x(step + 1).toFixed(1)}`; });
  const band = svg('rect.band', { y: 0, height, width: Math.max(2, width / live.length) });
  const chart = svg('svg.timeline', { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': `Live activations by step; the peak is ${bytes(most)} at ${model.nodes[peak].id}` },
    svg('path.area', { d: `${area}V${height}Z` }),
    svg('line.peak', { x1: 0, x2: width, y1: y(most), y2: y(most) }),
    band);
  const slider = el('input', { type: 'range', min: 0, max: live.length - 1, value: peak, 'aria-label': 'Step', oninput: () => pick(Number(slider.value), true) });
  const text = el('div.live', { 'aria-live': 'polite' });
  chart.addEventListener('pointermove', (event) => show(under(event)));
  chart.addEventListener('pointerleave', () => show(Number(slider.value)));
  chart.addEventListener('click', (event) => pick(under(event), true));
  model.onChoose((node, from) => { if (node >= 0 && from !== 'memory') pick(node, false); });
  show(peak);
  return section('memory', 'Memory over the run', 'Activations that are alive at each step, from the one that computes a tensor to the last one that reads it.',
    el('div.bar', {}, el('button', { type: 'button', onclick: () => pick(peak, true) }, `Peak ${bytes(most)}`)), chart, slider, text);

  /** @param {MouseEvent} event */
  function under(event) {
    const rect = chart.getBoundingClientRect();
    return Math.min(live.length - 1, Math.max(0, Math.floor(((event.clientX - rect.left) / rect.width) * live.length)));
  }

  /** @param {number} step @param {boolean} choose */
  function pick(step, choose) {
    slider.value = String(step);
    show(step);
    if (choose) model.choose(step, 'memory');
  }

  /** @param {number} step */
  function show(step) {
    set(band, { x: x(step) });
    set(slider, { 'aria-valuetext': `${model.nodes[step].id}, ${bytes(live[step])}` });
    const tensors = model.liveAt(step);
    const largest = Math.max(1, model.outputBytes(tensors[0] ?? 0));
    fill(text,
      el('p.headline', {}, el('strong', {}, bytes(live[step])), ` alive while `, chooser(model, model.nodes[step].id), ' runs', step === peak ? ': the peak' : '', el('span.quiet', {}, `, step ${step} of ${live.length}, ${plural(tensors.length, 'tensor')}`)),
      el('ul.bars-list', {}, ...tensors.slice(0, 8).map((node) => {
        const bar = el('span.bar-fill');
        bar.style.width = `${(100 * model.outputBytes(node)) / largest}%`;
        return el('li', {}, el('span.bar-name', {}, chooser(model, model.nodes[node].id), el('span.quiet', {}, ` ${shapeText(model.nodes[node].shape)}`)), el('span.bar-back', {}, bar), el('span.bar-value', {}, bytes(model.outputBytes(node))));
      })),
      tensors.length > 8 ? el('p.quiet', {}, `and ${plural(tensors.length - 8, 'more tensor')}`) : null);
  }
}

/** @typedef {{name: string, node: number, value: number, children: Tile[]}} Tile */

/** Where parameters, MACs and bytes lie. @param {Model} model */
export function treemapPart(model) {
  const height = 420;
  let width = 1000;
  let quantity = 'params';
  const chart = svg('svg.treemap', { role: 'img' });
  const text = el('p.headline', { 'aria-live': 'polite' });
  const switcher = choice('Quantity', [['params', 'Parameters'], ['macs', 'MACs'], ['memory', 'Output bytes'], ...(model.network.profile ? [/** @type {[string, string]} */ (['time', 'Time'])] : [])], quantity, (value) => { quantity = value; draw(); });
  model.onChoose((node) => mark(node));
  responsive(chart, height, (wide) => { width = wide; draw(); });
  return section('cost', 'Where the cost lies', 'Areas are proportional; layers of one block lie together. The table of layers has the same figures.', el('div.bar', {}, switcher), chart, text);

  /** @param {number} node */
  function value(node) {
    const layer = model.layers[node];
    if (quantity === 'params') return layer.params;
    if (quantity === 'macs') return layer.macs;
    if (quantity === 'time') return model.seconds[node];
    return model.isInput(node) ? 0 : model.outputBytes(node);
  }

  function format() {
    return quantity === 'memory' ? bytes : quantity === 'time' ? duration : grouped;
  }

  /** Layers by the first part of their names. */
  function groups() {
    /** @type {Map<string, Tile>} */
    const all = new Map();
    model.nodes.forEach((data, node) => {
      const amount = value(node);
      if (amount <= 0) return;
      const name = data.id.includes('.') ? data.id.slice(0, data.id.indexOf('.')) : data.id;
      const group = all.get(name) ?? { name, node: -1, value: 0, children: [] };
      group.value += amount;
      group.children.push({ name: data.id.slice(name.length + 1) || data.id, node, value: amount, children: [] });
      all.set(name, group);
    });
    return [...all.values()].sort((a, b) => b.value - a.value);
  }

  function draw() {
    const all = groups();
    const total = all.reduce((sum, group) => sum + group.value, 0);
    set(chart, { 'aria-label': `Treemap: ${all.slice(0, 3).map((group) => `${group.name} ${percent(group.value, total)}`).join(', ')}` });
    fill(chart);
    for (const [group, box] of squarified(all, [0, 0, width, height])) {
      const tall = box[3] > 34 && box[2] > 40 && group.children.length > 1;
      const inner = /** @type {[number, number, number, number]} */ (tall ? [box[0] + 2, box[1] + 18, box[2] - 4, box[3] - 20] : [box[0] + 1, box[1] + 1, box[2] - 2, box[3] - 2]);
      chart.append(svg('rect.group', { x: box[0], y: box[1], width: box[2], height: box[3] }));
      if (tall) chart.append(svg('text.group-name', { x: box[0] + 6, y: box[1] + 13 }, fits(`${group.name}  ${percent(group.value, total)}`, box[2] - 10)));
      const most = Math.max(...all.flatMap((other) => other.children.map((child) => child.value)));
      for (const [child, [cx, cy, cw, ch]] of squarified(group.children.slice().sort((a, b) => b.value - a.value), inner)) {
        const tile = svg('g.tile', { 'data-node': child.node },
          svg('rect', { x: cx + 0.5, y: cy + 0.5, width: Math.max(0, cw - 1), height: Math.max(0, ch - 1), 'data-heat': Math.max(1, Math.ceil(Math.sqrt(child.value / most) * 7)) }),
          cw > 44 && ch > 18 ? svg('text', { x: cx + 6, y: cy + 14 }, fits(child.name, cw - 8)) : null,
          cw > 60 && ch > 34 ? svg('text.amount', { x: cx + 6, y: cy + 28 }, fits(quantity === 'params' || quantity === 'macs' ? magnitude(child.value) : format()(child.value), cw - 8)) : null);
        tile.addEventListener('pointerenter', () => tell(child.node, total));
        tile.addEventListener('click', () => model.choose(child.node, 'treemap'));
        chart.append(tile);
      }
    }
    fill(text, `${format()(total)} in all`);
    mark(model.chosen);
  }

  /** @param {number} node @param {number} total */
  function tell(node, total) {
    fill(text, chooser(model, model.nodes[node].id), ` ${format()(value(node))}, ${percent(value(node), total)}`);
  }

  /** @param {number} node */
  function mark(node) {
    for (const tile of chart.querySelectorAll('.tile')) tile.classList.toggle('chosen', tile.getAttribute('data-node') === String(node));
  }
}

/** Shortens a text to a width in the unit of the drawing. @param {string} text @param {number} width */
function fits(text, width) {
  const most = Math.floor(width / 6.6);
  return text.length <= most ? text : most > 3 ? `${text.slice(0, most - 1)}\u2026` : '';
}

/**
 * Divides a rectangle among tiles, largest first, so that they are nearly square (Bruls, Huizing and van Wijk 2000).
 * @param {Tile[]} tiles @param {[number, number, number, number]} box @returns {[Tile, [number, number, number, number]][]}
 */
function squarified(tiles, box) {
  /** @type {[Tile, [number, number, number, number]][]} */
  const out = [];
  let [x, y, w, h] = box;
  let left = tiles.reduce((sum, tile) => sum + tile.value, 0);
  for (let at = 0; at < tiles.length && w > 0 && h > 0 && left > 0; ) {
    const short = Math.min(w, h);
    const unit = (w * h) / left;
    /** @param {number} end */
    const worst = (end) => {
      const row = tiles.slice(at, end);
      const sum = row.reduce((all, tile) => all + tile.value, 0) * unit;
      return Math.max(...row.map((tile) => Math.max((short * short * tile.value * unit) / (sum * sum), (sum * sum) / (short * short * tile.value * unit))));
    };
    let end = at + 1;
    while (end < tiles.length && worst(end + 1) <= worst(end)) end += 1;
    const row = tiles.slice(at, end);
    const sum = row.reduce((all, tile) => all + tile.value, 0);
    const thick = (sum * unit) / short;
    let along = 0;
    for (const tile of row) {
      const long = (tile.value / sum) * short;
      out.push([tile, w >= h ? [x, y + along, thick, long] : [x + along, y, long, thick]]);
      along += long;
    }
    if (w >= h) [x, w] = [x + thick, w - thick];
    else [y, h] = [y + thick, h - thick];
    left -= sum;
    at = end;
  }
  return out;
}

/** FLOPs of each layer, or its measured FLOPs per second, over its arithmetic intensity. @param {Model} model */
export function rooflinePart(model) {
  const { profile } = model.network;
  const points = model.steps().flatMap(({ node, all }) => {
    const flops = all.reduce((sum, one) => sum + model.layers[one].flops, 0);
    const moved = model.traffic(...all);
    const tall = profile ? flops / model.seconds[node] : flops;
    return flops > 0 && moved > 0 && Number.isFinite(tall) ? [{ node, fused: all.length - 1, flops, moved, intensity: flops / moved, tall }] : [];
  });
  const once = 'if it reads its inputs and weights once and writes its output once, in f32. Left of a machine\u2019s ridge, its memory is the limit.';
  const lead = profile
    ? `Measured FLOPs per second of each layer over its FLOPs per byte, ${once} The line is the most that this machine does: a product of large matrices, and a copy of a large array (${plural(profile.threads, 'thread')}, the fastest of ${plural(profile.runs, 'run')}). A layer whose data is still in a cache may lie above it.`
    : `FLOPs per byte of each layer, ${once}`;
  if (!points.length) return section('intensity', 'Arithmetic intensity', lead, el('p.missing', {}, 'No layer computes anything.'));
  const height = 320;
  let width = 1000;
  const [low, high] = [Math.floor(Math.log10(Math.min(...points.map((p) => p.intensity), 0.5))), Math.ceil(Math.log10(Math.max(...points.map((p) => p.intensity), 10)))];
  const talls = points.map((p) => p.tall).concat(profile ? profile.rates.flops : []);
  const [least, most] = [Math.floor(Math.log10(Math.min(...talls))), Math.ceil(Math.log10(Math.max(...talls, 10)))];
  const x = (/** @type {number} */ intensity) => 56 + ((width - 76) * (Math.log10(intensity) - low)) / Math.max(1, high - low);
  const y = (/** @type {number} */ tall) => height - 40 - ((height - 56) * (Math.log10(tall) - least)) / Math.max(1, most - least);
  const chart = svg('svg.roofline', { role: 'img', 'aria-label': `${profile ? 'FLOPs per second' : 'FLOPs'} of each layer over FLOPs per byte, both logarithmic` });
  const ridge = svg('path.ridge');
  /** @type {Map<number, SVGCircleElement>} */
  const dots = new Map();
  const tell = el('p.headline', { 'aria-live': 'polite' });
  for (const point of points) {
    const dot = svg(`circle.${model.weighs(point.node) ? 'weighted' : 'plain'}`, { r: 5 }, svg('title', {}, model.nodes[point.node].id));
    dot.addEventListener('pointerenter', () => say(point));
    dot.addEventListener('click', () => model.choose(point.node, 'roofline'));
    dots.set(point.node, dot);
  }
  const number = (/** @type {string} */ label, /** @type {number} */ value) => {
    const field = el('input', { type: 'number', min: '0', step: 'any', value });
    field.addEventListener('input', bound);
    return { field, label: el('label', {}, label, field) };
  };
  const peak = number('peak GFLOP/s', profile ? rounded(profile.rates.flops / 1e9) : 1000);
  const rate = number('memory GB/s', profile ? rounded(profile.rates.bytes / 1e9) : 100);
  const verdict = el('p', { 'aria-live': 'polite' });
  model.onChoose((node) => dots.forEach((dot, other) => dot.classList.toggle('chosen', other === node)));
  responsive(chart, height, (wide) => {
    width = wide;
    fill(chart);
    for (let power = low; power <= high; power += 1) {
      chart.append(svg('line.tick', { x1: x(10 ** power), x2: x(10 ** power), y1: 10, y2: height - 40 }), svg('text.tick-name', { x: x(10 ** power), y: height - 23 }, power < 0 ? (10 ** power).toFixed(-power) : grouped(10 ** power)));
    }
    for (let power = least; power <= most; power += Math.max(1, Math.ceil((most - least) / 6))) {
      chart.append(svg('line.tick', { x1: 56, x2: width - 20, y1: y(10 ** power), y2: y(10 ** power) }), svg('text.tick-name.end', { x: 50, y: y(10 ** power) + 4 }, short(10 ** power)));
    }
    chart.append(svg('text.tick-name', { x: width / 2, y: height - 5 }, 'FLOPs per byte'), svg('text.tick-name.start', { x: 60, y: 8 }, profile ? 'FLOP/s' : 'FLOPs'), ridge);
    for (const point of points) {
      const dot = /** @type {SVGCircleElement} */ (dots.get(point.node));
      set(dot, { cx: x(point.intensity), cy: y(point.tall) });
      chart.append(dot);
    }
    bound();
  });
  const total = points.reduce((sum, point) => [sum[0] + point.flops, sum[1] + point.moved], [0, 0]);
  fill(tell, `${(total[0] / total[1]).toFixed(1)} FLOPs per byte over all layers`);
  return section('intensity', 'Arithmetic intensity', lead, el('div.bar', {}, el('div.numbers', {}, peak.label, rate.label)), chart, tell, verdict);

  /** @param {typeof points[number]} point */
  function say(point) {
    const fused = point.fused ? ` with ${plural(point.fused, 'layer')} fused into it` : '';
    const speed = profile ? ` in ${duration(model.seconds[point.node])}, ${(point.tall / 1e9).toFixed(1)} GFLOP/s` : '';
    fill(tell, chooser(model, model.nodes[point.node].id), `${fused} ${point.intensity.toFixed(2)} FLOPs per byte: ${magnitude(point.flops)} FLOPs, ${bytes(point.moved)} moved${speed}`);
  }

  /** Draws the ridge of the machine in the fields. */
  function bound() {
    const [flops, speed] = [Number(peak.field.value) * 1e9, Number(rate.field.value) * 1e9];
    ridge.toggleAttribute('hidden', !(flops > 0 && speed > 0));
    if (!(flops > 0 && speed > 0)) {
      fill(verdict, '');
      return;
    }
    const at = flops / speed;
    set(ridge, { d: profile ? roof(flops, speed) : `M${inside(x(at))} 10V${height - 40}` });
    const memory = points.filter((point) => point.intensity < at);
    const time = points.reduce((sum, point) => sum + Math.max(point.flops / flops, point.moved / speed), 0);
    const slow = memory.reduce((sum, point) => sum + point.moved / speed, 0);
    fill(verdict, `${profile ? 'On this machine' : 'On such a machine'} the ridge lies at ${at.toFixed(1)} FLOPs per byte; memory limits ${memory.length} of ${plural(points.length, 'layer')}. No run takes less than `, el('strong', {}, duration(time)), ` layer by layer, ${percent(slow, time)} of it in these layers.`, profile ? ` It took ${duration(profile.seconds)}.` : '');
  }

  /** @param {number} at */
  function inside(at) {
    return Math.min(width - 20, Math.max(56, at)).toFixed(1);
  }

  /** What a machine does at most, for each intensity. @param {number} flops @param {number} speed */
  function roof(flops, speed) {
    // Where the slope enters the drawing: at its left side, or at its bottom.
    const first = Math.min(10 ** high, Math.max(10 ** low, 10 ** least / speed));
    const at = Math.min(10 ** high, Math.max(10 ** low, flops / speed));
    const level = (/** @type {number} */ intensity) => Math.max(10, y(Math.min(flops, intensity * speed))).toFixed(1);
    return `M${inside(x(first))} ${level(first)}L${inside(x(at))} ${level(at)}H${width - 20}`;
  }
}

/** Three digits of a measured rate. @param {number} value */
function rounded(value) {
  return Number(value.toPrecision(3));
}

/** `10 M` for a power of ten. @param {number} n */
function short(n) {
  const power = Math.floor(Math.log10(n) / 3 + 1e-9);
  return `${grouped(Math.round(n / 1000 ** power))}${['', '\u2009k', '\u2009M', '\u2009G', '\u2009T', '\u2009P'][power] ?? ''}`;
}

/** @param {Model} model */
export function channelsPart(model) {
  const data = model.network.channels;
  const lead = 'Which input channels can reach an output channel; gates count.';
  if (!data) return section('channels', 'Channels', lead, el('p.missing', {}, model.network.missing.channels ?? 'There is no such figure.'));
  const share = (/** @type {number} */ x) => `${(100 * x).toFixed(1)}\u2009%`;
  return section('channels', 'Channels', lead,
    el('div.wide', { tabindex: '0', role: 'region', 'aria-label': 'Channels' }, el('table.small', {}, el('thead', {}, el('tr', {}, ...['output', 'input', 'channels', 'reached by', 'fewest', 'mean', 'isolated groups', 'unread'].map((text, i) => el(i > 1 ? 'th.n' : 'th', { scope: 'col' }, text)))),
      el('tbody', {}, ...data.outputs.map((one) => el('tr', {}, el('td', {}, chooser(model, one.id)), el('td', {}, chooser(model, one.input)), el('td.n', {}, grouped(one.channels)), el('td.n', {}, grouped(one.input_channels)), el('td.n', {}, share(one.smallest_share)), el('td.n', {}, share(one.mean_share)), el('td.n', {}, grouped(one.isolated_groups)), el('td.n', {}, grouped(one.unread))))))),
    ...data.outputs.filter((one) => one.mixed_at).slice(0, 4).map((one) => el('p', {}, 'From ', chooser(model, one.mixed_at), ' on, every channel depends on every channel of ', one.input, one.shuffles ? `, after ${plural(one.shuffles, 'shuffle')}.` : '.')),
    data.seams.length ? el('ul.list', {}, ...data.seams.slice(0, 20).map((seam) => el('li', {}, 'No layer mixes the groups between ', chooser(model, seam.first), ' and ', chooser(model, seam.second), `: ${plural(seam.isolated_groups, 'group')} stay isolated.`))) : null);
}

/** @param {Model} model */
export function pathsPart(model) {
  const data = model.network.paths;
  const lead = 'A path is a way from an input to an output; its length counts the layers with weights on it.';
  if (!data) return section('paths', 'Paths', lead, el('p.missing', {}, model.network.missing.paths ?? 'There is no such figure.'));
  return section('paths', 'Paths', lead, ...data.outputs.slice(0, 4).map((output) => {
    const text = el('p.headline', {}, el('strong', {}, large(output.paths)), output.paths === 1 ? ' path to ' : ' paths to ', chooser(model, output.id),
      output.residual_modules ? `, through ${plural(output.residual_modules, 'residual module')}` : '',
      output.mean_length ? `; mean length ${output.mean_length.toFixed(1)}, longest ${output.depth}` : '');
    if (!output.lengths) return el('div', {}, text, el('p.quiet', {}, 'Their lengths are too many to be listed.'));
    return el('div', {}, text, histogram(output.lengths));
  }), ...data.dense_blocks.slice(0, 8).map((block) => el('p', {}, 'Dense block from ', chooser(model, block.first), ' to ', chooser(model, block.last), `: ${plural(block.layers, 'layer')}, ${plural(block.connections, 'direct connection')}.`)));
}

/** @param {number} n */
function large(n) {
  if (!Number.isFinite(n)) return 'more than 10^308';
  return n < 1e9 ? grouped(n) : n.toExponential(3).replace('e+', '\u2009\u00d7\u200910^');
}

/** @param {{length: number, paths: number}[]} lengths */
function histogram(lengths) {
  const height = 150;
  const [first, last] = [lengths[0].length, lengths[lengths.length - 1].length];
  const most = Math.max(...lengths.map((one) => one.paths));
  const total = lengths.reduce((sum, one) => sum + one.paths, 0);
  const chart = svg('svg.histogram', { role: 'img', 'aria-label': `Paths by length, from ${first} to ${last}` });
  responsive(chart, height + 18, (width) => {
    fill(chart);
    const step = width / (last - first + 1);
    const wide = Math.min(48, Math.max(1.5, step - 2));
    for (const { length, paths } of lengths) {
      const x = step * (length - first + 0.5);
      const tall = Number.isFinite(most) ? (height * paths) / most : 0;
      chart.append(svg('rect', { x: x - wide / 2, y: height - tall, width: wide, height: tall }, svg('title', {}, `length ${length}: ${large(paths)} paths, ${percent(paths, total)}`)));
    }
    const every_ = Math.max(1, Math.ceil(((last - first + 1) * 30) / width));
    for (let length = first; length <= last; length += every_) chart.append(svg('text', { x: step * (length - first + 0.5), y: height + 14 }, length));
  });
  return chart;
}
