//! Runs a network on a sequence that arrives in chunks: state in, chunk in, chunk out.
//!
//! Every layer computes the units of which it has all inputs, with its kernel, on what is kept of its inputs and what is
//! new. Its own padding is used at the start of the sequence and, when the stream is finished, at the end; between, the
//! units that would read padding are dropped, as at the edges of a tile.

use crate::network::Network;
use crate::reference::{Call, Counter};
use crate::run::Kernels;
use crate::scalar::Scalar;
use crate::tensor::{Tensor, batched};
use cnnkit_core::analysis::along::{Along, Edge, Track};
use cnnkit_core::analysis::probe::Sizes;
use cnnkit_core::analysis::streaming::Streaming;
use cnnkit_core::analysis::streaming::progress::{Ends, ends, needed, ready};
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::graph::{Graph, Node, NodeId, Op};
use cnnkit_core::layers::{AxisReach, Io, Layer};
use cnnkit_core::shape::Shape;

/// Elements that are added behind a chunk, at most, where a layer needs more than it reads to accept its input.
const MAX_EXTRA: usize = 1 << 16;

/// A running stream.
pub struct Stream<'a, S, K> {
    network: &'a Network<'a, S>,
    sizes: &'a Sizes<'a>,
    streaming: &'a Streaming,
    kernels: &'a K,
    batch: usize,
    /// What is kept of each node's output.
    kept: Vec<Kept<S>>,
    /// Values of nodes that do not depend on time.
    fixed: Vec<Option<Tensor<S>>>,
    ends: Vec<Vec<Ends>>,
    finished: bool,
}

/// Kept units of a node.
#[derive(Debug, Clone)]
struct Kept<S> {
    /// Index of the first kept unit.
    from: i128,
    /// Number of computed units since the start.
    computed: i128,
    /// The units `from..computed`; none before the first.
    data: Option<Tensor<S>>,
}

impl<S: Scalar> Kept<S> {
    fn units(&self) -> i128 {
        self.computed - self.from
    }
}

impl<'a, S: Scalar, K: Kernels<S>> Stream<'a, S, K> {
    /// Starts a stream of `batch` sequences through `network`, whose graph is that of `streaming`. An error if the network
    /// does not stream, or has an input that does not follow the time axis.
    pub fn new(
        network: &'a Network<'a, S>,
        sizes: &'a Sizes<'a>,
        streaming: &'a Streaming,
        kernels: &'a K,
        batch: usize,
    ) -> Result<Self, Problem> {
        let graph = network.graph;
        if streaming.plan.is_none() {
            return Err(unsupported("streaming a network that needs the whole sequence"));
        }
        let along = &streaming.along;
        if graph.inputs().any(|(id, _)| !along.follows(id)) {
            return Err(unsupported("streaming a network with an input that has no time axis"));
        }
        let none = || Kept { from: 0, computed: 0, data: None };
        let mut stream = Self {
            network,
            sizes,
            streaming,
            kernels,
            batch,
            kept: graph.nodes().iter().map(|_| none()).collect(),
            fixed: vec![None; graph.nodes().len()],
            ends: all_ends(graph, along)?,
            finished: false,
        };
        let images = Tensor::zeros(&[batch, 1]);
        for (id, node) in graph.iter() {
            if let (Op::Layer(layer), Track::Fixed) = (&node.op, &along.tracks[id.index()]) {
                let inputs: Option<Vec<&Tensor<S>>> = if node.sources().is_empty() {
                    Some(vec![&images])
                } else {
                    node.inputs.iter().map(|input| stream.fixed[input.index()].as_ref()).collect()
                };
                let inputs = inputs.ok_or_else(lost)?;
                let value = stream.forward(id, node, layer, &inputs)?;
                stream.fixed[id.index()] = Some(value);
            }
        }
        Ok(stream)
    }

