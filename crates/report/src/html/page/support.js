// The exact set of input positions that one unit reads, composed backwards through the graph: the algorithm of
// `analysis/support/{pullback,rearrange}.rs` over the dependences of `html/reaches.rs`.

import { below, count, interval, intersection, nothing, product, products, setOf, union, withoutFirst } from './sets.js';

/** @typedef {import('./sets.js').Set} Set */
/** @typedef {import('./sets.js').Interval} Interval */
/** @typedef {import('./sets.js').Region} Region */
/** @typedef {number | string | number[] | {blocks?: number[], shuffle?: number[], table?: [number, number[]], periodic?: [number, number, number, number[][]]}} Axis */
/** @typedef {{axes?: Axis[] | null, context?: boolean, sampled?: boolean, pad?: string, regroup?: [number[], number[]][], to_space?: number, to_channels?: number}} Reach */
/** @typedef {{kinds: Reach[], nodes: [number, number][][], mixed: number[]}} Reaches */
/** @typedef {{nodes: {id: string, inputs: number[], shape: number[] | null}[], reaches: Reaches}} Net */

/** Steps of work after which a unit is given up: a fraction of a second. */
const MOST_STEPS = 4_000_000;

/** The reason why a unit's set is not shown. */
export class NotShown extends Error {}

/** Work that remains. */
class Budget {
  constructor() {
    this.left = MOST_STEPS;
  }

  /** @param {number} steps */
  spend(steps) {
    this.left -= Math.max(1, steps);
    if (this.left < 0) throw new NotShown('its exact set consists of too many pieces to be composed here');
  }
}

/**
 * Returns what the unit reads of the network's input: its region of positions.
 * With `borders`, only what exists is read; without, windows ignore borders, which is the definition of a field.
 * @param {Net} net @param {number} node @param {number} input @param {number[]} unit @param {boolean} borders
 * @returns {Region}
 */
export function support(net, node, input, unit, borders) {
  const shape = net.nodes[node].shape;
  const source = net.nodes[input].shape;
  if (!shape || !source) throw new NotShown('the model leaves its shape open');
  const budget = new Budget();
  /** @type {Map<number, Region>} */
  const regions = new Map();
  regions.set(node, product([below(shape[0]), ...unit.map((u) => interval(u, u))]));
  const useful = readersOf(net, input);
  const mixed = new Set(net.reaches.mixed);
  for (let at = node; at > input; at -= 1) {
    const region = regions.get(at);
    if (!region) continue;
    regions.delete(at);
    for (const [operand, read] of readBy(net, at, region, useful, borders, mixed, budget)) {
      const old = regions.get(operand);
      budget.spend((old?.parts.length ?? 0) * read.parts.length);
      regions.set(operand, old ? union(old, read) : read);
    }
  }
  const found = regions.get(input);
  return found ? withoutFirst(found) : nothing(source.length - 1);
}

/** Returns the nodes that depend on `input`. @param {Net} net @param {number} input @returns {boolean[]} */
export function readersOf(net, input) {
  /** @type {boolean[]} */
  const useful = [];
  net.nodes.forEach((node, index) => useful.push(index === input || node.inputs.some((from) => useful[from])));
  return useful;
}

/**
 * @param {Net} net @param {number} at @param {Region} region @param {boolean[]} useful @param {boolean} borders
 * @param {globalThis.Set<number>} mixed @param {Budget} budget @returns {[number, Region][]}
 */
function readBy(net, at, region, useful, borders, mixed, budget) {
  const node = net.nodes[at];
  /** @type {[number, Region][]} */
  const all = [];
  for (const [slot, index] of net.reaches.nodes[at]) {
    const reach = net.reaches.kinds[index];
    const operand = node.inputs[slot];
    if (operand === undefined || !useful[operand] || reach.context) continue;
    const sizes = net.nodes[operand].shape;
    if (!sizes || !node.shape) throw new NotShown(`the model leaves a shape open before \`${node.id}\``);
    if (!reach.axes) {
      const read = rearranged(region, reach, sizes, node.shape, budget, node.id);
      all.push([operand, borders ? inside(read, sizes) : read]);
      continue;
    }
    let read = nothing(sizes.length);
    for (const sets of products(region)) {
      const image = reach.axes.map((axis, i) => {
        const set = through(axis, sets, sizes[i], budget);
        const bounded = borders || (i === 0 && !mixed.has(operand));
        return bounded ? folded(set, sizes[i], i === 0 ? undefined : reach.pad) : set;
      });
      read = union(read, product(image));
    }
    all.push([operand, read]);
  }
  return all;
}

/** @param {Region} region @param {number[]} sizes @returns {Region} */
function inside(region, sizes) {
  const parts = products(region).map((sets) => product(sets.map((set, i) => intersection(set, below(sizes[i])))));
  return parts.reduce(union, nothing(sizes.length));
}

