// Positions of boxes and connections: `layout/place.rs` in JavaScript, so that the page can fold and open blocks. Ranks
// and orders come from Rust. A test compares the two over the zoo.

/** @typedef {import('./model.js').Block} Block */
/** @typedef {import('./model.js').Shown} Shown */
/** @typedef {{shown: Shown, open: boolean, at: [number, number], size: [number, number]}} Placed */
/** @typedef {{node: number, ends: boolean, points: [number, number][]}} Wire */
/** @typedef {{size: [number, number], boxes: Placed[], wires: Wire[], enters: Map<number, number>, leaves: Map<number, number>}} Inside */
/** @typedef {{half: number, height: number, child: number | undefined}} Extent */
/** @typedef {{net: number, above: number, below: number, up: number, down: number, weight: number}} Link */

const PASSES = 8;
const LONGEST = 1e9;
const LANE = 1e6;
const NEXT = 1e3;
const BEND = 1;
const STAY = 10;
export const SPACING = { rank: 22, node: 18, lane: 12, padding: 14, title: 22 };

/** @param {Block[]} blocks @param {boolean[]} open @param {(shown: Shown) => [number, number]} size @returns {Inside} */
export function place(blocks, open, size) {
  return placeBlock(0);

  /** @param {Shown} shown */
  function opens(shown) {
    return shown.block !== undefined && open[shown.block];
  }

  /** @param {number} index @returns {Inside} */
  function placeBlock(index) {
    const block = blocks[index];
    const children = block.children.map((shown) =>
      opens(shown) ? placeBlock(/** @type {number} */ (shown.block)) : { size: size(shown), boxes: [], wires: [], enters: new Map(), leaves: new Map() },
    );
    /** @type {Extent[][]} */
    const rows = block.ranks.map((row) =>
      row.map((slot) =>
        slot.child === undefined
          ? { half: 0, height: 0, child: undefined }
          : { half: children[slot.child].size[0] / 2, height: children[slot.child].size[1], child: slot.child },
      ),
    );
    const links = pulls(block, rows, children);
    const centres = solve(rows, links);
    const root = block.parent === null;
    const [pad, title] = root ? [0, 0] : [SPACING.padding, SPACING.title];
    let [left, right] = [Infinity, -Infinity];
    rows.forEach((row, r) => row.forEach((cell, i) => {
      left = Math.min(left, centres[r][i] - cell.half);
      right = Math.max(right, centres[r][i] + cell.half);
    }));
    if (left > right) [left, right] = [0, 0];
    const least = root ? 0 : size({ block: index })[0];
    const width = Math.max(right - left + 2 * pad, least);
    const shift = (width - (right - left)) / 2 - left;
    /** @type {[number, number][]} */
    const tops = [];
    let y = title + pad;
    for (const row of rows) {
      if (!root && row.every((cell) => cell.child === undefined)) {
        const at = tops.length ? y - SPACING.rank + pad : 0;
        tops.push([at, at]);
      } else {
        const height = Math.max(0, ...row.map((cell) => cell.height));
        tops.push([y, y + height]);
        y += height + SPACING.rank;
      }
    }
    /** @type {Inside} */
    const inside = { size: [width, y - (rows.length ? SPACING.rank : 0) + pad], boxes: [], wires: [], enters: new Map(), leaves: new Map() };
    /** @type {[number, number, number][][]} */
    const spots = rows.map((row, r) => row.map((cell, i) => {
      const x = centres[r][i] + shift;
      const [top, bottom] = tops[r];
      if (cell.child === undefined) return [x, top, bottom];
      const high = (top + bottom) / 2 - cell.height / 2;
      addChild(inside, block.children[cell.child], children[cell.child], [x - cell.half, high]);
      return [x, high, high + cell.height];
    }));
    links.forEach((gap, g) => gap.forEach((link) => {
      const above = spots[g][link.above];
      const below = spots[g + 1][link.below];
      const [from, to] = [above[0] + link.up, below[0] + link.down];
      const lane = rows[g][link.above].child === undefined;
      const child = rows[g + 1][link.below].child;
      inside.wires.push({
        node: block.nets[link.net].node,
        ends: child !== undefined && !opens(block.children[child]),
        points: [[from, lane ? above[1] : above[2]], [from, tops[g][1]], [to, tops[g + 1][0]], [to, below[1]]],
      });
    }));
    const last = block.ranks.length - 1;
    block.ranks.forEach((row, r) => row.forEach((slot, i) => {
      if (slot.lane === undefined) return;
      const net = block.nets[slot.lane];
      if (r === 0 && net.from === null) inside.enters.set(net.node, spots[r][i][0]);
      if (r === last && net.leaves) inside.leaves.set(net.node, spots[r][i][0]);
    }));
    return inside;
  }

  /** @param {Inside} inside @param {Shown} shown @param {Inside} child @param {[number, number]} at */
  function addChild(inside, shown, child, at) {
    /** @param {[number, number]} point @returns {[number, number]} */
    const moved = (point) => [point[0] + at[0], point[1] + at[1]];
    inside.boxes.push({ shown, open: opens(shown), at, size: child.size });
    for (const inner of child.boxes) inside.boxes.push({ ...inner, at: moved(inner.at) });
    for (const wire of child.wires) inside.wires.push({ ...wire, points: wire.points.map(moved) });
  }
}