    /// Takes the next chunk, one tensor per input, batch axis first, of any equal length along the time axis. Returns
    /// what it adds to each output; none where it adds nothing.
    pub fn push(&mut self, chunk: Vec<Tensor<S>>) -> Result<Vec<Option<Tensor<S>>>, Problem> {
        if self.finished {
            return Err(unsupported("a chunk behind the end of the sequence"));
        }
        let inputs: Vec<NodeId> = self.network.graph.inputs().map(|(id, _)| id).collect();
        if chunk.len() != inputs.len() || chunk.iter().any(|tensor| tensor.batch() != self.batch) {
            return Err(unsupported("a chunk with other inputs or another batch"));
        }
        for (&id, tensor) in inputs.iter().zip(chunk) {
            self.append(id, tensor)?;
        }
        let before = self.outputs_computed();
        let graph = self.network.graph;
        for (id, node) in graph.iter() {
            let (Op::Layer(layer), Track::Follows { .. }) = (&node.op, self.track(id)) else { continue };
            let units = self
                .edges(id)
                .map(|(edge, ends)| ready(edge, ends, self.kept[edge.operand.index()].computed))
                .min();
            let goal = units.unwrap_or(0);
            self.advance(id, node, layer, goal, None)?;
        }
        let outputs = self.collect(&before)?;
        self.drop_old();
        Ok(outputs)
    }

    /// Ends the sequence. Returns what remains of each output; none where nothing does.
    pub fn finish(&mut self) -> Result<Vec<Option<Tensor<S>>>, Problem> {
        let graph = self.network.graph;
        let Some((first, _)) = graph.inputs().next() else { return Err(lost()) };
        let length = u64::try_from(self.kept[first.index()].computed).map_err(|_| lost())?;
        let mut input = self.sizes.own();
        input[self.streaming.axis] = length;
        let unfit =
            || unsupported(&format!("a sequence of {length} positions, on which the network does not run"));
        let whole = self.sizes.at(&input).ok_or_else(unfit)?;
        let along = self.sizes.along(&whole, self.streaming.axis);
        let differs = graph.iter().find(|(id, _)| {
            self.streaming.along.follows(*id)
                && along.edges[id.index()] != self.streaming.along.edges[id.index()]
        });
        if let Some((_, node)) = differs {
            return Err(unsupported(&format!(
                "a sequence of {length} positions: `{}` has other windows there",
                node.id
            )));
        }
        self.ends = all_ends(&whole, &along)?;
        self.finished = true;
        let before = self.outputs_computed();
        for (id, node) in whole.iter() {
            let (Op::Layer(layer), Track::Follows { .. }) = (&node.op, self.track(id)) else { continue };
            self.advance(id, node, layer, i128::from(along.units[id.index()]), Some(&along))?;
        }
        self.collect(&before)
    }

    /// Returns the number of elements that are kept between chunks, per sequence of the batch.
    pub fn state(&self) -> u64 {
        self.kept.iter().filter_map(|kept| kept.data.as_ref()).map(|data| data.image_len() as u64).sum()
    }

