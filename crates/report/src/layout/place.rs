//! Positions: from the inside outwards, each rank as near to its neighbours as its order and its sizes allow.

use std::collections::HashMap;

use super::blocks::{Block, Shown, Slot, Tree};
use super::order::{Link, links};

/// Passes down and up over the ranks of a block.
const PASSES: usize = 8;
/// Weights of a connection's wish to be straight: the longest path, then a lane, then what else reads a neighbour, then
/// where a lane begins and ends. They differ so much that a lighter one gives way instead of meeting half-way.
const LONGEST: f64 = 1e9;
const LANE: f64 = 1e6;
const NEXT: f64 = 1e3;
const BEND: f64 = 1.0;
/// The wish of a cell to stay: in the later passes a lane keeps the place to which the widest rank pushed it.
const STAY: f64 = 10.0;

/// Distances, in the unit of the sizes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spacing {
    /// Between ranks.
    pub rank: f64,
    /// Between two boxes of a rank.
    pub node: f64,
    /// Between a lane and what is beside it.
    pub lane: f64,
    /// Between the border of an open block and what it contains.
    pub padding: f64,
    /// Height of an open block's title.
    pub title: f64,
}

impl Default for Spacing {
    fn default() -> Self {
        Self { rank: 22.0, node: 18.0, lane: 12.0, padding: 14.0, title: 22.0 }
    }
}

/// A placed box.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placed {
    /// What it shows.
    pub item: Shown,
    /// Whether it is a block whose children are drawn inside it; they stand behind it in the list.
    pub open: bool,
    /// Its top left corner.
    pub at: [f64; 2],
    /// Its width and height.
    pub size: [f64; 2],
}

/// A piece of a net.
#[derive(Debug, Clone, PartialEq)]
pub struct Wire {
    /// The node whose output it carries. The pieces of one node are connected.
    pub node: usize,
    /// Whether it ends at the top of a box that reads it: there an arrow fits.
    pub ends: bool,
    /// Its corners from top to bottom. Two neighbours lie on a vertical line, or at the two ends of the gap between
    /// ranks.
    pub points: Vec<[f64; 2]>,
}

/// A drawing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Drawing {
    /// Its width and height.
    pub size: [f64; 2],
    /// The boxes, open blocks before what they contain.
    pub boxes: Vec<Placed>,
    /// The connections.
    pub wires: Vec<Wire>,
}

/// Places the boxes of `tree` with the blocks in `open` open; `size` is the size of a node or of a folded block, and the
/// least size of an open one.
pub fn place(tree: &Tree, open: &[bool], size: &dyn Fn(Shown) -> [f64; 2], spacing: &Spacing) -> Drawing {
    if tree.blocks.is_empty() {
        return Drawing::default();
    }
    let call = Call { tree, open, size, spacing };
    let Inside { size, boxes, wires, .. } = call.block(0);
    Drawing { size, boxes, wires }
}

struct Call<'a> {
    tree: &'a Tree,
    open: &'a [bool],
    size: &'a dyn Fn(Shown) -> [f64; 2],
    spacing: &'a Spacing,
}

/// A block's drawing, with the places on its borders where nets enter and leave.
#[derive(Default)]
struct Inside {
    size: [f64; 2],
    boxes: Vec<Placed>,
    wires: Vec<Wire>,
    enters: HashMap<usize, f64>,
    leaves: HashMap<usize, f64>,
}

