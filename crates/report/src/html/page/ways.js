// Two walks over positions: the number of ways from a unit back to every input position, and the units that read one
// input position. Both treat axes one by one, so they cost the size of the maps times the taps of a window.

import { contains } from './sets.js';
import { NotShown, readersOf, support } from './support.js';

/** @typedef {import('./support.js').Net} Net */
/** @typedef {import('./support.js').Reach} Reach */
/** @typedef {import('./support.js').Axis} Axis */
/** A box of a map with a number per position. @typedef {{lo: number[], size: number[], data: Float64Array}} Field */

/** Most additions of one walk. */
const MOST_ADDITIONS = 60_000_000;

/** Returns what an axis reads at output `u`, as [first, step, taps]. @param {Axis} axis @param {number} u @returns {[number, number, number]} */
function readsAt(axis, u) {
  if (typeof axis === 'number') return [u, 1, 1];
  if (Array.isArray(axis)) return [u * axis[1] + axis[2], axis[3], axis[4]];
  if (typeof axis === 'object' && axis.periodic) {
    const [, period, advance, reads] = axis.periodic;
    const turn = Math.floor(u / period);
    const [first, step, taps] = reads[u - turn * period];
    return [first + turn * advance, step, taps];
  }
  throw new NotShown('a layer before it does not treat its axes one by one');
}

/** Returns the output axis that an axis follows; -1 for none. @param {Axis} axis */
function followed(axis) {
  if (typeof axis === 'number') return axis;
  if (Array.isArray(axis)) return axis[0];
  if (axis === 'all' || axis === 'first') return -1;
  if (typeof axis === 'object' && axis.periodic) return axis.periodic[0];
  throw new NotShown('a layer before it does not treat its axes one by one');
}

/** Returns the existing index that is read at `x`; -1 for none. @param {number} x @param {number} size @param {string} [pad] */
function foldedIndex(x, size, pad) {
  if (x >= 0 && x < size) return x;
  if (pad === 'replicate') return x < 0 ? 0 : size - 1;
  const at = pad === 'reflect' ? (x < 0 ? -x : 2 * (size - 1) - x) : pad === 'circular' ? (x < 0 ? x + size : x - size) : -1;
  return at >= 0 && at < size ? at : -1;
}

/** @param {number[]} size */
function volume(size) {
  return size.reduce((a, b) => a * b, 1);
}

/** Returns the spatial axes of a reach; throws if they move. @param {Reach} reach @param {string} id @returns {Axis[]} */
function spatialAxes(reach, id) {
  if (!reach.axes) throw new NotShown(`\`${id}\` rearranges positions`);
  const axes = reach.axes.slice(1);
  axes.forEach((axis, i) => {
    const by = followed(axis);
    if (by >= 0 && by !== i + 1) throw new NotShown(`\`${id}\` exchanges axes`);
  });
  return axes;
}

/** Applies `line` to every line along an axis. @param {Field} field @param {number} axis @param {number} lo @param {number} size @param {(from: number, to: number, stride: number) => void} line @param {Float64Array} out */
function eachLine(field, axis, lo, size, line, out) {
  const inner = volume(field.size.slice(axis + 1));
  const outer = volume(field.size.slice(0, axis));
  for (let o = 0; o < outer; o += 1) {
    for (let i = 0; i < inner; i += 1) line(o * field.size[axis] * inner + i, o * size * inner + i, inner);
  }
  field.lo = field.lo.map((old, a) => (a === axis ? lo : old));
  field.size = field.size.map((old, a) => (a === axis ? size : old));
  field.data = out;
}

