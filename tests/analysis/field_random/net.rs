//! Random graphs, and what a unit of them reads, written down as the definitions say.

use std::collections::{BTreeMap, BTreeSet};

use cnnkit::graph::{Builder, Graph, NodeId};
use cnnkit::shape::Shape;
use cnnkit::source::Origin;

use crate::support::network::layer;

pub(super) type At = [i64; 2];

/// Xorshift: the same graphs on every machine.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }

    pub(super) fn up_to(&mut self, n: u64) -> i64 {
        1 + self.below(n) as i64
    }
}

/// A layer of the brute force.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Input,
    Window { kernel: At, stride: At, dilation: At, before: At, groups: u64, weighted: bool },
    Transposed { kernel: At, stride: At, dilation: At, before: At },
    Nearest(i64),
    Linear(i64),
    Point,
    Shuffle(u64),
    Add,
    Concat,
}

pub(super) struct Net {
    pub(super) graph: Graph,
    pub(super) ops: Vec<Op>,
    pub(super) rank: usize,
}

/// Formats one argument per axis: `3` in 1-D, `[3, 1]` in 2-D.
pub(super) fn per_axis(values: At, rank: usize) -> String {
    if rank == 1 { values[0].to_string() } else { format!("[{}, {}]", values[0], values[1]) }
}

pub(super) fn sides(before: At, after: At, rank: usize) -> String {
    let pairs: Vec<String> = (0..rank).map(|axis| format!("[{}, {}]", before[axis], after[axis])).collect();
    format!("[{}]", pairs.join(", "))
}

/// A random graph of a few layers; branches are joined where the shapes allow it.
pub(super) fn random(random: &mut Random, rank: usize) -> Net {
    let mut builder = Builder::new();
    let size = 9 + random.below(6);
    let shape = if rank == 1 { Shape::from([4, size]) } else { Shape::from([4, size, size]) };
    let mut ops = vec![Op::Input];
    builder.input("input", shape, Origin::default());
    let layers = 3 + random.below(5);
    let mut open: BTreeSet<usize> = BTreeSet::from([0]);
    while (ops.len() as u64) < layers || open.len() > 1 {
        let last = ops.len() - 1;
        if ops.len() > 24 {
            break;
        }
        let from = if random.below(3) == 0 { random.below(ops.len() as u64) as usize } else { last };
        let sizes = builder.shape(NodeId::new(from)).expect("a shape").clone();
        let each = |random: &mut Random, n: u64| -> At {
            let first = random.up_to(n);
            [first, if rank == 1 { 1 } else { random.up_to(n) }]
        };
        let mut inputs = vec![NodeId::new(from)];
        let (op, made) = match random.below(10) {
            0..4 => {
                let (kernel, dilation) = (each(random, 3), each(random, 3));
                let stride = if random.below(3) == 0 { each(random, 2) } else { [1, 1] };
                let reach = |axis: usize| (kernel[axis] - 1) * dilation[axis];
                let mut before = [0; 2];
                let mut after = [0; 2];
                for axis in 0..rank {
                    before[axis] = random.below(reach(axis) as u64 + 1) as i64;
                    after[axis] = reach(axis) - before[axis];
                }
                let groups = if random.below(2) == 0 && sizes.channels().is_multiple_of(2) { 2 } else { 1 };
                let args = format!(
                    "{{out_channels: 4, kernel: {}, stride: {}, dilation: {}, padding: {}, groups: {groups}}}",
                    per_axis(kernel, rank),
                    per_axis(stride, rank),
                    per_axis(dilation, rank),
                    sides(before, after, rank)
                );
                (
                    Op::Window { kernel, stride, dilation, before, groups, weighted: true },
                    layer("conv", &args),
                )
            }
            4 => {
                let args = format!("{{kernel: {}, stride: 1}}", per_axis([2, 2], rank));
                let op = Op::Window {
                    kernel: [2, if rank == 1 { 1 } else { 2 }],
                    stride: [1, 1],
                    dilation: [1, 1],
                    before: [0, 0],
                    groups: 0,
                    weighted: false,
                };
                (op, layer("max_pool", &args))
            }
            5 => {
                // In 2-D without gaps, because a unit in a gap along one axis reads nothing at all.
                let stride = [2, if rank == 1 { 1 } else { 2 }];
                let kernel =
                    if rank == 1 { [random.up_to(4), 1] } else { [random.up_to(2) + 1, random.up_to(2) + 1] };
                let dilation = [if rank == 1 { random.up_to(2) } else { 1 }, 1];
                let before = [random.below(2) as i64, 0];
                let before = if kernel[0] > 1 { before } else { [0, 0] };
                let args = format!(
                    "{{out_channels: 4, kernel: {}, stride: {}, dilation: {}, padding: {}}}",
                    per_axis(kernel, rank),
                    per_axis(stride, rank),
                    per_axis(dilation, rank),
                    sides(before, [0, 0], rank)
                );
                (Op::Transposed { kernel, stride, dilation, before }, layer("conv_transpose", &args))
            }
            6 => {
                let factor = 1 + random.up_to(2);
                match random.below(2) {
                    0 => (Op::Nearest(factor), layer("upsample", &format!("{{scale_factor: {factor}}}"))),
                    _ => (
                        Op::Linear(factor),
                        layer("upsample", &format!("{{scale_factor: {factor}, mode: linear}}")),
                    ),
                }
            }
            7 if sizes.channels().is_multiple_of(2) => {
                (Op::Shuffle(2), layer("channel_shuffle", "{groups: 2}"))
            }
            _ => {
                let same: Vec<usize> = (0..ops.len())
                    .filter(|&other| {
                        other != from
                            && builder
                                .shape(NodeId::new(other))
                                .is_some_and(|s| s.spatial() == sizes.spatial())
                    })
                    .collect();
                match same.last() {
                    None => (Op::Point, layer("relu", "{}")),
                    Some(_) => {
                        let other = same[random.below(same.len() as u64) as usize];
                        inputs.push(NodeId::new(other));
                        let equal = builder.shape(NodeId::new(other)) == Some(&sizes);
                        if equal && random.below(2) == 0 {
                            (Op::Add, layer("add", "{}"))
                        } else {
                            (Op::Concat, layer("concat", "{}"))
                        }
                    }
                }
            }
        };
        // A layer that does not fit (the map became too small) is skipped, and so is one whose map is too large.
        let shapes: Vec<Shape> =
            inputs.iter().map(|id| builder.shape(*id).expect("a shape").clone()).collect();
        match made.infer(&shapes) {
            Ok(shape) if shape.spatial().iter().all(|&s| (1..=40).contains(&s)) && shape.channels() <= 24 => {
                for input in &inputs {
                    open.remove(&input.index());
                }
                open.insert(ops.len());
                builder.layer(&format!("n{}", ops.len()), made, inputs, None, Origin::default());
                ops.push(op);
            }
            _ => {}
        }
        if ops.len() as u64 >= layers {
            break;
        }
    }
    let output = NodeId::new(ops.len() - 1);
    Net { graph: builder.finish("random", vec![output]).expect("a graph"), ops, rank }
}