impl Call<'_> {
    fn block(&self, index: usize) -> Inside {
        let block = &self.tree.blocks[index];
        let children: Vec<Inside> = block.children.iter().map(|&item| self.child(item)).collect();
        let rows = Rows::new(block, &children, self.spacing);
        let centres = rows.centres();
        let root = block.parent.is_none();
        let (pad, title) = if root { (0.0, 0.0) } else { (self.spacing.padding, self.spacing.title) };
        let edge = |sign: f64| {
            let ends = centres.iter().zip(&rows.cells).flat_map(|(centres, cells)| {
                centres.iter().zip(cells).map(|(x, cell)| sign * (x + sign * cell.half))
            });
            sign * ends.fold(f64::NEG_INFINITY, f64::max)
        };
        let (left, right) = if children.is_empty() { (0.0, 0.0) } else { (edge(-1.0), edge(1.0)) };
        let least = if root { 0.0 } else { (self.size)(Shown::Block(index))[0] };
        let width = (right - left + 2.0 * pad).max(least);
        let shift = (width - (right - left)) / 2.0 - left;
        // Tops and bottoms of the ranks; nets enter and leave on the border.
        let mut tops = Vec::new();
        let mut y = title + pad;
        for cells in &rows.cells {
            let height = cells.iter().map(|cell| cell.height).fold(0.0, f64::max);
            let border = !root && cells.iter().all(|cell| cell.child.is_none());
            match (border, tops.is_empty()) {
                (true, true) => tops.push((0.0, 0.0)),
                (true, false) => tops.push((y - self.spacing.rank + pad, y - self.spacing.rank + pad)),
                (false, _) => {
                    tops.push((y, y + height));
                    y += height + self.spacing.rank;
                }
            }
        }
        let height = y - if rows.cells.is_empty() { 0.0 } else { self.spacing.rank } + pad;
        let mut inside = Inside { size: [width, height], ..Inside::default() };
        let mut spots: Vec<Vec<[f64; 3]>> = Vec::with_capacity(rows.cells.len());
        for ((cells, centres), &(top, bottom)) in rows.cells.iter().zip(&centres).zip(&tops) {
            let mut row = Vec::with_capacity(cells.len());
            for (cell, x) in cells.iter().zip(centres) {
                let x = x + shift;
                let Some(child) = cell.child else {
                    row.push([x, top, bottom]);
                    continue;
                };
                let high = f64::midpoint(top, bottom) - cell.height / 2.0;
                row.push([x, high, high + cell.height]);
                let at = [x - cell.half, high];
                inside.add(block.children[child], &children[child], at, self.opens(block.children[child]));
            }
            spots.push(row);
        }
        for (gap, links) in rows.links.iter().enumerate() {
            for (link, pull) in links {
                let (above, below) = (spots[gap][link.above], spots[gap + 1][link.below]);
                let (from, to) = (above[0] + pull.above, below[0] + pull.below);
                let lane = rows.cells[gap][link.above].child.is_none();
                let points = vec![
                    [from, if lane { above[1] } else { above[2] }],
                    [from, tops[gap].1],
                    [to, tops[gap + 1].0],
                    [to, below[1]],
                ];
                let ends = rows.cells[gap + 1][link.below].child;
                let ends = ends.is_some_and(|child| !self.opens(block.children[child]));
                inside.wires.push(Wire { node: block.nets[link.net].node, ends, points });
            }
        }
        inside.borders(block, &spots);
        inside
    }

    fn opens(&self, item: Shown) -> bool {
        matches!(item, Shown::Block(block) if self.open.get(block).copied().unwrap_or(false))
    }

    fn child(&self, item: Shown) -> Inside {
        match item {
            Shown::Block(block) if self.opens(item) => self.block(block),
            _ => Inside { size: (self.size)(item), ..Inside::default() },
        }
    }
}

impl Inside {
    /// Adds a child at `at`, with what it contains.
    fn add(&mut self, item: Shown, child: &Self, at: [f64; 2], open: bool) {
        let moved = |point: [f64; 2]| [point[0] + at[0], point[1] + at[1]];
        self.boxes.push(Placed { item, open, at, size: child.size });
        self.boxes.extend(child.boxes.iter().map(|inner| Placed { at: moved(inner.at), ..*inner }));
        self.wires.extend(
            child
                .wires
                .iter()
                .map(|wire| Wire { points: wire.points.iter().copied().map(moved).collect(), ..*wire }),
        );
    }

    /// Records where nets enter and leave.
    fn borders(&mut self, block: &Block, spots: &[Vec<[f64; 3]>]) {
        let last = block.ranks.len().saturating_sub(1);
        for (rank, (row, spots)) in block.ranks.iter().zip(spots).enumerate() {
            for (cell, spot) in row.iter().zip(spots) {
                let Slot::Lane(net) = *cell else { continue };
                let net = &block.nets[net];
                if rank == 0 && net.from.is_none() {
                    self.enters.insert(net.node, spot[0]);
                }
                if rank == last && net.leaves {
                    self.leaves.insert(net.node, spot[0]);
                }
            }
        }
    }
}

/// What a rank's cell needs: half its width, its height, and its child.
struct Extent {
    half: f64,
    height: f64,
    child: Option<usize>,
}

