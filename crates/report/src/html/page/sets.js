// Sets of indices along one axis, and regions in several: the algebra of `analysis/support/{set,region}.rs`.
// A set is a sorted list of disjoint intervals [lo, hi] that do not touch. A region is a list of parts [set, region of
// one axis less]; the sets of its parts are disjoint and their contents differ. At rank 0 any part means the one point.

/** @typedef {[number, number]} Interval */
/** @typedef {Interval[]} Set */
/** @typedef {{rank: number, parts: [Set, Region][]}} Region */

/** @param {number} lo @param {number} hi @returns {Set} */
export function interval(lo, hi) {
  return lo > hi ? [] : [[lo, hi]];
}

/** @param {number} size @returns {Set} */
export function below(size) {
  return interval(0, size - 1);
}

/** Returns the union of intervals in any order. @param {Interval[]} spans @returns {Set} */
export function setOf(spans) {
  if (spans.length < 2) return spans.slice();
  const sorted = spans.slice().sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  /** @type {Set} */
  const out = [[sorted[0][0], sorted[0][1]]];
  for (let i = 1; i < sorted.length; i += 1) {
    const last = out[out.length - 1];
    if (sorted[i][0] <= last[1] + 1) last[1] = Math.max(last[1], sorted[i][1]);
    else out.push([sorted[i][0], sorted[i][1]]);
  }
  return out;
}

/** @param {Set} a @param {Set} b @returns {Set} */
export function intersection(a, b) {
  /** @type {Set} */
  const out = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const lo = Math.max(a[i][0], b[j][0]);
    const hi = Math.min(a[i][1], b[j][1]);
    if (lo <= hi) out.push([lo, hi]);
    if (a[i][1] < b[j][1]) i += 1;
    else j += 1;
  }
  return out;
}

/** Returns the elements of `a` that are not in `b`. @param {Set} a @param {Set} b @returns {Set} */
export function difference(a, b) {
  /** @type {Set} */
  const out = [];
  let j = 0;
  for (const [first, last] of a) {
    let lo = first;
    while (j < b.length && b[j][1] < lo) j += 1;
    for (let k = j; k < b.length && b[k][0] <= last; k += 1) {
      if (b[k][0] > lo) out.push([lo, b[k][0] - 1]);
      lo = Math.max(lo, b[k][1] + 1);
    }
    if (lo <= last) out.push([lo, last]);
  }
  return out;
}

/** @param {Set} set */
export function count(set) {
  let sum = 0;
  for (const [lo, hi] of set) sum += hi - lo + 1;
  return sum;
}

/** @param {Set} a @param {Set} b */
export function sameSet(a, b) {
  return a.length === b.length && a.every((span, i) => span[0] === b[i][0] && span[1] === b[i][1]);
}

/** @param {Set} set @param {number} index */
export function has(set, index) {
  return set.some(([lo, hi]) => lo <= index && index <= hi);
}

/** @param {number} rank @returns {Region} */
export function nothing(rank) {
  return { rank, parts: [] };
}

/** @param {Set[]} sets @returns {Region} */
export function product(sets) {
  if (!sets.length) return { rank: 0, parts: [[[], nothing(0)]] };
  const rest = product(sets.slice(1));
  return { rank: sets.length, parts: sets[0].length && rest.parts.length ? [[sets[0], rest]] : [] };
}

/** @param {Region} a @param {Region} b @returns {boolean} */
export function sameRegion(a, b) {
  return (
    a === b ||
    (a.rank === b.rank &&
      a.parts.length === b.parts.length &&
      a.parts.every((part, i) => sameSet(part[0], b.parts[i][0]) && sameRegion(part[1], b.parts[i][1])))
  );
}

/** @param {Set} a @param {Set} b */
function orderOf(a, b) {
  for (let i = 0; i < a.length && i < b.length; i += 1) {
    if (a[i][0] !== b[i][0]) return a[i][0] - b[i][0];
    if (a[i][1] !== b[i][1]) return a[i][1] - b[i][1];
  }
  return a.length - b.length;
}

/** @param {Region} a @param {Region} b @returns {Region} */
export function union(a, b) {
  if (!b.parts.length || sameRegion(a, b)) return a;
  if (!a.parts.length) return b;
  if (a.rank === 0) return a;
  let parts = a.parts;
  for (const [rows, rest] of b.parts) parts = addRows(parts, rows, rest);
  /** @type {[Set, Region][]} */
  const grouped = [];
  for (const [rows, rest] of parts) {
    const same = grouped.find((part) => sameRegion(part[1], rest));
    if (same) same[0] = setOf([...same[0], ...rows]);
    else grouped.push([rows, rest]);
  }
  grouped.sort((x, y) => orderOf(x[0], y[0]));
  return { rank: a.rank, parts: grouped };
}

/** Adds `rest` to the contents of `rows`. @param {[Set, Region][]} parts @param {Set} rows @param {Region} rest */
function addRows(parts, rows, rest) {
  /** @type {[Set, Region][]} */
  const out = [];
  let left = rows;
  for (const [old, sub] of parts) {
    const both = left.length ? intersection(old, left) : [];
    if (!both.length) {
      out.push([old, sub]);
      continue;
    }
    const joined = union(sub, rest);
    if (sameRegion(joined, sub)) {
      out.push([old, sub]);
    } else {
      const apart = difference(old, left);
      if (apart.length) out.push([apart, sub]);
      out.push([both, joined]);
    }
    left = difference(left, old);
  }
  if (left.length) out.push([left, rest]);
  return out;
}

/** Returns the disjoint products of which a region consists. @param {Region} region @returns {Set[][]} */
export function products(region) {
  if (region.rank === 0) return region.parts.length ? [[]] : [];
  return region.parts.flatMap(([rows, rest]) => products(rest).map((sets) => [rows, ...sets]));
}

/** Returns the region without its first axis. @param {Region} region @returns {Region} */
export function withoutFirst(region) {
  return region.parts.reduce((all, [, rest]) => union(all, rest), nothing(region.rank - 1));
}

/** Returns the number of positions. @param {Region} region @returns {number} */
export function positions(region) {
  if (region.rank === 0) return region.parts.length ? 1 : 0;
  return region.parts.reduce((sum, [rows, rest]) => sum + count(rows) * positions(rest), 0);
}

/** Returns the smallest interval per axis; null if the region is empty. @param {Region} region @returns {Interval[] | null} */
export function hull(region) {
  if (region.rank === 0) return region.parts.length ? [] : null;
  /** @type {Interval[] | null} */
  let all = null;
  for (const [rows, rest] of region.parts) {
    const inner = hull(rest);
    if (!inner || !rows.length) continue;
    /** @type {Interval[]} */
    const spans = [[rows[0][0], rows[rows.length - 1][1]], ...inner];
    all = all ? all.map((span, i) => [Math.min(span[0], spans[i][0]), Math.max(span[1], spans[i][1])]) : spans;
  }
  return all;
}

/** Returns whether the region has the position. @param {Region} region @param {number[]} at @returns {boolean} */
export function contains(region, at) {
  if (region.rank === 0) return region.parts.length > 0;
  return region.parts.some(([rows, rest]) => has(rows, at[0]) && contains(rest, at.slice(1)));
}

/** Returns the indices that are read along one axis. @param {Region} region @param {number} axis @returns {Set} */
export function along(region, axis) {
  return setOf(products(region).flatMap((sets) => sets[axis]));
}
