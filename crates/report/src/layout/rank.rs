//! The ranks of a block: every child lies below what it reads.

use super::blocks::{Block, Slot};

/// The most lane cells of one block.
const MOST_LANES: usize = 100_000;

/// Computes the ranks of `block`, children in execution order and lanes behind them; returns the number of lane
/// cells. `None` if there are too many.
///
/// Nets that enter have a lane in the first rank, and nets that leave one in the last; no child lies in either.
pub fn assign(block: &mut Block) -> Option<usize> {
    let enters = block.nets.iter().any(|net| net.from.is_none());
    let leaves = block.nets.iter().any(|net| net.leaves);
    let ranks = depths(block, usize::from(enters));
    let bottom = ranks.iter().max().map_or(0, |last| last + 1);
    let mut rows: Vec<Vec<Slot>> = vec![vec![]; bottom + usize::from(leaves)];
    for (child, &rank) in ranks.iter().enumerate() {
        rows[rank].push(Slot::Child(child));
    }
    let mut lanes = 0usize;
    for (index, net) in block.nets.iter().enumerate() {
        let first = net.from.map_or(0, |from| ranks[from] + 1);
        let last =
            if net.leaves { bottom + 1 } else { net.to.iter().map(|&to| ranks[to]).max().unwrap_or(first) };
        lanes += last.saturating_sub(first);
        if lanes > MOST_LANES {
            return None;
        }
        rows.iter_mut().take(last).skip(first).for_each(|row| row.push(Slot::Lane(index)));
    }
    block.ranks = rows;
    Some(lanes)
}

/// Returns the rank of each child: the longest path from the top, which begins at rank `top`. What reads nothing lies
/// just above its first reader.
fn depths(block: &Block, top: usize) -> Vec<usize> {
    let count = block.children.len();
    let mut reads: Vec<Vec<usize>> = vec![vec![]; count];
    let mut readers: Vec<Vec<usize>> = vec![vec![]; count];
    let mut outside = vec![false; count];
    for net in &block.nets {
        for &to in &net.to {
            match net.from {
                Some(from) => {
                    reads[to].push(from);
                    readers[from].push(to);
                }
                None => outside[to] = true,
            }
        }
    }
    let mut ranks = vec![top; count];
    for child in 0..count {
        // Children are in execution order: what a child reads has its rank already.
        ranks[child] = reads[child].iter().map(|&from| ranks[from] + 1).max().unwrap_or(top);
    }
    for child in (0..count).rev().filter(|&child| reads[child].is_empty() && !outside[child]) {
        if let Some(first) = readers[child].iter().map(|&to| ranks[to]).min() {
            ranks[child] = first.saturating_sub(1).max(ranks[child]);
        }
    }
    ranks
}