/// Where a connection meets its two cells, from their centres, and how much it wants to be straight.
struct Pull {
    above: f64,
    below: f64,
    weight: f64,
}

/// The ranks of a block with their sizes and connections.
struct Rows<'a> {
    cells: Vec<Vec<Extent>>,
    links: Vec<Vec<(Link, Pull)>>,
    spacing: &'a Spacing,
}

impl<'a> Rows<'a> {
    fn new(block: &Block, children: &[Inside], spacing: &'a Spacing) -> Self {
        let extent = |cell: &Slot| match *cell {
            Slot::Child(child) => {
                let [width, height] = children[child].size;
                Extent { half: width / 2.0, height, child: Some(child) }
            }
            Slot::Lane(_) => Extent { half: 0.0, height: 0.0, child: None },
        };
        let cells: Vec<Vec<Extent>> =
            block.ranks.iter().map(|row| row.iter().map(extent).collect()).collect();
        let lengths = lengths(block);
        let longest: Vec<usize> =
            block.nets.iter().map(|net| net.to.iter().map(|&to| lengths[to]).max().unwrap_or(0)).collect();
        let last = block.ranks.len().saturating_sub(1);
        let pull = |gap: usize, link: &Link| {
            let net = &block.nets[link.net];
            let (above, below) = (&cells[gap][link.above], &cells[gap + 1][link.below]);
            let port = |child: Option<usize>, ports: fn(&Inside) -> &HashMap<usize, f64>| {
                let child = child.map(|child| &children[child]);
                child
                    .and_then(|inside| Some(ports(inside).get(&net.node)? - inside.size[0] / 2.0))
                    .unwrap_or(0.0)
            };
            // What crosses the border is as firm as a box.
            let solid = [
                above.child.is_some() || gap == 0 && net.from.is_none(),
                below.child.is_some() || gap + 1 == last && net.leaves,
            ];
            let weight = match (solid, below.child) {
                ([false, false], _) => LANE,
                ([true, true], Some(to)) if lengths[to] < longest[link.net] => NEXT,
                ([true, true], _) => LONGEST,
                _ => BEND,
            };
            Pull {
                above: port(above.child, |inside| &inside.leaves),
                below: port(below.child, |inside| &inside.enters),
                weight,
            }
        };
        let links = links(block)
            .into_iter()
            .enumerate()
            .map(|(gap, links)| links.into_iter().map(|link| (link, pull(gap, &link))).collect())
            .collect();
        Self { cells, links, spacing }
    }

    /// Returns the centre of each cell.
    fn centres(&self) -> Vec<Vec<f64>> {
        let apart = |a: &Extent, b: &Extent| {
            let gap =
                if a.child.is_some() && b.child.is_some() { self.spacing.node } else { self.spacing.lane };
            a.half + b.half + gap
        };
        let apart: Vec<Vec<f64>> = self
            .cells
            .iter()
            .map(|row| row.windows(2).map(|pair| apart(&pair[0], &pair[1])).collect())
            .collect();
        let packed = |apart: &Vec<f64>| {
            let mut x = -apart.iter().sum::<f64>() / 2.0;
            let mut all = vec![x];
            for step in apart {
                x += step;
                all.push(x);
            }
            all
        };
        let mut centres: Vec<Vec<f64>> = apart.iter().map(packed).collect();
        let count = self.cells.len();
        for pass in 0..PASSES {
            let last = pass + 1 == PASSES;
            let order: Vec<usize> =
                if pass % 2 == 0 { (0..count).collect() } else { (0..count).rev().collect() };
            for rank in order {
                let (up, down) = (pass % 2 == 0 || last, pass % 2 == 1 || last);
                let stay = pass >= PASSES / 2;
                centres[rank] = self.wanted(rank, &centres, (up, down, stay), &apart[rank]);
            }
        }
        centres
    }