/** Returns the existing elements at `set`; padding may copy others there. @param {Set} set @param {number} size @param {string} [pad] */
export function folded(set, size, pad) {
  const own = intersection(set, below(size));
  if (!pad) return own;
  const last = size - 1;
  /** @type {Interval[]} */
  const spans = [...own];
  for (const [lo, hi] of set) {
    if (lo < 0) spans.push(...copied(lo, Math.min(hi, -1), 0, 0, size));
    if (hi > last) spans.push(...copied(Math.max(lo, size), hi, last, 2 * last, -size));
  }
  return intersection(setOf(spans), below(size));

  /** @param {number} lo @param {number} hi @param {number} edge @param {number} mirror @param {number} moved @returns {Interval[]} */
  function copied(lo, hi, edge, mirror, moved) {
    if (pad === 'replicate') return [[edge, edge]];
    if (pad === 'reflect') return [[mirror - hi, mirror - lo]];
    return [[lo + moved, hi + moved]];
  }
}

/** Returns what is read along one axis. @param {Axis} axis @param {Set[]} sets @param {number} size @param {Budget} budget @returns {Set} */
function through(axis, sets, size, budget) {
  if (typeof axis === 'number') return sets[axis] ?? [];
  if (axis === 'all') return below(size);
  if (axis === 'first') return interval(0, 0);
  if (typeof axis === 'string') throw new NotShown('a layer before it is not expressed here');
  if (Array.isArray(axis)) {
    const [by, advance, first, step, taps] = axis;
    return slide(sets[by] ?? [], advance, first, step, taps, budget);
  }
  if (axis.blocks) {
    const [by, outputs, inputs] = axis.blocks;
    const block = (/** @type {number} */ u) => Math.floor(u / outputs) * inputs;
    return setOf((sets[by] ?? []).map(([lo, hi]) => [block(lo), block(hi) + inputs - 1]));
  }
  if (axis.shuffle) {
    const [by, groups, each] = axis.shuffle;
    const set = sets[by] ?? [];
    if (count(set) === size) return set;
    return setOf(listed(set, budget).map((u) => point((u % groups) * each + Math.floor(u / groups))));
  }
  if (axis.table) {
    const [by, indices] = axis.table;
    return setOf(listed(intersection(sets[by] ?? [], below(indices.length)), budget).map((u) => point(indices[u])));
  }
  if (axis.periodic) {
    const [by, period, advance, reads] = axis.periodic;
    /** @type {Interval[]} */
    const spans = [];
    for (const u of listed(sets[by] ?? [], budget)) {
      const turn = Math.floor(u / period);
      const [first, step, taps] = reads[u - turn * period];
      progression(first + turn * advance, step, taps, spans, budget);
    }
    return setOf(spans);
  }
  throw new NotShown('a layer before it is not expressed here');
}

/** @param {number} u @returns {Interval} */
function point(u) {
  return [u, u];
}

/** @param {Set} set @param {Budget} budget @returns {number[]} */
function listed(set, budget) {
  budget.spend(count(set));
  return set.flatMap(([lo, hi]) => Array.from({ length: hi - lo + 1 }, (_, i) => lo + i));
}

/** Adds `first + step * t` for t in 0..taps. @param {number} first @param {number} step @param {number} taps @param {Interval[]} out @param {Budget} budget */
function progression(first, step, taps, out, budget) {
  if (taps <= 0) return;
  if (step <= 1) {
    out.push([first, first + taps - 1]);
    return;
  }
  budget.spend(taps);
  for (let t = 0; t < taps; t += 1) out.push(point(first + step * t));
}

/** Returns `u * advance + first + step * t` for all u and t. @param {Set} set @param {number} advance @param {number} first @param {number} step @param {number} taps @param {Budget} budget */
function slide(set, advance, first, step, taps, budget) {
  /** @type {Interval[]} */
  const spans = [];
  for (const [lo, hi] of set) {
    const units = hi - lo + 1;
    const start = lo * advance + first;
    // The taps of one unit are one run, or the units at one tap are: walk along the other.
    if (step <= 1 || taps === 1) {
      if (advance <= taps || units === 1) spans.push([start, start + (units - 1) * advance + taps - 1]);
      else {
        budget.spend(units);
        for (let u = 0; u < units; u += 1) spans.push([start + u * advance, start + u * advance + taps - 1]);
      }
    } else if (advance === 1) {
      if (step <= units) spans.push([start, start + units - 1 + step * (taps - 1)]);
      else {
        budget.spend(taps);
        for (let t = 0; t < taps; t += 1) spans.push([start + step * t, start + step * t + units - 1]);
      }
    } else {
      for (let u = 0; u < units; u += 1) progression(start + u * advance, step, taps, spans, budget);
    }
  }
  return setOf(spans);
}

/** @param {Region} region @param {Reach} reach @param {number[]} input @param {number[]} output @param {Budget} budget @param {string} id */
function rearranged(region, reach, input, output, budget, id) {
  let all = nothing(input.length);
  for (const sets of products(region)) {
    let read;
    if (reach.regroup) read = regrouped(sets, reach.regroup, input, output, budget);
    else if (reach.to_space) read = fromChannels(sets, reach.to_space, budget);
    else if (reach.to_channels) read = fromSpace(sets, reach.to_channels, budget);
    else throw new NotShown(`the dependences of \`${id}\` do not fit into this page`);
    all = union(all, read);
  }
  return all;
}