    fn track(&self, id: NodeId) -> &'a Track {
        &self.streaming.along.tracks[id.index()]
    }

    fn edges(&self, id: NodeId) -> impl Iterator<Item = (&'a Edge, Ends)> + use<'_, 'a, S, K> {
        self.streaming.along.edges[id.index()].iter().zip(self.ends[id.index()].iter().copied())
    }

    /// Returns the time axis of a node's tensors, batch first.
    fn time(&self, id: NodeId) -> usize {
        match self.track(id) {
            Track::Follows { axis, .. } => axis + 1,
            Track::Fixed | Track::Whole => 1,
        }
    }

    fn outputs_computed(&self) -> Vec<i128> {
        self.network.graph.outputs().iter().map(|output| self.kept[output.index()].computed).collect()
    }

    fn append(&mut self, id: NodeId, new: Tensor<S>) -> Result<(), Problem> {
        let axis = self.time(id);
        let kept = &mut self.kept[id.index()];
        let units = new.sizes().get(axis).map_or(0, |&size| size as i128);
        kept.data = Some(match kept.data.take() {
            Some(old) => Tensor::joined(axis, &[&old, &new])?,
            None => new,
        });
        kept.computed += units;
        Ok(())
    }

    /// Returns what has been added to each output since `before`.
    fn collect(&self, before: &[i128]) -> Result<Vec<Option<Tensor<S>>>, Problem> {
        let one = |(&output, &before): (&NodeId, &i128)| {
            let kept = &self.kept[output.index()];
            if kept.computed == before {
                return Ok(None);
            }
            let data = kept.data.as_ref().ok_or_else(lost)?;
            let [from, to] =
                [before - kept.from, kept.units()].map(|unit| usize::try_from(unit).map_err(|_| lost()));
            Ok(Some(data.section(self.time(output), from?..to?)))
        };
        self.network.graph.outputs().iter().zip(before).map(one).collect()
    }

    /// Drops the units that no later unit needs.
    fn drop_old(&mut self) {
        let graph = self.network.graph;
        let mut first: Vec<i128> = self.kept.iter().map(|kept| kept.computed).collect();
        for (id, _) in graph.iter() {
            for (edge, ends) in self.edges(id) {
                let known = self.kept[edge.operand.index()].computed;
                let needed = needed(edge, ends, self.kept[id.index()].computed, known);
                first[edge.operand.index()] = first[edge.operand.index()].min(needed);
            }
        }
        for (id, _) in graph.iter() {
            let axis = self.time(id);
            let kept = &mut self.kept[id.index()];
            let from = first[id.index()].max(kept.from);
            if from == kept.computed {
                kept.data = None;
            } else if let (Some(data), Ok(passed)) = (&kept.data, usize::try_from(from - kept.from)) {
                let end = data.sizes()[axis];
                kept.data = Some(data.section(axis, passed..end));
            }
            kept.from = from;
        }
    }

    /// Computes the units of a node up to `goal`; at the end of the sequence `whole` is the network at its length.
    fn advance(
        &mut self,
        id: NodeId,
        node: &Node,
        layer: &Layer,
        goal: i128,
        whole: Option<&Along>,
    ) -> Result<(), Problem> {
        let done = self.kept[id.index()].computed;
        if goal <= done {
            return Ok(());
        }
        // The slices of all operands begin at the same unit of the output.
        let mut offset = i128::MAX;
        let mut step = 1i128;
        for (edge, _) in self.edges(id) {
            let relation = &edge.relation;
            step *= relation.period / divisor(step, relation.period);
            let first = (done..goal.min(done + relation.period)).filter_map(|unit| relation.at(unit));
            let first = first.filter(|reads| reads.count > 0).map(|reads| reads.first).min().unwrap_or(0);
            offset = offset.min(first.max(0).div_euclid(relation.advance) * relation.period);
        }
        let mut offset = offset.min(done) / step * step;
        let mut extra = 0;
        let mut back = step;
        loop {
            let slices = self.slices(id, offset, goal, extra, whole)?;
            let inputs: Option<Vec<&Tensor<S>>> = node
                .inputs
                .iter()
                .zip(&slices)
                .map(|(input, slice)| slice.as_ref().or(self.fixed[input.index()].as_ref()))
                .collect();
            let inputs = inputs.ok_or_else(lost)?;
            let [from, to] =
                [done - offset, goal - offset].map(|unit| usize::try_from(unit).map_err(|_| lost()));
            let (from, to) = (from?, to?);
            if self.fits(id, layer, &inputs, to, whole) {
                let output = self.forward(id, node, layer, &inputs)?;
                let new = output.section(self.time(id), from..to);
                return self.append(id, new);
            }
            // At the end nothing may be added behind: the slice begins earlier, with zeros for what was dropped.
            if whole.is_some() && offset > 0 && back < MAX_EXTRA as i128 {
                offset = (offset - back).max(0);
                back *= 2;
                continue;
            }
            if whole.is_some() || extra >= MAX_EXTRA {
                let name = &node.id;
                return Err(unsupported(&format!(
                    "streaming through `{name}`: on a part of the sequence it has other windows or another size"
                )));
            }
            extra = (extra * 2).max(1);
        }
    }

    /// Returns what the units of a layer from `offset` up to `goal` read of each operand, with zeros for units that were
    /// dropped, and `extra` zeros behind the end.
    fn slices(
        &self,
        id: NodeId,
        offset: i128,
        goal: i128,
        extra: usize,
        whole: Option<&Along>,
    ) -> Result<Vec<Option<Tensor<S>>>, Problem> {
        let node = self.network.graph.node(id);
        let slice = |input: &NodeId| {
            let Some((edge, ends)) = self.edges(id).find(|(edge, _)| edge.operand == *input) else {
                return Ok(None);
            };
            let kept = &self.kept[input.index()];
            let axis = self.time(*input);
            let start = offset / edge.relation.period * edge.relation.advance;
            let mut sizes = batched(self.batch, &self.network.graph.node(*input).shape)?;
            let mut zeros = |count: usize| {
                sizes[axis] = count;
                Tensor::zeros(&sizes)
            };
            let dropped = usize::try_from((kept.from - start).max(0)).map_err(|_| lost())?;
            let mut parts = vec![zeros(dropped)];
            if let Some(data) = &kept.data {
                let passed = usize::try_from((start - kept.from).max(0)).map_err(|_| lost())?;
                // Operands that are ahead of others stand aside, so that merges get equal lengths.
                let known = match whole {
                    Some(_) => kept.computed,
                    None => self.read_by(edge, ends, goal).min(kept.computed),
                };
                let end = usize::try_from((known - kept.from).max(0)).map_err(|_| lost())?;
                parts.push(data.section(axis, passed.min(end)..end));
            }
            if whole.is_none() {
                parts.push(zeros(extra));
            }
            let parts: Vec<&Tensor<S>> = parts.iter().filter(|part| !part.is_empty()).collect();
            if parts.is_empty() { Ok(Some(zeros(0))) } else { Tensor::joined(axis, &parts).map(Some) }
        };
        node.inputs.iter().map(slice).collect()
    }

    /// Returns how many units of an operand the units before `goal` read.
    fn read_by(&self, edge: &Edge, ends: Ends, goal: i128) -> i128 {
        let relation = &edge.relation;
        let last = (goal - relation.period..goal).filter_map(|unit| relation.at(unit)?.last()).max();
        last.map_or(0, |last| last + 1).max(ends.start)
    }

    /// Returns whether the layer has the same windows on these inputs as on the whole sequence, and at least `units` units:
    /// at the end of the sequence, exactly these.
    fn fits(
        &self,
        id: NodeId,
        layer: &Layer,
        inputs: &[&Tensor<S>],
        units: usize,
        whole: Option<&Along>,
    ) -> bool {
        let shapes: Vec<Shape> = inputs.iter().map(|input| input.shape()).collect();
        if shapes.iter().any(|shape| shape.sizes().contains(&0)) {
            return false;
        }
        let Ok(output) = layer.infer(&shapes) else { return false };
        let axis = self.time(id) - 1;
        let found = output.sizes().get(axis).copied().unwrap_or(0);
        let enough = if whole.is_some() { found == units as u64 } else { found >= units as u64 };
        let reaches = layer.reach(Io { inputs: &shapes, output: &output });
        enough
            && self
                .edges(id)
                .all(|(edge, _)| same(edge, &reaches, self.network.graph.node(id), self.streaming))
    }

    fn forward(
        &self,
        id: NodeId,
        node: &Node,
        layer: &Layer,
        inputs: &[&Tensor<S>],
    ) -> Result<Tensor<S>, Problem> {
        let call = Call { inputs, declared: &node.weights, weights: self.network.weights(id) };
        self.kernels.forward(layer, call, &mut Counter::default())
    }
}