    /// Returns the centres of a rank after its neighbours above and below.
    fn wanted(
        &self,
        rank: usize,
        centres: &[Vec<f64>],
        (up, down, stay): (bool, bool, bool),
        apart: &[f64],
    ) -> Vec<f64> {
        let mut wishes: Vec<Vec<(f64, f64)>> = vec![vec![]; centres[rank].len()];
        if let Some(gap) = rank.checked_sub(1).filter(|_| up) {
            for (link, pull) in &self.links[gap] {
                wishes[link.below].push((centres[gap][link.above] + pull.above - pull.below, pull.weight));
            }
        }
        if let Some(links) = self.links.get(rank).filter(|_| down) {
            for (link, pull) in links {
                wishes[link.above]
                    .push((centres[rank + 1][link.below] + pull.below - pull.above, pull.weight));
            }
        }
        if stay {
            wishes.iter_mut().zip(&centres[rank]).for_each(|(wishes, &own)| wishes.push((own, STAY)));
        }
        let wishes: Vec<(f64, f64)> = wishes
            .into_iter()
            .zip(&centres[rank])
            .map(|(wishes, &own)| median(wishes).unwrap_or((own, 0.1)))
            .collect();
        separated(&wishes, apart)
    }
}

/// Returns, for each child, the number of children on the longest way down from it.
fn lengths(block: &Block) -> Vec<usize> {
    let mut lengths = vec![1usize; block.children.len()];
    let mut readers: Vec<Vec<usize>> = vec![vec![]; block.children.len()];
    for net in &block.nets {
        if let Some(from) = net.from {
            readers[from].extend(&net.to);
        }
    }
    for child in (0..lengths.len()).rev() {
        lengths[child] = 1 + readers[child].iter().map(|&to| lengths[to]).max().unwrap_or(0);
    }
    lengths
}

/// Returns the weighted median with the sum of the weights; the middle of two.
fn median(mut wishes: Vec<(f64, f64)>) -> Option<(f64, f64)> {
    let total: f64 = wishes.iter().map(|wish| wish.1).sum();
    wishes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut sum = 0.0;
    for (index, wish) in wishes.iter().enumerate() {
        sum += wish.1;
        if sum * 2.0 > total {
            return Some((wish.0, total));
        }
        if sum * 2.0 >= total {
            let next = wishes.get(index + 1).unwrap_or(wish);
            return Some((f64::midpoint(wish.0, next.0), total));
        }
    }
    None
}

/// Returns the positions nearest to `wishes` (position, weight) by weighted squares, in order and at least `apart` from
/// each other: isotonic regression by pooling adjacent violators (Ayer et al., 1955).
fn separated(wishes: &[(f64, f64)], apart: &[f64]) -> Vec<f64> {
    // Without the distances, the positions need only not to fall.
    let offsets: Vec<f64> = std::iter::once(0.0)
        .chain(apart.iter().scan(0.0, |sum, step| {
            *sum += step;
            Some(*sum)
        }))
        .collect();
    // Pools: mean, weight, number of cells.
    let mut pools: Vec<(f64, f64, usize)> = Vec::with_capacity(wishes.len());
    for (&(wish, weight), offset) in wishes.iter().zip(&offsets) {
        let mut pool = (wish - offset, weight, 1);
        while let Some(last) = pools.pop_if(|last| last.0 > pool.0) {
            let weight = last.1 + pool.1;
            pool = ((last.0 * last.1 + pool.0 * pool.1) / weight, weight, last.2 + pool.2);
        }
        pools.push(pool);
    }
    let means = pools.into_iter().flat_map(|(mean, _, count)| std::iter::repeat_n(mean, count));
    means.zip(offsets).map(|(mean, offset)| mean + offset).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separated_positions_are_the_nearest_ones() {
        // Two cells that want one place move apart by the same distance, a heavy one by less.
        assert_eq!(separated(&[(0.0, 1.0), (0.0, 1.0)], &[10.0]), [-5.0, 5.0]);
        assert_eq!(separated(&[(0.0, 4.0), (0.0, 1.0)], &[10.0]), [-2.0, 8.0]);
        assert_eq!(separated(&[(0.0, 1.0), (50.0, 1.0)], &[10.0]), [0.0, 50.0]);
        assert_eq!(separated(&[], &[]), Vec::<f64>::new());
    }

    #[test]
    fn median_of_two_is_their_middle() {
        assert_eq!(median(vec![(0.0, 1.0), (10.0, 1.0)]), Some((5.0, 2.0)));
        assert_eq!(median(vec![(0.0, 1.0), (10.0, 4.0)]), Some((10.0, 5.0)));
        assert_eq!(median(vec![]), None);
    }
}