/** Returns the pieces of nets below each rank. @param {Block} block @param {Extent[][]} rows @param {Inside[]} children @returns {Link[][]} */
function pulls(block, rows, children) {
  const last = block.ranks.length - 1;
  /** @type {Map<string, number>} */
  const places = new Map();
  /** @type {number[]} */
  const rankOf = [];
  block.ranks.forEach((row, rank) => row.forEach((slot, i) => {
    places.set(slot.child === undefined ? `${rank}l${slot.lane}` : `${rank}c${slot.child}`, i);
    if (slot.child !== undefined) rankOf[slot.child] = rank;
  }));
  const lengths = block.children.map(() => 1);
  /** @type {number[][]} */
  const readers = block.children.map(() => []);
  for (const net of block.nets) if (net.from !== null) readers[net.from].push(...net.to);
  for (let child = lengths.length - 1; child >= 0; child -= 1) lengths[child] = 1 + Math.max(0, ...readers[child].map((to) => lengths[to]));
  /** @type {Link[][]} */
  const links = block.ranks.slice(1).map(() => []);
  /** @param {number} index @param {number} rank @param {string} cell */
  const add = (index, rank, cell) => {
    const gap = rank - 1;
    if (gap < 0) return;
    const net = block.nets[index];
    const above = places.get(`${gap}l${index}`) ?? (net.from === null ? undefined : places.get(`${gap}c${net.from}`));
    const below = places.get(`${rank}${cell}`);
    if (above === undefined || below === undefined) return;
    const [upper, lower] = [rows[gap][above].child, rows[rank][below].child];
    const port = (/** @type {number | undefined} */ child, /** @type {'enters' | 'leaves'} */ side) => {
      const at = child === undefined ? undefined : children[child][side].get(net.node);
      return child === undefined || at === undefined ? 0 : at - children[child].size[0] / 2;
    };
    const solidAbove = upper !== undefined || (gap === 0 && net.from === null);
    const solidBelow = lower !== undefined || (rank === last && net.leaves);
    const longest = Math.max(0, ...net.to.map((to) => lengths[to]));
    let weight = BEND;
    if (!solidAbove && !solidBelow) weight = LANE;
    else if (solidAbove && solidBelow) weight = lower !== undefined && lengths[lower] < longest ? NEXT : LONGEST;
    links[gap].push({ net: index, above, below, up: port(upper, 'leaves'), down: port(lower, 'enters'), weight });
  };
  block.ranks.forEach((row, rank) => row.forEach((slot) => slot.lane !== undefined && add(slot.lane, rank, `l${slot.lane}`)));
  block.nets.forEach((net, index) => net.to.forEach((to) => add(index, rankOf[to], `c${to}`)));
  return links;
}

/** Returns the centre of each cell. @param {Extent[][]} rows @param {Link[][]} links @returns {number[][]} */
function solve(rows, links) {
  const apart = rows.map((row) => row.slice(1).map((cell, i) => {
    const gap = cell.child !== undefined && row[i].child !== undefined ? SPACING.node : SPACING.lane;
    return row[i].half + cell.half + gap;
  }));
  const centres = apart.map((steps) => {
    const all = [-steps.reduce((a, b) => a + b, 0) / 2];
    steps.forEach((step) => all.push(all[all.length - 1] + step));
    return all;
  });
  for (let pass = 0; pass < PASSES; pass += 1) {
    const last = pass + 1 === PASSES;
    for (let i = 0; i < rows.length; i += 1) {
      const rank = pass % 2 === 0 ? i : rows.length - 1 - i;
      /** @type {[number, number][][]} */
      const wishes = centres[rank].map(() => []);
      if (rank > 0 && (pass % 2 === 0 || last)) {
        for (const link of links[rank - 1]) wishes[link.below].push([centres[rank - 1][link.above] + link.up - link.down, link.weight]);
      }
      if (rank < links.length && (pass % 2 === 1 || last)) {
        for (const link of links[rank]) wishes[link.above].push([centres[rank + 1][link.below] + link.down - link.up, link.weight]);
      }
      const own = centres[rank];
      if (pass >= PASSES / 2) wishes.forEach((list, at) => list.push([own[at], STAY]));
      centres[rank] = separated(wishes.map((list, at) => median(list) ?? [own[at], 0.1]), apart[rank]);
    }
  }
  return centres;
}

/** Returns the weighted median with the sum of the weights. @param {[number, number][]} wishes @returns {[number, number] | null} */
function median(wishes) {
  const total = wishes.reduce((sum, wish) => sum + wish[1], 0);
  wishes.sort((a, b) => a[0] - b[0]);
  let sum = 0;
  for (let i = 0; i < wishes.length; i += 1) {
    sum += wishes[i][1];
    if (sum * 2 > total) return [wishes[i][0], total];
    if (sum * 2 >= total) return [(wishes[i][0] + (wishes[i + 1] ?? wishes[i])[0]) / 2, total];
  }
  return null;
}

/** Returns the positions nearest to the wishes that keep their order and distances. @param {[number, number][]} wishes @param {number[]} apart @returns {number[]} */
function separated(wishes, apart) {
  const offsets = [0];
  apart.forEach((step) => offsets.push(offsets[offsets.length - 1] + step));
  /** @type {[number, number, number][]} */
  const pools = [];
  wishes.forEach(([wish, weight], i) => {
    let pool = /** @type {[number, number, number]} */ ([wish - offsets[i], weight, 1]);
    while (pools.length && pools[pools.length - 1][0] > pool[0]) {
      const last = /** @type {[number, number, number]} */ (pools.pop());
      const sum = last[1] + pool[1];
      pool = [(last[0] * last[1] + pool[0] * pool[1]) / sum, sum, last[2] + pool[2]];
    }
    pools.push(pool);
  });
  const means = pools.flatMap(([mean, , count]) => new Array(count).fill(mean));
  return means.map((mean, i) => mean + offsets[i]);
}
