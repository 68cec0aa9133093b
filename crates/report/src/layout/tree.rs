//! The blocks of a graph, and the nets inside each.

use std::ops::Range;

use super::blocks::{Block, Net, Shown, Tree};
use super::{order, rank};
use cnnkit_core::graph::{Graph, Op};

/// The largest number of lane cells: beyond it a drawing shows nothing but lines.
const MOST_LANES: usize = 200_000;
/// The deepest nesting of blocks; what lies below is drawn in the last one.
const DEEPEST: usize = 12;

impl Tree {
    /// Returns the blocks of `graph`; `None` if its connections are too many to be drawn.
    pub fn of(graph: &Graph) -> Option<Self> {
        let paths: Vec<Vec<&str>> = graph.nodes().iter().map(|node| path(&node.id, &node.op)).collect();
        let mut tree = Self { blocks: vec![] };
        tree.add(&paths, 0..paths.len(), 0, None);
        let reads: Vec<(usize, usize)> = graph
            .iter()
            .flat_map(|(id, node)| node.inputs.iter().map(move |input| (input.index(), id.index())))
            .collect();
        tree.connect(paths.len(), &reads);
        let mut left = MOST_LANES;
        for block in 0..tree.blocks.len() {
            left = left.checked_sub(rank::assign(&mut tree.blocks[block])?)?;
        }
        // From the outside inwards: where nets enter a block follows from the order around it.
        for block in 0..tree.blocks.len() {
            order::arrange(&mut tree.blocks, block);
        }
        Some(tree)
    }

    /// Adds the block of `nodes`, whose ids agree in their first `depth` parts; returns its index.
    fn add(
        &mut self,
        paths: &[Vec<&str>],
        nodes: Range<usize>,
        depth: usize,
        parent: Option<usize>,
    ) -> usize {
        let name = paths.get(nodes.start).map_or(String::new(), |path| path[..depth].join("."));
        let index = self.blocks.len();
        let (children, nets, ranks) = (vec![], vec![], vec![]);
        self.blocks.push(Block { name, parent, nodes: nodes.clone(), children, nets, ranks });
        let mut children = Vec::new();
        let mut at = nodes.start;
        while at < nodes.end {
            let begins = |node: usize| {
                paths[node].get(depth).filter(|_| paths[node].len() > depth + 1 && depth < DEEPEST)
            };
            let first = begins(at);
            let same = |node: &usize| first.is_some() && begins(*node) == first;
            let end = at + 1 + (at + 1..nodes.end).take_while(same).count();
            children.push(if end - at == 1 {
                Shown::Node(at)
            } else {
                Shown::Block(self.add(paths, at..end, depth + 1, Some(index)))
            });
            at = end;
        }
        self.blocks[index].children = children;
        index
    }

    /// Adds each connection to every block whose border it crosses or in which it lies.
    fn connect(&mut self, nodes: usize, reads: &[(usize, usize)]) {
        // For each node, the blocks that contain it from the outside inwards, each with its child there.
        let mut homes: Vec<Vec<(usize, usize)>> = vec![vec![]; nodes];
        for (index, block) in self.blocks.iter().enumerate() {
            for (child, item) in block.children.iter().enumerate() {
                let within = match *item {
                    Shown::Node(node) => node..node + 1,
                    Shown::Block(inner) => self.blocks[inner].nodes.clone(),
                };
                within.for_each(|node| homes[node].push((index, child)));
            }
        }
        // Connections by their source, so that each net is the last of its block while it grows.
        let mut reads = reads.to_vec();
        reads.sort_unstable();
        reads.dedup();
        for (from, to) in reads {
            let shared = homes[from].iter().zip(&homes[to]).take_while(|(a, b)| a.0 == b.0).count();
            // In the innermost block that contains both, the children differ.
            for (level, &(block, child)) in homes[from].iter().enumerate().skip(shared.saturating_sub(1)) {
                let net = self.net(block, from, Some(child));
                net.leaves |= level >= shared;
            }
            for (level, &(block, child)) in homes[to].iter().enumerate().skip(shared.saturating_sub(1)) {
                let source = homes[from].get(level).filter(|_| level < shared).map(|home| home.1);
                let net = self.net(block, from, source);
                if net.to.last() != Some(&child) {
                    net.to.push(child);
                }
            }
        }
    }

    fn net(&mut self, block: usize, node: usize, from: Option<usize>) -> &mut Net {
        let nets = &mut self.blocks[block].nets;
        let at = match nets.last() {
            Some(last) if last.node == node => nets.len() - 1,
            _ => {
                nets.push(Net { node, from, to: vec![], leaves: false });
                nets.len() - 1
            }
        };
        &mut nets[at]
    }

    /// Returns, for each block, whether it is open if `depth` levels are; the network itself is level 0 and open.
    pub fn open_to(&self, depth: usize) -> Vec<bool> {
        let mut levels: Vec<usize> = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            levels.push(block.parent.map_or(0, |parent| levels[parent] + 1));
        }
        levels.iter().map(|&level| level < depth.max(1)).collect()
    }

    /// Returns the last part of an item's name.
    pub fn label<'a>(&'a self, graph: &'a Graph, item: Shown) -> &'a str {
        let name = match item {
            Shown::Node(node) if graph.nodes()[node].op == Op::Input => return &graph.nodes()[node].id,
            Shown::Node(node) => &graph.nodes()[node].id,
            Shown::Block(block) => &self.blocks[block].name,
        };
        name.rsplit('.').next().unwrap_or(name)
    }
}

/// Returns the parts of an id. An input is in no block, whatever it is called: PyTorch's exporter says `input.1`.
fn path<'a>(id: &'a str, op: &Op) -> Vec<&'a str> {
    if *op == Op::Input { vec![id] } else { id.split('.').collect() }
}
