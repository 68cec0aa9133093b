//! Offsets in one arena for tensors that live from one step to another.
//!
//! Placing tensors so that those alive together do not overlap is dynamic storage allocation, which is NP-hard. Several
//! greedy orders are tried (by size, as TensorFlow Lite does; by lifetime; by the step of creation), then small changes
//! of the best; the peak by liveness is a lower bound, and the search stops when it is reached.

use super::operators::Operators;
use crate::graph::NodeId;

/// Where the tensors of a plan lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arena {
    /// Bytes of the arena.
    pub bytes: u64,
    /// No arena for this order is smaller: the most bytes alive at once, reserved space included.
    pub bound: u64,
    /// The tensors, by their index.
    pub tensors: Vec<Placed>,
}

/// The place of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The node whose value it is, or a part of.
    pub node: NodeId,
    /// Its first byte.
    pub offset: u64,
    /// Its bytes.
    pub bytes: u64,
    /// The first step at which its space is reserved.
    pub first: usize,
    /// The last step at which its space is reserved.
    pub last: usize,
}

/// Space that is reserved from one step to another: a tensor, or a concatenation with all of its parts.
#[derive(Debug, Clone, Copy)]
struct Block {
    bytes: u64,
    first: usize,
    last: usize,
}

impl Block {
    fn meets(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last && self.bytes > 0 && other.bytes > 0
    }
}

/// Number of changed orders that are tried.
const TRIES: usize = 400;
/// Number of comparisons after which no other order is tried.
const MOST_COMPARISONS: usize = 4_000_000;

/// Places the tensors of `all` if its operators run in this order.
pub(super) fn place(all: &Operators, order: &[usize]) -> Arena {
    let mut step = vec![0; all.operators.len()];
    order.iter().enumerate().for_each(|(at, &operator)| step[operator] = at);
    let end = order.len().saturating_sub(1);
    let mut blocks: Vec<Block> = Vec::new();
    // The block of each tensor, and where in it.
    let mut homes: Vec<(usize, u64)> = Vec::with_capacity(all.tensors.len());
    let mut wholes: Vec<Option<usize>> = vec![None; all.whole.len()];
    for tensor in &all.tensors {
        let first = tensor.creator.map_or(0, |operator| step[operator]);
        let last = tensor.users.iter().map(|&user| step[user]).max().unwrap_or(first).max(first);
        let own = Block { bytes: tensor.bytes, first, last: if tensor.output { end } else { last } };
        let Some((root, offset)) = tensor.inside else {
            homes.push((blocks.len(), 0));
            blocks.push(own);
            continue;
        };
        let place = all.whole.binary_search_by_key(&root, |&(node, _)| node).unwrap_or(0);
        let bytes = all.whole.get(place).map_or(tensor.bytes, |&(_, bytes)| bytes);
        let known = wholes.get(place).copied().flatten();
        let block = known.unwrap_or_else(|| {
            blocks.push(Block { bytes, ..own });
            blocks.len() - 1
        });
        if let Some(whole) = wholes.get_mut(place) {
            *whole = Some(block);
        }
        let whole = &mut blocks[block];
        (whole.first, whole.last) = (whole.first.min(own.first), whole.last.max(own.last));
        homes.push((block, offset));
    }
    let bound = most_alive(&blocks, end);
    let (bytes, offsets) = best(&blocks, bound);
    let placed = all.tensors.iter().zip(&homes).map(|(tensor, &(block, offset))| Placed {
        node: tensor.node,
        offset: offsets[block].saturating_add(offset),
        bytes: tensor.bytes,
        first: blocks[block].first,
        last: blocks[block].last,
    });
    Arena { bytes, bound, tensors: placed.collect() }
}

fn most_alive(blocks: &[Block], end: usize) -> u64 {
    let mut changes = vec![(0u64, 0u64); end + 2];
    for block in blocks {
        changes[block.first].0 = changes[block.first].0.saturating_add(block.bytes);
        changes[block.last + 1].1 = changes[block.last + 1].1.saturating_add(block.bytes);
    }
    let (mut alive, mut most) = (0u64, 0u64);
    for (begun, ended) in changes {
        alive = alive.saturating_sub(ended).saturating_add(begun);
        most = most.max(alive);
    }
    most
}

/// Returns the smallest arena that is found, and the offset of each block.
fn best(blocks: &[Block], bound: u64) -> (u64, Vec<u64>) {
    let all: Vec<usize> = (0..blocks.len()).collect();
    let sorted = |key: &dyn Fn(&Block) -> (u64, u64)| {
        let mut order = all.clone();
        order.sort_by_key(|&block| std::cmp::Reverse(key(&blocks[block])));
        order
    };
    let life = |block: &Block| (block.last - block.first) as u64 + 1;
    let orders = [
        sorted(&|block| (block.bytes, life(block))),
        sorted(&|block| (life(block), block.bytes)),
        sorted(&|block| (block.bytes.saturating_mul(life(block)), block.bytes)),
        sorted(&|block| (u64::MAX - block.first as u64, block.bytes)),
        sorted(&|block| (block.last as u64, block.bytes)),
    ];
    let mut found = (u64::MAX, vec![0; blocks.len()]);
    let mut chosen = all;
    for order in orders {
        let (bytes, offsets) = greedy(blocks, &order);
        if bytes < found.0 {
            (found, chosen) = ((bytes, offsets), order);
        }
    }
    // A fixed sequence of numbers: the same network has the same plan everywhere.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap_or(0) % below.max(1)
    };
    let tries = TRIES.min(MOST_COMPARISONS / blocks.len().pow(2).max(1));
    for _ in 0..tries {
        if found.0 <= bound || blocks.len() < 2 {
            break;
        }
        let mut order = chosen.clone();
        for _ in 0..=random(3) {
            let (one, other) = (random(order.len()), random(order.len()));
            let moved = order.remove(one);
            order.insert(other, moved);
        }
        let (bytes, offsets) = greedy(blocks, &order);
        if bytes <= found.0 {
            (found, chosen) = ((bytes, offsets), order);
        }
    }
    found
}

/// Places the blocks in this order, each at the lowest offset that is free for all of its life.
fn greedy(blocks: &[Block], order: &[usize]) -> (u64, Vec<u64>) {
    let mut offsets = vec![0u64; blocks.len()];
    let mut most = 0u64;
    let mut placed: Vec<usize> = Vec::with_capacity(blocks.len());
    let mut taken: Vec<(u64, u64)> = Vec::new();
    for &block in order {
        taken.clear();
        let own = &blocks[block];
        let others = placed.iter().filter(|&&other| own.meets(&blocks[other]));
        taken.extend(
            others.map(|&other| (offsets[other], offsets[other].saturating_add(blocks[other].bytes))),
        );
        taken.sort_unstable();
        let mut at = 0u64;
        for &(start, end) in &taken {
            if start >= at.saturating_add(own.bytes) {
                break;
            }
            at = at.max(end);
        }
        offsets[block] = at;
        most = most.max(at.saturating_add(own.bytes));
        placed.push(block);
    }
    (most, offsets)
}
