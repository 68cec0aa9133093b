//! The order of each rank, so that few connections cross: sweeps by barycentres, of which the best one stays.

use std::collections::HashMap;

use super::blocks::{Block, Shown, Slot};

/// Sweeps down and up.
const SWEEPS: usize = 6;

/// A piece of a net between two neighbouring ranks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    /// The net.
    pub net: usize,
    /// The place in the upper rank.
    pub above: usize,
    /// The place in the lower rank.
    pub below: usize,
}

/// Orders the ranks of block `index`, and what enters its children; the block around it is in order.
pub fn arrange(blocks: &mut [Block], index: usize) {
    let block = &mut blocks[index];
    let links = links(block);
    // Each rank as a permutation of its cells.
    let mut orders: Vec<Vec<usize>> = block.ranks.iter().map(|row| (0..row.len()).collect()).collect();
    let fixed = usize::from(block.nets.iter().any(|net| net.from.is_none()));
    let mut best = (crossings(&orders, &links), orders.clone());
    for sweep in 0..SWEEPS {
        if best.0 == 0 {
            break;
        }
        if sweep % 2 == 0 {
            for rank in fixed.max(1)..orders.len() {
                let pairs = links[rank - 1].iter().map(|link| (link.above, link.below));
                let sorted = sorted(&orders[rank], &orders[rank - 1], pairs);
                orders[rank] = sorted;
            }
        } else {
            for rank in (fixed..orders.len().saturating_sub(1)).rev() {
                let pairs = links[rank].iter().map(|link| (link.below, link.above));
                let sorted = sorted(&orders[rank], &orders[rank + 1], pairs);
                orders[rank] = sorted;
            }
        }
        let count = crossings(&orders, &links);
        if count < best.0 {
            best = (count, orders.clone());
        }
    }
    for (row, order) in block.ranks.iter_mut().zip(best.1) {
        *row = order.into_iter().map(|cell| row[cell]).collect();
    }
    enter(blocks, index);
}

/// Orders the nets that enter each child of the block as they arrive there.
fn enter(blocks: &mut [Block], index: usize) {
    // For each child that is a block: its nets that enter, in the order in which they arrive.
    let mut arrivals: Vec<(usize, Vec<usize>)> = Vec::new();
    let around = &blocks[index];
    for rows in around.ranks.windows(2) {
        let places: HashMap<Slot, usize> =
            rows[0].iter().enumerate().map(|(place, cell)| (*cell, place)).collect();
        for cell in &rows[1] {
            let Slot::Child(child) = *cell else { continue };
            let Shown::Block(inner) = around.children[child] else { continue };
            let place = |node: usize| {
                let net = around.nets.binary_search_by_key(&node, |net| net.node).ok()?;
                let from = around.nets[net].from.and_then(|from| places.get(&Slot::Child(from)));
                places.get(&Slot::Lane(net)).or(from).copied()
            };
            let nets = &blocks[inner].nets;
            let mut order: Vec<usize> = (0..nets.len()).filter(|&net| nets[net].from.is_none()).collect();
            order.sort_by_key(|&net| place(nets[net].node));
            if order.len() > 1 {
                arrivals.push((inner, order));
            }
        }
    }
    for (inner, order) in arrivals {
        if let Some(first) = blocks[inner].ranks.first_mut() {
            *first = order.into_iter().map(Slot::Lane).collect();
        }
    }
}

/// Returns the connections below each rank.
pub(super) fn links(block: &Block) -> Vec<Vec<Link>> {
    let mut places: HashMap<(usize, Slot), usize> = HashMap::new();
    let mut rank_of = vec![0usize; block.children.len()];
    for (rank, row) in block.ranks.iter().enumerate() {
        for (place, cell) in row.iter().enumerate() {
            places.insert((rank, *cell), place);
            if let Slot::Child(child) = *cell {
                rank_of[child] = rank;
            }
        }
    }
    let mut links: Vec<Vec<Link>> = vec![vec![]; block.ranks.len().saturating_sub(1)];
    // From the net's lane in the rank above, or from the child there that computes it.
    let mut add = |net: usize, rank: usize, cell: Slot| {
        let Some(gap) = rank.checked_sub(1) else { return };
        let source = block.nets[net].from.and_then(|from| places.get(&(gap, Slot::Child(from))));
        let above = places.get(&(gap, Slot::Lane(net))).or(source);
        if let Some((&above, &below)) = above.zip(places.get(&(rank, cell))) {
            links[gap].push(Link { net, above, below });
        }
    };
    for (rank, row) in block.ranks.iter().enumerate() {
        for cell in row {
            if let Slot::Lane(net) = *cell {
                add(net, rank, *cell);
            }
        }
    }
    for (index, net) in block.nets.iter().enumerate() {
        net.to.iter().for_each(|&to| add(index, rank_of[to], Slot::Child(to)));
    }
    links
}

/// Returns `order` sorted by the mean place of each cell's neighbours; a cell without any stays where it is.
fn sorted(order: &[usize], neighbours: &[usize], links: impl Iterator<Item = (usize, usize)>) -> Vec<usize> {
    let mut place_of = vec![0usize; neighbours.len()];
    neighbours.iter().enumerate().for_each(|(place, &cell)| place_of[cell] = place);
    let mut sums = vec![(0.0f64, 0u32); order.len()];
    for (neighbour, own) in links {
        sums[own].0 += place_of[neighbour] as f64;
        sums[own].1 += 1;
    }
    let scale = neighbours.len().max(1) as f64 / order.len().max(1) as f64;
    let mut keyed: Vec<(f64, usize)> = order
        .iter()
        .enumerate()
        .map(|(place, &cell)| match sums[cell] {
            (_, 0) => (place as f64 * scale, cell),
            (sum, count) => (sum / f64::from(count), cell),
        })
        .collect();
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
    keyed.into_iter().map(|(_, cell)| cell).collect()
}

/// Returns how many pairs of connections cross.
fn crossings(orders: &[Vec<usize>], links: &[Vec<Link>]) -> usize {
    let places = |order: &Vec<usize>| {
        let mut places = vec![0usize; order.len()];
        order.iter().enumerate().for_each(|(place, &cell)| places[cell] = place);
        places
    };
    let places: Vec<Vec<usize>> = orders.iter().map(places).collect();
    links.iter().enumerate().map(|(gap, links)| crossed(links, &places[gap], &places[gap + 1])).sum()
}

/// Counts inversions with a Fenwick tree over the lower places.
fn crossed(links: &[Link], above: &[usize], below: &[usize]) -> usize {
    let mut pairs: Vec<(usize, usize)> =
        links.iter().map(|link| (above[link.above], below[link.below])).collect();
    pairs.sort_unstable();
    let mut tree = vec![0usize; below.len() + 1];
    let mut total = 0;
    for (seen, &(_, place)) in pairs.iter().enumerate() {
        let (mut at, mut smaller) = (place + 1, 0);
        while at > 0 {
            smaller += tree[at];
            at &= at - 1;
        }
        total += seen - smaller;
        let mut at = place + 1;
        while at < tree.len() {
            tree[at] += 1;
            at += at & at.wrapping_neg();
        }
    }
    total
}