/** Spreads counts from outputs to what they read along one axis. @param {Field} field @param {number} axis @param {Axis} reach @param {number} size @param {string | undefined} pad @param {{left: number}} budget */
function spread(field, axis, reach, size, pad, budget) {
  if (typeof reach === 'number') return;
  const [from, units] = [field.lo[axis], field.size[axis]];
  const rest = volume(field.size) / units;
  if (reach === 'all' || reach === 'first') {
    const width = reach === 'all' ? size : 1;
    const out = new Float64Array(rest * width);
    const old = field.data;
    eachLine(field, axis, 0, width, (at, to, stride) => {
      let sum = 0;
      for (let u = 0; u < units; u += 1) sum += old[at + u * stride];
      for (let x = 0; x < width; x += 1) out[to + x * stride] = sum;
    }, out);
    return;
  }
  /** @type {[number, number][]} */
  const pairs = [];
  let [least, most] = [size, -1];
  for (let u = 0; u < units; u += 1) {
    const [first, step, taps] = readsAt(reach, from + u);
    for (let t = 0; t < taps; t += 1) {
      const x = foldedIndex(first + step * t, size, pad);
      if (x < 0) continue;
      pairs.push([u, x]);
      least = Math.min(least, x);
      most = Math.max(most, x);
    }
  }
  const width = Math.max(0, most - least + 1);
  budget.left -= pairs.length * rest;
  if (budget.left < 0) throw new NotShown('its ways are too many to be counted here');
  const out = new Float64Array(rest * width);
  const old = field.data;
  eachLine(field, axis, width ? least : 0, width, (at, to, stride) => {
    for (const [u, x] of pairs) out[to + (x - least) * stride] += old[at + u * stride];
  }, out);
}

/** Adds `b` to `a`, over the box of both. @param {Field | undefined} a @param {Field} b @returns {Field} */
function added(a, b) {
  if (!a || !a.data.length) return b;
  if (!b.data.length) return a;
  const lo = a.lo.map((x, i) => Math.min(x, b.lo[i]));
  const size = a.lo.map((x, i) => Math.max(x + a.size[i], b.lo[i] + b.size[i]) - lo[i]);
  const data = new Float64Array(volume(size));
  for (const part of [a, b]) {
    const row = part.size[part.size.length - 1] ?? 1;
    for (let at = 0; at < part.data.length; at += row) {
      let index = 0;
      let rest = at;
      for (let axis = 0, tail = part.data.length; axis < part.size.length; axis += 1) {
        tail /= part.size[axis];
        const place = Math.floor(rest / tail);
        rest -= place * tail;
        index = index * size[axis] + place + part.lo[axis] - lo[axis];
      }
      for (let i = 0; i < row; i += 1) data[index + i] += part.data[at + i];
    }
  }
  return { lo, size, data };
}

/**
 * Returns the number of ways through the windows of all layers from the unit to each input position; channels do not
 * multiply them.
 * @param {Net} net @param {number} node @param {number} input @param {number[]} unit @returns {Field}
 */
export function ways(net, node, input, unit) {
  const useful = readersOf(net, input);
  const budget = { left: MOST_ADDITIONS };
  /** @type {Map<number, Field>} */
  const fields = new Map();
  fields.set(node, { lo: unit.slice(), size: unit.map(() => 1), data: new Float64Array([1]) });
  for (let at = node; at > input; at -= 1) {
    const field = fields.get(at);
    if (!field) continue;
    fields.delete(at);
    const { id, inputs } = net.nodes[at];
    for (const [slot, index] of net.reaches.nodes[at]) {
      const reach = net.reaches.kinds[index];
      const operand = inputs[slot];
      if (operand === undefined || !useful[operand] || reach.context) continue;
      const shape = net.nodes[operand].shape;
      if (!shape) throw new NotShown(`the model leaves a shape open before \`${id}\``);
      const axes = spatialAxes(reach, id);
      if (axes.length !== field.size.length) throw new NotShown(`\`${id}\` has other axes than what it reads`);
      const read = { lo: field.lo.slice(), size: field.size.slice(), data: field.data };
      axes.forEach((axis, i) => spread(read, i, axis, shape[i + 1], reach.pad, budget));
      fields.set(operand, added(fields.get(operand), read));
    }
  }
  const found = fields.get(input) ?? { lo: unit.map(() => 0), size: unit.map(() => 0), data: new Float64Array() };
  if (found.data.some((x) => !Number.isFinite(x))) throw new NotShown('the number of its ways exceeds what a page can count');
  return found;
}