/// Returns what unit `u` of an axis reads, with weights that sum to 1 (nothing in a gap).
pub(super) fn along(op: &Op, axis: usize, u: i64) -> Vec<(i64, f64)> {
    let uniform = |list: Vec<i64>| {
        let n = list.len() as f64;
        list.into_iter().map(|i| (i, 1.0 / n)).collect::<Vec<_>>()
    };
    match *op {
        Op::Window { kernel, stride, dilation, before, .. } => {
            uniform((0..kernel[axis]).map(|t| u * stride[axis] - before[axis] + dilation[axis] * t).collect())
        }
        Op::Transposed { kernel, stride, dilation, before } => uniform(
            (-400..400)
                .filter(|i| {
                    (0..kernel[axis]).any(|t| i * stride[axis] - before[axis] + dilation[axis] * t == u)
                })
                .collect(),
        ),
        Op::Nearest(factor) => vec![(u.div_euclid(factor), 1.0)],
        Op::Linear(factor) => {
            let place = (u as f64 + 0.5) / factor as f64 - 0.5;
            let (low, part) = (place.floor() as i64, place - place.floor());
            if part < 1e-9 { vec![(low, 1.0)] } else { vec![(low, 1.0 - part), (low + 1, part)] }
        }
        _ => vec![(u, 1.0)],
    }
}

impl Net {
    pub(super) fn output(&self) -> NodeId {
        self.graph.outputs()[0]
    }

    pub(super) fn extent(&self, node: usize, axis: usize) -> i64 {
        if axis < self.rank { self.graph.nodes()[node].shape.spatial()[axis] as i64 } else { 1 }
    }

    /// What a position of `node` reads of each operand; a second axis that does not exist stays at 0.
    pub(super) fn reads(&self, node: usize, at: At) -> Vec<(At, f64)> {
        let op = &self.ops[node];
        let rows = along(op, 0, at[0]);
        let columns = if self.rank == 2 { along(op, 1, at[1]) } else { vec![(0, 1.0)] };
        rows.iter().flat_map(|&(y, p)| columns.iter().map(move |&(x, q)| ([y, x], p * q))).collect()
    }

    /// The input positions that a unit reads, with their weights; `real` leaves out what lies off a map at any depth.
    pub(super) fn follow(&self, unit: At, real: bool) -> BTreeMap<At, f64> {
        let mut maps: Vec<BTreeMap<At, f64>> = vec![BTreeMap::new(); self.ops.len()];
        maps[self.output().index()].insert(unit, 1.0);
        for node in (1..self.ops.len()).rev() {
            for (at, weight) in std::mem::take(&mut maps[node]) {
                for (place, share) in self.reads(node, at) {
                    for operand in self.graph.nodes()[node].inputs.clone() {
                        let inside =
                            |axis: usize| (0..self.extent(operand.index(), axis)).contains(&place[axis]);
                        if !real || (inside(0) && inside(1)) {
                            *maps[operand.index()].entry(place).or_default() += weight * share;
                        }
                    }
                }
            }
        }
        std::mem::take(&mut maps[0])
    }

