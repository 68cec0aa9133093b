//! Receptive fields, supports, channels and paths of random graphs against plain loops over index sets.
//!
//! The tests share nothing with the analysis: every layer's reads are written again here, by definition, and
//! a unit's support is found by following single positions through the graph.

#![allow(clippy::cast_possible_wrap, reason = "small numbers: maps of at most 40 elements")]

use std::collections::{BTreeMap, BTreeSet};

use cnnkit::analysis::support::{Borders, Region, support};
use cnnkit::analysis::{channels, field, paths};
use cnnkit::graph::{Builder, Graph, NodeId};
use cnnkit::shape::Shape;
use cnnkit::source::Origin;
use num_bigint::BigUint;

use crate::support::network::layer;

type At = [i64; 2];

/// Xorshift: the same graphs on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }

    fn up_to(&mut self, n: u64) -> i64 {
        1 + self.below(n) as i64
    }
}

/// A layer of the brute force.
#[derive(Debug, Clone)]
enum Op {
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

struct Net {
    graph: Graph,
    ops: Vec<Op>,
    rank: usize,
}

/// Formats one argument per axis: `3` in 1-D, `[3, 1]` in 2-D.
fn per_axis(values: At, rank: usize) -> String {
    if rank == 1 { values[0].to_string() } else { format!("[{}, {}]", values[0], values[1]) }
}

fn sides(before: At, after: At, rank: usize) -> String {
    let pairs: Vec<String> = (0..rank).map(|axis| format!("[{}, {}]", before[axis], after[axis])).collect();
    format!("[{}]", pairs.join(", "))
}

/// A random graph of a few layers; branches are joined where the shapes allow it.
fn random(random: &mut Random, rank: usize) -> Net {
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
fn along(op: &Op, axis: usize, u: i64) -> Vec<(i64, f64)> {
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
    fn output(&self) -> NodeId {
        self.graph.outputs()[0]
    }

    fn extent(&self, node: usize, axis: usize) -> i64 {
        if axis < self.rank { self.graph.nodes()[node].shape.spatial()[axis] as i64 } else { 1 }
    }

    /// What a position of `node` reads of each operand; a second axis that does not exist stays at 0.
    fn reads(&self, node: usize, at: At) -> Vec<(At, f64)> {
        let op = &self.ops[node];
        let rows = along(op, 0, at[0]);
        let columns = if self.rank == 2 { along(op, 1, at[1]) } else { vec![(0, 1.0)] };
        rows.iter().flat_map(|&(y, p)| columns.iter().map(move |&(x, q)| ([y, x], p * q))).collect()
    }

    /// The input positions that a unit reads, with their weights; `real` leaves out what lies off a map at any depth.
    fn follow(&self, unit: At, real: bool) -> BTreeMap<At, f64> {
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

    fn hull(&self, unit: At, axis: usize) -> Option<(i64, i64)> {
        let map = self.follow(unit, false);
        let low = map.keys().map(|at| at[axis]).min()?;
        Some((low, map.keys().map(|at| at[axis]).max()?))
    }

    /// All paths from the input to the output as lists of nodes (each slot of an operand counts).
    fn paths(&self) -> Vec<Vec<usize>> {
        let mut done = Vec::new();
        let mut open = vec![vec![self.output().index()]];
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

    /// Returns the box of a unit through a single path.
    fn path_box(&self, path: &[usize], axis: usize, unit: i64) -> Option<(i64, i64)> {
        let mut set = BTreeSet::from([unit]);
        for &node in path.iter().filter(|&&node| node != 0) {
            set = set.iter().flat_map(|&u| along(&self.ops[node], axis, u)).map(|(i, _)| i).collect();
        }
        Some((*set.first()?, *set.last()?))
    }

    /// Input channels that channel `c` of `node` depends on.
    fn channels(&self, node: usize, c: u64) -> BTreeSet<u64> {
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

fn positions(region: &Region, rank: usize) -> BTreeSet<At> {
    let mut all = BTreeSet::new();
    for product in region.products() {
        let rows: Vec<i128> = product[0].spans().iter().flat_map(|span| span.lo..=span.hi).collect();
        let columns: Vec<i128> = if rank == 2 {
            product[1].spans().iter().flat_map(|span| span.lo..=span.hi).collect()
        } else {
            vec![0]
        };
        for &y in &rows {
            for &x in &columns {
                assert!(all.insert([y as i64, x as i64]), "products overlap");
            }
        }
    }
    all
}

fn check_support(net: &Net, unit: At) {
    let index: Vec<i128> = unit[..net.rank].iter().map(|&u| i128::from(u)).collect();
    for borders in [Borders::Ignored, Borders::Real] {
        let region = support(&net.graph, net.output(), NodeId::new(0), &index, borders).expect("a support");
        let expected: BTreeSet<At> = net.follow(unit, borders == Borders::Real).into_keys().collect();
        assert_eq!(positions(&region, net.rank), expected, "unit {unit:?} of {:?}", net.ops);
        assert_eq!(region.positions().expect("a count"), expected.len() as i128);
    }
}

fn check_field(net: &Net, seen: &mut BTreeMap<&'static str, usize>) {
    let fields = field::analyse(&net.graph, field::Options::default()).expect("fields");
    let facts = fields.facts(&net.graph, net.output()).expect("facts").remove(0);
    let own = fields.of(net.output(), NodeId::new(0)).expect("a field");
    for axis in 0..net.rank {
        let unit = |u: i64| if axis == 0 { [u, 0] } else { [0, u] };
        let found = &facts.axes[axis];
        let mixed = own.axes[axis].union.len() > 1;
        let size = |hull: Option<(i64, i64)>| hull.map_or(0, |(lo, hi)| i128::from(hi - lo + 1));
        let first = net.hull(unit(0), axis);
        assert_eq!(found.first.map(|span| (span.lo as i64, span.hi as i64)), first, "first of {:?}", net.ops);
        // After a few upsamplings by 2 or 3, 72 units nearly always include every phase of these small graphs.
        let period = own.axes[axis].union.iter().map(|piece| piece.family.period).max().unwrap_or(1) as i64;
        let range = if mixed { net.extent(net.output().index(), axis) } else { period };
        if range > 80 {
            *seen.entry("skipped: long period").or_default() += 1;
            continue;
        }
        let hulls: Vec<_> = (0..range).map(|u| net.hull(unit(u), axis)).collect();
        let largest = hulls.iter().map(|hull| size(*hull)).max().unwrap_or(0);
        assert_eq!(
            found.size,
            largest,
            "size on axis {axis} of {:?}\n{:?}",
            net.ops,
            net.graph.nodes().iter().map(|n| &n.inputs).collect::<Vec<_>>()
        );
        if !mixed {
            let moved = found.jump * num_rational::Ratio::from_integer(i128::from(period));
            assert!(moved.is_integer());
            for (u, hull) in (0..range).zip(&hulls) {
                let later = net.hull(unit(u + period), axis);
                let expected =
                    hull.map(|(lo, hi)| (lo + moved.to_integer() as i64, hi + moved.to_integer() as i64));
                assert_eq!(later, expected, "jump of {:?}", net.ops);
            }
        }
        // Path by path, where no phases blur the picture.
        let plain =
            net.ops.iter().all(|op| !matches!(op, Op::Transposed { .. } | Op::Nearest(_) | Op::Linear(_)));
        if plain {
            let paths = net.paths();
            let boxes: Vec<_> =
                paths.iter().map(|path| (net.path_box(path, axis, 0), net.path_box(path, axis, 1))).collect();
            let sizes = boxes.iter().map(|(zero, _)| size(*zero));
            if facts.aligned {
                assert_eq!(found.smallest, sizes.min(), "smallest of {:?}", net.ops);
            }
            *seen.entry("plain").or_default() += 1;
        }
        if let Some(effective) = found.effective
            && net.rank == 1
        {
            let middle = net.extent(net.output().index(), 0) / 2;
            let map = net.follow([middle, 0], false);
            let mass: f64 = map.values().sum();
            let mean = map.iter().map(|(at, w)| at[0] as f64 * w).sum::<f64>() / mass;
            let variance = map.iter().map(|(at, w)| (at[0] as f64 - mean).powi(2) * w).sum::<f64>() / mass;
            assert!(
                (effective.std - variance.sqrt()).abs() < 1e-6 * (1.0 + variance),
                "std {} {} of {:?}",
                effective.std,
                variance.sqrt(),
                net.ops
            );
        }
        // Back from the input: which units read position 3?
        let seeing = fields
            .units_seeing(
                &net.graph,
                net.output(),
                NodeId::new(0),
                &vec![field::Interval { lo: 3, hi: 4 }; net.rank],
            )
            .expect("a mapping");
        if net.rank == 1 {
            let extent = net.extent(net.output().index(), 0);
            let meet: Vec<i64> = (0..extent)
                .filter(|&u| net.hull([u, 0], 0).is_some_and(|(lo, hi)| lo <= 4 && hi >= 3))
                .collect();
            let expected = meet.first().zip(meet.last()).map(|(a, b)| (*a, *b));
            let found = seeing.map(|list| (list[0].lo as i64, list[0].hi as i64));
            if !mixed {
                assert_eq!(found, expected, "units that see 3..4 of {:?}", net.ops);
            }
        }
    }
    let plain =
        net.ops.iter().all(|op| !matches!(op, Op::Transposed { .. } | Op::Nearest(_) | Op::Linear(_)));
    if plain {
        let steps: BTreeSet<Vec<(i64, i64)>> = net
            .paths()
            .iter()
            .map(|path| {
                let along = |axis: usize| {
                    let (lo, hi) = net.path_box(path, axis, 0).expect("a box");
                    let (next, _) = net.path_box(path, axis, 1).expect("a box");
                    (next - lo, lo + hi)
                };
                (0..net.rank).map(along).collect()
            })
            .collect();
        assert_eq!(facts.aligned, steps.len() == 1, "alignment of {:?}: {steps:?}", net.ops);
        *seen.entry(if facts.aligned { "aligned" } else { "misaligned" }).or_default() += 1;
    }
}

fn check_channels_and_paths(net: &Net) {
    let output = net.output();
    let sets = channels::reached(&net.graph, NodeId::new(0), output, true).expect("channels");
    let runs = sets[output.index()].as_ref().expect("a dependence");
    let mut found = Vec::new();
    for run in runs.iter() {
        let set: BTreeSet<u64> = run.set.iter().flat_map(|set| set.iter()).collect();
        found.extend(std::iter::repeat_n(set, run.len as usize));
    }
    let expected: Vec<BTreeSet<u64>> =
        (0..net.graph.node(output).shape.channels()).map(|c| net.channels(output.index(), c)).collect();
    assert_eq!(found, expected, "channels of {:?}", net.ops);
    let facts =
        channels::between(&net.graph, NodeId::new(0), output, true).expect("channels").expect("a dependence");
    let mut classes: Vec<BTreeSet<u64>> = Vec::new();
    for set in &expected {
        let (meeting, mut apart): (Vec<_>, Vec<_>) =
            classes.into_iter().partition(|class| !class.is_disjoint(set));
        apart.push(meeting.into_iter().flatten().chain(set.iter().copied()).collect());
        classes = apart;
    }
    assert_eq!(facts.isolated_groups, classes.len() as u64);
    assert_eq!(facts.smallest, expected.iter().map(|set| set.len() as u64).min().unwrap_or(0));

    let all = net.paths();
    let own = paths::paths(&net.graph).expect("paths").remove(0);
    assert_eq!(own.count, BigUint::from(all.len()));
    let mut lengths: BTreeMap<u64, BigUint> = BTreeMap::new();
    for path in &all {
        let weighted = path
            .iter()
            .filter(|&&node| {
                matches!(net.ops[node], Op::Transposed { .. } | Op::Window { weighted: true, .. })
            })
            .count();
        *lengths.entry(weighted as u64).or_default() += 1u8;
    }
    assert_eq!(own.lengths.expect("lengths"), lengths);
    if let Some(fields) = own.fields {
        let mut sizes: BTreeMap<Vec<paths::Seen>, BigUint> = BTreeMap::new();
        for path in &all {
            let size = |axis: usize| {
                let (lo, hi) = net.path_box(path, axis, 0).expect("a box");
                paths::Seen::Size(i128::from(hi - lo + 1))
            };
            *sizes.entry((0..net.rank).map(size).collect()).or_default() += 1u8;
        }
        assert_eq!(fields, sizes, "fields over paths of {:?}", net.ops);
    }
}

#[test]
fn ten_thousand_lines() {
    let mut generator = Random(0x9E37_79B9_7F4A_7C15);
    let mut seen = BTreeMap::new();
    for _ in 0..10_000 {
        let net = random(&mut generator, 1);
        check_support(&net, [2, 0]);
        check_field(&net, &mut seen);
        check_channels_and_paths(&net);
    }
    assert!(seen["aligned"] > 500 && seen["misaligned"] > 500, "{seen:?}");
    assert!(seen.get("skipped: long period").is_none_or(|&n| n < 200), "{seen:?}");
}

#[test]
fn two_thousand_planes() {
    let mut generator = Random(0xD1B5_4A32_D192_ED03);
    let mut seen = BTreeMap::new();
    let mut holes = 0;
    for _ in 0..2_000 {
        let net = random(&mut generator, 2);
        check_support(&net, [3, 2]);
        check_channels_and_paths(&net);
        let positions = net.follow([3, 2], false).len() as i64;
        let area: i64 = (0..2).map(|axis| net.hull([3, 2], axis).map_or(0, |(lo, hi)| hi - lo + 1)).product();
        holes += i64::from(area > positions);
        if area < 600 {
            check_field(&net, &mut seen);
        }
    }
    assert!(holes > 200, "{holes} graphs with holes");
}