/** Gathers whether any position that an output reads is set, along one axis. @param {Field} field @param {number} axis @param {Axis} reach @param {number} size @param {number} units @param {string} [pad] */
function gather(field, axis, reach, size, units, pad) {
  if (typeof reach === 'number') return;
  const [from, width] = [field.lo[axis], field.size[axis]];
  /** @type {number[][]} */
  const reads = [];
  for (let u = 0; u < units; u += 1) {
    /** @type {number[]} */
    const own = [];
    if (reach === 'all') for (let x = 0; x < width; x += 1) own.push(x);
    else if (reach === 'first') own.push(...(from === 0 ? [0] : []));
    else {
      const [first, step, taps] = readsAt(reach, u);
      for (let t = 0; t < taps; t += 1) {
        const x = foldedIndex(first + step * t, size, pad) - from;
        if (x >= 0 && x < width) own.push(x);
      }
    }
    reads.push(own);
  }
  const set = reads.flatMap((own, u) => (own.length ? [u] : []));
  const lo = set[0] ?? 0;
  const wide = set.length ? set[set.length - 1] - lo + 1 : 0;
  const out = new Float64Array((volume(field.size) / width) * wide);
  const old = field.data;
  eachLine(field, axis, lo, wide, (at, to, stride) => {
    for (let u = 0; u < wide; u += 1) {
      if (reads[lo + u].some((x) => old[at + x * stride] > 0)) out[to + u * stride] = 1;
    }
  }, out);
}

/**
 * Returns the units of `node` that read the input position,.
 * @param {Net} net @param {number} node @param {number} input @param {number[]} at @returns {Field}
 */
export function unitsReading(net, node, input, at) {
  const useful = readersOf(net, input);
  /** @type {(Field | undefined)[]} */
  const fields = [];
  // Whether channels of a node may differ, and whether a layer took some of such channels.
  /** @type {boolean[]} */
  const differ = [];
  /** @type {boolean[]} */
  const bound = [];
  fields[input] = { lo: at.slice(), size: at.map(() => 1), data: new Float64Array([1]) };
  for (let index = input + 1; index <= node; index += 1) {
    if (!useful[index]) continue;
    const { id, inputs, shape } = net.nodes[index];
    if (!shape) throw new NotShown(`the model leaves the shape of \`${id}\` open`);
    /** @type {Field[]} */
    const parts = [];
    let apart = false;
    for (const [slot, kind] of net.reaches.nodes[index]) {
      const reach = net.reaches.kinds[kind];
      const operand = inputs[slot];
      const field = fields[operand];
      const sizes = net.nodes[operand]?.shape;
      if (!field || !sizes || reach.context) continue;
      const axes = spatialAxes(reach, id);
      const read = { lo: field.lo.slice(), size: field.size.slice(), data: field.data };
      axes.forEach((axis, i) => gather(read, i, axis, sizes[i + 1], shape[i + 1], reach.pad));
      parts.push(read);
      bound[index] ||= bound[operand];
      const channel = reach.axes?.[0];
      if (channel !== 'all') {
        apart ||= shape[0] !== sizes[0] || channel !== 0;
        differ[index] ||= differ[operand];
        const whole = typeof channel === 'number' || (Array.isArray(channel) && channel[4] === 1 && shape[0] >= sizes[0]);
        if (!whole && differ[operand]) bound[index] = true;
      }
    }
    if (!parts.length) continue;
    const sum = parts.reduce((/** @type {Field | undefined} */ all, part) => added(all, part), undefined);
    if (apart && new Set(parts.map((part) => `${part.lo}/${part.size}/${part.data}`)).size > 1) differ[index] = true;
    // Of several operands, one that does not depend on the position leaves some channels without it.
    if (apart && parts.length < inputs.length) differ[index] = true;
    fields[index] = sum;
  }
  const units = fields[node] ?? { lo: at.map(() => 0), size: at.map(() => 0), data: new Float64Array() };
  if (bound[node]) confirm(net, node, input, at, units);
  return units;
}

/** Removes the units whose exact set lacks the position. @param {Net} net @param {number} node @param {number} input @param {number[]} at @param {Field} units */
function confirm(net, node, input, at, units) {
  const until = performance.now() + 1500;
  units.data = units.data.slice();
  for (let index = 0; index < units.data.length; index += 1) {
    if (!units.data[index]) continue;
    if (performance.now() > until) throw new NotShown('too many units come into question');
    let rest = index;
    const unit = units.size.map((_, axis) => {
      const tail = volume(units.size.slice(axis + 1));
      const place = Math.floor(rest / tail);
      rest -= place * tail;
      return place + units.lo[axis];
    });
    if (!contains(support(net, node, input, unit, true), at)) units.data[index] = 0;
  }
}