    pub(super) fn hull(&self, unit: At, axis: usize) -> Option<(i64, i64)> {
        let map = self.follow(unit, false);
        let low = map.keys().map(|at| at[axis]).min()?;
        Some((low, map.keys().map(|at| at[axis]).max()?))
    }

    /// Returns all paths from the input to the output as lists of nodes, output first (each slot of an operand counts).
    pub(super) fn paths(&self) -> Vec<Vec<usize>> {
        self.paths_from(self.output())
    }

    fn paths_from(&self, node: NodeId) -> Vec<Vec<usize>> {
        let mut done = Vec::new();
        let mut open = vec![vec![node.index()]];
        while let Some(path) = open.pop() {
            let last = *path.last().expect("never empty");
            if last == 0 {
                done.push(path);
                continue;
            }
            for operand in &self.graph.nodes()[last].inputs {
                let mut longer = path.clone();
                longer.push(operand.index());
                open.push(longer);
            }
        }
        done
    }

    /// Whether every merge before the output joins operands with one jump and either one centre or one end, the
    /// position that the unit stands on.
    pub(super) fn is_aligned(&self) -> bool {
        let merges: BTreeSet<usize> = self.paths().into_iter().flatten().collect();
        merges.into_iter().filter(|&node| matches!(self.ops[node], Op::Add | Op::Concat)).all(|node| {
            (0..self.rank).all(|axis| {
                let (mut jumps, mut hulls) = (BTreeSet::new(), Vec::new());
                for &operand in &self.graph.nodes()[node].inputs {
                    let mut hull: Option<(i64, i64)> = None;
                    for path in self.paths_from(operand) {
                        let (lo, hi) = self.path_box(&path, axis, 0).expect("a box");
                        let (next, _) = self.path_box(&path, axis, 1).expect("a box");
                        jumps.insert(next - lo);
                        hull = Some(hull.map_or((lo, hi), |(least, most)| (least.min(lo), most.max(hi))));
                    }
                    hulls.extend(hull);
                }
                let centres: BTreeSet<i64> = hulls.iter().map(|(lo, hi)| lo + hi).collect();
                jumps.len() == 1 && (centres.len() == 1 || hulls.iter().all(|&(_, hi)| hi == 0))
            })
        })
    }

    /// Returns the box of a unit through a single path.
    pub(super) fn path_box(&self, path: &[usize], axis: usize, unit: i64) -> Option<(i64, i64)> {
        let mut set = BTreeSet::from([unit]);
        for &node in path.iter().filter(|&&node| node != 0) {
            set = set.iter().flat_map(|&u| along(&self.ops[node], axis, u)).map(|(i, _)| i).collect();
        }
        Some((*set.first()?, *set.last()?))
    }

    /// Input channels that channel `c` of `node` depends on.
    pub(super) fn channels(&self, node: usize, c: u64) -> BTreeSet<u64> {
        if node == 0 {
            return BTreeSet::from([c]);
        }
        let inputs = &self.graph.nodes()[node].inputs;
        let count = |operand: NodeId| self.graph.nodes()[operand.index()].shape.channels();
        let of = |operand: NodeId, list: Vec<u64>| -> BTreeSet<u64> {
            list.into_iter().flat_map(|c| self.channels(operand.index(), c)).collect()
        };
        match &self.ops[node] {
            Op::Window { groups: 0, .. } | Op::Nearest(_) | Op::Linear(_) | Op::Point | Op::Input => {
                of(inputs[0], vec![c])
            }
            Op::Window { groups, .. } => {
                let (each, outs) =
                    (count(inputs[0]) / groups, self.graph.nodes()[node].shape.channels() / groups);
                let group = c / outs;
                of(inputs[0], (group * each..(group + 1) * each).collect())
            }
            Op::Transposed { .. } => of(inputs[0], (0..count(inputs[0])).collect()),
            Op::Shuffle(groups) => {
                // PyTorch: view(groups, n / groups).transpose(0, 1).flatten()
                let each = count(inputs[0]) / groups;
                let order: Vec<u64> =
                    (0..each).flat_map(|j| (0..*groups).map(move |g| g * each + j)).collect();
                of(inputs[0], vec![order[c as usize]])
            }
            Op::Add => inputs.iter().flat_map(|operand| of(*operand, vec![c])).collect(),
            Op::Concat => {
                let first = count(inputs[0]);
                if c < first { of(inputs[0], vec![c]) } else { of(inputs[1], vec![c - first]) }
            }
        }
    }
}
