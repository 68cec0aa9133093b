// The layer graph: blocks fold and open, colour shows a quantity, keys walk along the connections.

import { choice, el, fill, section, set, svg } from './dom.js';
import { SPACING, place } from './place.js';
import { bytes, duration, grouped, magnitude, plural } from './text.js';

/** @typedef {import('./model.js').Model} Model */
/** @typedef {import('./model.js').Shown} Shown */
/** @typedef {import('./place.js').Placed} Placed */

/** Boxes that the first view may have. */
const FIRST = 48;
/** Width of a character, which the layout needs before the text is drawn. */
const CHARACTER = 6.7;
const LONGEST_LABEL = 30;
/** Levels of heat in the style sheet. */
const LEVELS = 7;

/** @type {[string, string][]} */
const COLOURS = [['kind', 'Kind'], ['params', 'Parameters'], ['macs', 'MACs'], ['memory', 'Memory'], ['field', 'Field']];

/** @param {Model} model */
export function graphPart(model) {
  const tree = model.network.graph.tree;
  const lead = 'Data flows downwards. Choose a layer to see it in every part of this page; a block opens and folds.';
  if (!tree) return section('graph', 'Graph', lead, el('p.missing', {}, model.network.missing.graph ?? 'There is no drawing.'));
  const blocks = tree.blocks;
  const root = svg('g');
  const drawing = svg('svg.graph', { role: 'group', 'aria-label': `Layer graph of ${model.name}` }, root);
  const port = el('div.port', { tabindex: '-1' }, drawing);
  const legend = el('p.legend', { 'aria-live': 'polite' });
  const found = el('span.found', { 'aria-live': 'polite' });
  const view = { scale: 1, colour: 'kind', query: '', width: 0, height: 0 };
  const open = firstView();
  /** @type {Map<string, SVGGElement>} */
  let boxes = new Map();
  /** @type {Placed[]} */
  let placed = [];
  /** @type {Map<number, SVGPathElement>} */
  let wires = new Map();
  /** @type {string} */
  let active = '';

  const search = el('input', { type: 'search', placeholder: 'Find a layer', 'aria-label': 'Find a layer by its name or kind', spellcheck: 'false', autocomplete: 'off' });
  search.addEventListener('input', () => { view.query = search.value.trim().toLowerCase(); mark(); });
  search.addEventListener('keydown', (event) => { if (event.key === 'Enter') { event.preventDefault(); next(); } });
  const bar = el('div.bar', {},
    el('div.search', {}, search, found),
    choice('Colour by', model.network.profile ? [...COLOURS, ['time', 'Time']] : COLOURS, view.colour, (value) => { view.colour = value; paint(); }),
    el('div.choice', { role: 'group', 'aria-label': 'Blocks' },
      el('button', { type: 'button', onclick: () => { open.fill(true); draw(); } }, 'Open all'),
      el('button', { type: 'button', onclick: () => { open.fill(false); open[0] = true; draw(); } }, 'Fold all')),
    el('div.choice', { role: 'group', 'aria-label': 'Zoom' },
      el('button', { type: 'button', 'aria-label': 'Smaller', onclick: () => zoom(view.scale / 1.25) }, '\u2212'),
      el('button', { type: 'button', 'aria-label': 'Fit to the width', onclick: fit }, 'Fit'),
      el('button', { type: 'button', 'aria-label': 'Larger', onclick: () => zoom(view.scale * 1.25) }, '+')));
  const part = section('graph', 'Graph', lead, bar, port, legend);

  pan();
  model.onChoose((node, from) => {
    if (from !== 'graph' && node >= 0 && reveal(node)) draw(false);
    choose(node, from !== 'graph');
  });
  draw();
  const watch = new ResizeObserver(() => { if (port.clientWidth && !view.width) fit(); });
  watch.observe(port);
  return part;

  /** Opens levels as long as the boxes stay few. */
  function firstView() {
    const levels = blocks.map(() => 0);
    blocks.forEach((block, i) => { if (block.parent !== null) levels[i] = levels[block.parent] + 1; });
    let best = blocks.map((_, i) => i === 0);
    for (let depth = 1; depth < 8; depth += 1) {
      const trial = levels.map((level) => level < depth);
      const visible = blocks.reduce((sum, block, i) => sum + (trial[i] ? block.children.length : 0), 0);
      if (visible > FIRST && depth > 1) break;
      best = trial;
    }
    return best.map((first, i) => model.opened.get(blocks[i].name) ?? first);
  }

  /** @param {Shown} shown */
  function key(shown) {
    return shown.node !== undefined ? `n${shown.node}` : `b${shown.block}`;
  }

  /** @param {Shown} shown */
  function label(shown) {
    const name = shown.node !== undefined ? model.nodes[shown.node].id : blocks[/** @type {number} */ (shown.block)].name;
    const last = shown.node !== undefined && model.isInput(shown.node) ? name : name.slice(name.lastIndexOf('.') + 1) || name;
    return last.length > LONGEST_LABEL ? `${last.slice(0, LONGEST_LABEL - 1)}\u2026` : last;
  }

  /** @param {Shown} shown */
  function detail(shown) {
    if (shown.node !== undefined) {
      const { op, settings } = model.layers[shown.node];
      const text = settings ? `${op} ${settings}` : op;
      if (model.isInput(shown.node)) return (model.nodes[shown.node].shape ?? []).join(' \u00d7 ');
      return text === label(shown).replace(/[\d_]+$/, '') ? '' : text.length > 34 ? `${text.slice(0, 33)}\u2026` : text;
    }
    const [from, to] = blocks[/** @type {number} */ (shown.block)].nodes;
    const sum = total(shown, 'params');
    return `${plural(to - from, 'layer')}${sum ? `, ${magnitude(sum)}` : ''}`;
  }

  /** @param {Shown} shown @returns {[number, number]} */
  function size(shown) {
    const text = detail(shown);
    const block = shown.block !== undefined;
    const width = Math.max(label(shown).length * CHARACTER + (block ? 20 : 0), text.length * CHARACTER * 0.9) + 24;
    return [Math.round(Math.max(64, width)), text ? 42 : 26];
  }

  /** Sums a quantity over what a box shows. @param {Shown} shown @param {string} quantity */
  function total(shown, quantity) {
    const [from, to] = shown.node !== undefined ? [shown.node, shown.node + 1] : blocks[/** @type {number} */ (shown.block)].nodes;
    let sum = 0;
    for (let node = from; node < to; node += 1) {
      const layer = model.layers[node];
      if (quantity === 'params') sum += layer.params;
      else if (quantity === 'macs') sum += layer.macs;
      else if (quantity === 'time') sum += model.seconds[node];
      else if (quantity === 'memory') sum = Math.max(sum, model.outputBytes(node));
      else sum = Math.max(sum, ...(model.fields[node] ?? []).map((field) => Math.max(0, ...field.size)));
    }
    return sum;
  }

  /** Places and draws everything. @param {boolean} [keep] whether what is chosen stays in view */
  function draw(keep = true) {
    blocks.forEach((block, i) => model.opened.set(block.name, open[i]));
    const layout = place(blocks, open, size);
    placed = layout.boxes;
    const margin = 16;
    [view.width, view.height] = [layout.size[0] + 2 * margin, layout.size[1] + 2 * margin];
    boxes = new Map();
    wires = new Map();
    /** @type {Map<number, string[]>} */
    const lines = new Map();
    for (const wire of layout.wires) {
      const [[x1, y1], [, y2], [x2, y3], [, y4]] = wire.points;
      const middle = (y2 + y3) / 2;
      const turn = Math.abs(x1 - x2) < 0.5 ? `V${r(y3)}` : `V${r(y2)}C${r(x1)} ${r(middle)} ${r(x2)} ${r(middle)} ${r(x2)} ${r(y3)}`;
      const list = lines.get(wire.node) ?? [];
      list.push(`M${r(x1)} ${r(y1)}${turn}V${r(y4)}`);
      lines.set(wire.node, list);
    }
    const frames = svg('g');
    const paths = svg('g.wires', { 'aria-hidden': 'true' });
    const fronts = svg('g');
    for (const [node, list] of lines) {
      const path = svg('path', { d: list.join('') });
      wires.set(node, path);
      paths.append(path);
    }
    for (const box of placed) {
      const node = drawBox(box);
      boxes.set(key(box.shown), node);
      (box.open ? frames : fronts).append(node);
    }
    fill(root, frames, paths, fronts);
    set(root, { transform: `translate(${margin} ${margin})` });
    set(drawing, { viewBox: `0 0 ${r(view.width)} ${r(view.height)}` });
    if (!boxes.has(active)) active = placed[0] ? key(placed[0].shown) : '';
    boxes.get(active)?.setAttribute('tabindex', '0');
    zoom(view.scale, false);
    paint();
    mark();
    choose(model.chosen, !keep);
    if (port.clientWidth && keep && !port.dataset.seen) { port.dataset.seen = '1'; fit(); }
  }

  /** @param {Placed} box */
  function drawBox(box) {
    const { shown } = box;
    const [width, height] = box.size;
    const block = shown.block !== undefined;
    const text = detail(shown);
    const name = label(shown);
    const kind = block ? (box.open ? 'frame' : 'block') : model.isInput(/** @type {number} */ (shown.node)) ? 'input' : model.weighs(/** @type {number} */ (shown.node)) ? 'weighted' : 'plain';
    const full = shown.node !== undefined ? model.nodes[shown.node].id : blocks[/** @type {number} */ (shown.block)].name;
    const output = shown.node !== undefined && model.network.graph.outputs.includes(shown.node);
    const group = svg(`g.box.${kind}`, {
      transform: `translate(${r(box.at[0])} ${r(box.at[1])})`,
      role: 'button',
      tabindex: '-1',
      'data-key': key(shown),
      // What is seen comes first, so that whoever speaks to the page can name it.
      'aria-label': `${name}${box.open ? '' : ` ${text}`}, ${block ? 'block ' : ''}${full}${output ? ', output' : ''}`,
      'aria-expanded': block ? String(box.open) : null,
      'aria-pressed': block ? null : 'false',
    },
    !box.open && block ? svg('rect.back', { x: 3, y: 3, width, height, rx: 7 }) : null,
    svg('rect.face', { width, height, rx: box.open ? 10 : 7 }),
    output ? svg('rect.rim', { x: -3, y: -3, width: width + 6, height: height + 6, rx: 9 }) : null,
    block ? svg('path.arrow', { d: box.open ? 'M0 0h8l-4 5z' : 'M0 0l5 4l-5 4z', transform: box.open ? `translate(9 ${SPACING.title - 13})` : `translate(${r(width / 2 - (name.length * CHARACTER) / 2 - 7)} 10)` }) : null,
    svg('text.name', box.open ? { x: 22, y: SPACING.title - 6 } : { x: width / 2 + (block ? 4 : 0), y: text ? 18 : 17 }, name),
    // A name that is computed from the texts needs the space.
    ' ',
    text && !box.open ? svg('text.detail', { x: width / 2, y: 33 }, text) : null,
    full.endsWith(name) ? null : svg('title', {}, full));
    group.addEventListener('click', () => act(shown));
    group.addEventListener('focus', () => { focusOn(key(shown)); });
    group.addEventListener('keydown', (event) => walk(event, box));
    return group;
  }

  /** @param {number} x */
  function r(x) {
    return Math.round(x * 10) / 10;
  }

  /** Folds or opens a block, or chooses a layer. @param {Shown} shown */
  function act(shown) {
    if (shown.block !== undefined) {
      const before = boxes.get(key(shown))?.getBoundingClientRect();
      open[shown.block] = !open[shown.block];
      active = key(shown);
      draw();
      const after = boxes.get(active)?.getBoundingClientRect();
      // What was clicked stays under the pointer.
      if (before && after) port.scrollBy(after.left - before.left, after.top - before.top);
      boxes.get(active)?.focus({ preventScroll: true });
    } else {
      model.choose(/** @type {number} */ (shown.node), 'graph');
    }
  }

  /** @param {string} name */
  function focusOn(name) {
    boxes.get(active)?.setAttribute('tabindex', '-1');
    active = name;
    boxes.get(active)?.setAttribute('tabindex', '0');
  }

  /** Moves along the connections. @param {KeyboardEvent} event @param {Placed} box */
  function walk(event, box) {
    const middle = box.at[0] + box.size[0] / 2;
    /** @param {(other: Placed) => number} cost */
    const nearest = (cost) => {
      let [best, least] = [/** @type {Placed | null} */ (null), Infinity];
      for (const other of placed) {
        const value = other === box ? Infinity : cost(other);
        if (value < least) [best, least] = [other, value];
      }
      return best;
    };
    const across = (/** @type {Placed} */ other) => Math.abs(other.at[0] + other.size[0] / 2 - middle);
    /** @type {Record<string, () => Placed | null>} */
    const moves = {
      ArrowDown: () => nearest((o) => (o.at[1] > box.at[1] + 1 ? o.at[1] - box.at[1] + across(o) : Infinity)),
      ArrowUp: () => nearest((o) => (o.at[1] < box.at[1] - 1 ? box.at[1] - o.at[1] + across(o) : Infinity)),
      ArrowRight: () => nearest((o) => (o.at[0] > box.at[0] + 1 ? across(o) + 4 * Math.abs(o.at[1] - box.at[1]) : Infinity)),
      ArrowLeft: () => nearest((o) => (o.at[0] < box.at[0] - 1 ? across(o) + 4 * Math.abs(o.at[1] - box.at[1]) : Infinity)),
      Home: () => placed[0],
      End: () => placed[placed.length - 1],
    };
    if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      act(box.shown);
    } else if (event.key === '+' || event.key === '-') {
      zoom(event.key === '+' ? view.scale * 1.25 : view.scale / 1.25);
    } else if (moves[event.key]) {
      event.preventDefault();
      const to = moves[event.key]();
      if (to) {
        boxes.get(key(to.shown))?.focus({ preventScroll: true });
        show(key(to.shown));
      }
    }
  }

  /** Scrolls a box into view. @param {string} name */
  function show(name) {
    const box = boxes.get(name)?.getBoundingClientRect();
    const frame = port.getBoundingClientRect();
    if (!box || !frame.width) return;
    if (box.top < frame.top + 30 || box.bottom > frame.bottom - 30 || box.left < frame.left || box.right > frame.right) {
      port.scrollBy(box.left + box.width / 2 - frame.left - frame.width / 2, box.top + box.height / 2 - frame.top - frame.height / 2);
    }
  }

  /** @param {number} scale @param {boolean} [around] */
  function zoom(scale, around = true) {
    const old = view.scale;
    view.scale = Math.min(2.5, Math.max(0.12, scale));
    const middle = [port.scrollLeft + port.clientWidth / 2, port.scrollTop + port.clientHeight / 2];
    set(drawing, { width: r(view.width * view.scale), height: r(view.height * view.scale) });
    if (around) {
      port.scrollLeft = (middle[0] * view.scale) / old - port.clientWidth / 2;
      port.scrollTop = (middle[1] * view.scale) / old - port.clientHeight / 2;
    }
  }

  function fit() {
    zoom(Math.min(1, (port.clientWidth - 4) / view.width), false);
    // Where all of it would be too small to read, the middle is shown.
    if (view.scale < 0.45) zoom(0.45, false);
    port.scrollLeft = (view.width * view.scale - port.clientWidth) / 2;
  }

  /** Drags the drawing. */
  function pan() {
    /** @type {{x: number, y: number, left: number, top: number} | null} */
    let held = null;
    port.addEventListener('pointerdown', (event) => {
      if (event.pointerType !== 'mouse' || event.button !== 0) return;
      held = { x: event.clientX, y: event.clientY, left: port.scrollLeft, top: port.scrollTop };
    });
    port.addEventListener('pointermove', (event) => {
      if (!held || (Math.abs(event.clientX - held.x) < 4 && Math.abs(event.clientY - held.y) < 4)) return;
      port.scrollLeft = held.left - (event.clientX - held.x);
      port.scrollTop = held.top - (event.clientY - held.y);
      port.classList.add('held');
    });
    const release = () => { held = null; port.classList.remove('held'); };
    port.addEventListener('pointerup', release);
    port.addEventListener('pointerleave', release);
    port.addEventListener('wheel', (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      zoom(view.scale * Math.exp(-event.deltaY / 200));
    }, { passive: false });
  }

  /** Colours the boxes by a quantity. */
  function paint() {
    const values = placed.map((box) => (view.colour === 'kind' || box.open ? 0 : total(box.shown, view.colour)));
    const most = Math.max(0, ...values);
    placed.forEach((box, i) => {
      const level = most && values[i] ? Math.max(1, Math.ceil(Math.sqrt(values[i] / most) * LEVELS)) : 0;
      set(/** @type {SVGGElement} */ (boxes.get(key(box.shown))), { 'data-heat': view.colour === 'kind' || box.open ? null : level });
    });
    const unit = { params: magnitude, macs: magnitude, memory: bytes, field: grouped, time: duration }[view.colour];
    if (!unit) fill(legend, el('span.key.k-weighted', {}), 'weights', el('span.key.k-plain', {}), 'none', el('span.key.k-input', {}), 'input');
    else {
      const words = { params: 'parameters of the box', macs: 'MACs of the box', memory: 'largest output of the box', field: 'largest side of the receptive field', time: 'time of the box' }[view.colour];
      fill(legend, '0', ...Array.from({ length: LEVELS }, (_, i) => el('span.swatch', { 'data-heat': i + 1 })), `${unit(most)} \u00b7 ${words}`);
    }
  }

  /** Returns the nodes that the search finds. @returns {number[]} */
  function hits() {
    if (!view.query) return [];
    return model.nodes.flatMap((node, i) => (node.id.toLowerCase().includes(view.query) || model.layers[i].op.includes(view.query) ? [i] : []));
  }

  /** Marks what the search finds, in folded blocks as well. */
  function mark() {
    const all = hits();
    const set_ = new Set(all);
    for (const box of placed) {
      const [from, to] = box.shown.node !== undefined ? [box.shown.node, box.shown.node + 1] : blocks[/** @type {number} */ (box.shown.block)].nodes;
      let hit = false;
      if (!box.open) for (let node = from; node < to && !hit; node += 1) hit = set_.has(node);
      boxes.get(key(box.shown))?.classList.toggle('hit', hit);
    }
    drawing.classList.toggle('searching', view.query !== '');
    found.textContent = view.query ? (all.length ? `${all.length} found` : 'none found') : '';
  }

  /** Chooses the next layer that the search finds. */
  function next() {
    const all = hits();
    if (!all.length) return;
    const to = all.find((node) => node > model.chosen) ?? all[0];
    if (reveal(to)) draw(false);
    model.choose(to, 'search');
    choose(to, true);
  }

  /** Opens the blocks around a node; returns whether one was folded. @param {number} node */
  function reveal(node) {
    let changed = false;
    blocks.forEach((block, i) => {
      if (block.nodes[0] <= node && node < block.nodes[1] && !open[i]) { open[i] = true; changed = true; }
    });
    return changed;
  }

  /** Shows which node is chosen, and what it reads. @param {number} node @param {boolean} move */
  function choose(node, move) {
    for (const box of boxes.values()) {
      box.classList.remove('chosen');
      if (box.hasAttribute('aria-pressed')) box.setAttribute('aria-pressed', 'false');
    }
    const inputs = new Set(node < 0 ? [] : model.nodes[node].inputs);
    wires.forEach((path, from) => {
      path.classList.toggle('out', from === node);
      path.classList.toggle('in', inputs.has(from));
    });
    const box = boxes.get(`n${node}`);
    if (!box) return;
    box.classList.add('chosen');
    box.setAttribute('aria-pressed', 'true');
    focusOn(`n${node}`);
    if (move) show(`n${node}`);
  }
}