/// Returns whether one of `reaches` has the windows of `edge`.
fn same(edge: &Edge, reaches: &[cnnkit_core::layers::Reach], node: &Node, streaming: &Streaming) -> bool {
    let Track::Follows { axis, .. } = &streaming.along.tracks[edge.operand.index()] else { return false };
    reaches.iter().filter(|reach| node.inputs.get(reach.input) == Some(&edge.operand)).any(|reach| {
        let how: Option<&AxisReach> = reach.axes.get(*axis);
        let link = how.and_then(|how| cnnkit_core::analysis::relation::Link::new(how).ok());
        link == Some(cnnkit_core::analysis::relation::Link::By(edge.relation.clone()))
    })
}

fn all_ends(graph: &Graph, along: &Along) -> Result<Vec<Vec<Ends>>, Problem> {
    let of = |(id, _): (NodeId, &Node)| {
        let edges = along.edges[id.index()].iter();
        edges.map(|edge| ends(edge, along.units[edge.operand.index()], along.units[id.index()])).collect()
    };
    graph.iter().map(of).collect::<Option<_>>().ok_or_else(lost)
}

/// Returns the greatest common divisor of two positive numbers.
fn divisor(a: i128, b: i128) -> i128 {
    if b == 0 { a } else { divisor(b, a % b) }
}

fn unsupported(what: &str) -> Problem {
    Problem::new(Code::InvalidValue, format!("not supported: {what}"))
}

fn lost() -> Problem {
    Problem::shape("a part of the stream is missing")
}