/** @param {Set[]} sets @param {[number[], number[]][]} runs @param {number[]} input @param {number[]} output @param {Budget} budget @returns {Region} */
function regrouped(sets, runs, input, output, budget) {
  const inRun = new Set(runs.flatMap((run) => run[1]));
  if (sets.some((set, axis) => !inRun.has(axis) && output[axis] === 1 && !intersection(set, interval(0, 0)).length)) {
    return nothing(input.length);
  }
  /** @type {Set[][]} */
  let all = [input.map(() => interval(0, 0))];
  for (const [from, to] of runs) {
    const parts =
      from.length === 1 && to.length === 1
        ? [[sets[to[0]]]]
        : products(placed(numbered(to.map((axis) => sets[axis]), to.map((axis) => output[axis]), budget), from.map((axis) => input[axis]), budget));
    budget.spend(all.length * parts.length);
    all = all.flatMap((base) =>
      parts.map((part) => {
        const next = base.slice();
        from.forEach((axis, i) => { next[axis] = part[i]; });
        return next;
      }),
    );
  }
  return all.reduce((region, next) => union(region, product(next)), nothing(input.length));
}

/** Returns the row-major numbers of a product's elements. @param {Set[]} sets @param {number[]} sizes @param {Budget} budget @returns {Set} */
function numbered(sets, sizes, budget) {
  let numbers = interval(0, 0);
  let width = 1;
  for (let i = sets.length - 1; i >= 0; i -= 1) {
    const set = intersection(sets[i], below(sizes[i]));
    const whole = numbers.length === 1 && numbers[0][0] === 0 && numbers[0][1] === width - 1;
    const by = width;
    if (whole) numbers = setOf(set.map(([lo, hi]) => [lo * by, hi * by + by - 1]));
    else {
      const inner = numbers;
      budget.spend(count(set) * inner.length);
      numbers = setOf(listed(set, budget).flatMap((index) => inner.map(([lo, hi]) => /** @type {Interval} */ ([lo + index * by, hi + index * by]))));
    }
    width *= sizes[i];
  }
  return numbers;
}

/** Returns the elements with these row-major numbers. @param {Set} numbers @param {number[]} sizes @param {Budget} budget @returns {Region} */
function placed(numbers, sizes, budget) {
  if (!sizes.length) return product([]);
  if (sizes.length === 1) return product([numbers]);
  const rest = sizes.slice(1);
  const width = rest.reduce((a, b) => a * b, 1);
  let all = nothing(sizes.length);
  for (const [first, last] of numbers) {
    for (let lo = first; lo <= last; ) {
      budget.spend(3);
      const row = Math.floor(lo / width);
      const from = lo - row * width;
      const rows = Math.floor((last + 1 - lo) / width);
      if (from === 0 && rows > 0) {
        all = union(all, product([interval(row, row + rows - 1), ...rest.map(below)]));
        lo += rows * width;
        continue;
      }
      const to = Math.min(from + last - lo, width - 1);
      const content = placed(interval(from, to), rest, budget);
      all = union(all, { rank: sizes.length, parts: [[interval(row, row), content]] });
      lo += to - from + 1;
    }
  }
  return all;
}

/** Returns the places in a cell, in row-major order. @param {number} factor @param {number} rank @returns {number[][]} */
function cell(factor, rank) {
  let places = [/** @type {number[]} */ ([])];
  for (let axis = 0; axis < rank; axis += 1) {
    places = places.flatMap((at) => Array.from({ length: factor }, (_, p) => [...at, p]));
  }
  return places;
}

/** Returns `step * q + at` for each element q. @param {Set} set @param {number} step @param {number} at @param {Budget} budget @returns {Set} */
function spaced(set, step, at, budget) {
  if (step === 1) return set.map(([lo, hi]) => [lo + at, hi + at]);
  return listed(set, budget).map((q) => point(step * q + at));
}

/** Returns all q for which `step * q + at` is an element. @param {Set} set @param {number} step @param {number} at @returns {Set} */
function every(set, step, at) {
  /** @type {Interval[]} */
  const spans = set.map(([lo, hi]) => [Math.ceil((lo - at) / step), Math.floor((hi - at) / step)]);
  return setOf(spans.filter(([lo, hi]) => lo <= hi));
}

/** A pixel shuffle reads channels by the place in the cell. @param {Set[]} sets @param {number} factor @param {Budget} budget @returns {Region} */
function fromChannels([channels, ...space], factor, budget) {
  const places = cell(factor, space.length);
  return places.reduce(
    (all, at, index) => union(all, product([spaced(channels, places.length, index, budget), ...space.map((set, i) => every(set, factor, at[i]))])),
    nothing(space.length + 1),
  );
}

/** A pixel unshuffle reads places in the cell by the channel. @param {Set[]} sets @param {number} factor @param {Budget} budget @returns {Region} */
function fromSpace([channels, ...space], factor, budget) {
  const places = cell(factor, space.length);
  return places.reduce(
    (all, at, index) => union(all, product([every(channels, places.length, index), ...space.map((set, i) => spaced(set, factor, at[i], budget))])),
    nothing(space.length + 1),
  );
}
