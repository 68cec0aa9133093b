//! The tensors that a whole network keeps for its backward pass, by layer.

use super::Training;
use super::layout::{self, Layout, batched};
use super::reads::{Target, reads};
use super::saved::{Needs, Own, Saved, Width, saved};
use crate::graph::{Graph, Node, NodeId, Op};
use crate::layers::{Io, Layer};

/// What is kept of a network.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Bytes of what our own gradients read.
    pub cnnkit: u64,
    /// Bytes of what PyTorch's autograd keeps.
    pub torch: u64,
    /// One per node of the graph, by the convention `torch`.
    pub layers: Vec<LayerKept>,
    /// For each node, whether our own gradients read its output.
    pub read: Vec<bool>,
    /// For each node, whether it has a gradient: something below it is trained.
    pub(super) gradients: Vec<bool>,
    /// All storages, those of activations first created first.
    pub(super) storages: Vec<Storage>,
    /// For each node, the storage of its output; none for a parameter.
    pub(super) outputs: Vec<Option<usize>>,
}

/// What is kept because of one layer.
#[derive(Debug, Clone, Default)]
pub struct LayerKept {
    /// Bytes of tensors that no earlier layer keeps.
    pub bytes: u64,
    /// Bytes that our own gradients of this layer read, as far as no earlier layer reads them.
    pub cnnkit: u64,
    /// The tensors, shared ones included.
    pub tensors: Vec<KeptTensor>,
}

/// A tensor that a layer keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptTensor {
    /// Its part in the layer.
    pub part: Part,
    /// The node whose output it is, or whose output's storage it is a view of; none for a tensor that only the
    /// backward pass needs.
    pub node: Option<NodeId>,
    /// Bytes of its storage.
    pub bytes: u64,
    /// Whether an earlier layer keeps the same storage, so that its bytes are counted there.
    pub shared: bool,
}

/// The part of a kept tensor in its layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The input with this index.
    Input(usize),
    /// A copy of the input with this index in another layout.
    Copy(usize),
    /// The output.
    Output,
    /// A tensor that only the backward pass needs.
    Own(&'static str),
}

/// Memory that one or more tensors use.
#[derive(Debug, Clone)]
pub(super) struct Storage {
    /// The node that last wrote it as a whole.
    pub(super) node: usize,
    /// The step that creates it.
    pub(super) birth: usize,
    /// Its bytes.
    pub(super) bytes: u64,
    /// The last step of the forward pass that needs it.
    pub(super) last: usize,
    /// The first layer that keeps it, if one does.
    pub(super) keeper: Option<usize>,
}

/// Returns the bytes of a tensor of `batch` images with so many elements each.
fn bytes(training: &Training, batch: u64, elements: u64) -> u64 {
    elements.saturating_mul(batch).saturating_mul(training.dtype.bytes())
}

impl Own {
    fn bytes(&self, training: &Training, batch: u64) -> u64 {
        let width = match self.width {
            Width::Activation => training.dtype.bytes(),
            Width::Single => 4,
            Width::Index => 8,
        };
        self.per_image.saturating_mul(batch).saturating_add(self.once).saturating_mul(width)
    }
}

/// Computes what `graph` keeps in a step of `training`.
pub fn kept(graph: &Graph, training: &Training) -> Kept {
    let count = graph.nodes().len();
    let mut walk = Walk {
        graph,
        training,
        batches: training.batches(graph),
        last: crate::analysis::memory::last_uses(graph),
        layouts: Vec::with_capacity(count),
        kept: Kept {
            cnnkit: 0,
            torch: 0,
            read: vec![false; count],
            layers: Vec::with_capacity(count),
            gradients: Vec::with_capacity(count),
            storages: Vec::with_capacity(count),
            outputs: Vec::with_capacity(count),
        },
    };
    for (id, node) in graph.iter() {
        let elements = node.shape.elements().unwrap_or(u64::MAX);
        match &node.op {
            Op::Input => {
                walk.create(id.index(), bytes(training, training.batch, elements));
                walk.layouts.push(Layout::contiguous(&batched(training.batch, node.shape.sizes())));
                walk.kept.gradients.push(false);
                walk.kept.layers.push(LayerKept::default());
            }
            Op::Layer(layer) => walk.layer(id, layer),
        }
    }
    let Walk { mut kept, .. } = walk;
    kept.torch = kept.layers.iter().map(|layer| layer.bytes).fold(0, u64::saturating_add);
    kept.cnnkit = kept.layers.iter().map(|layer| layer.cnnkit).fold(0, u64::saturating_add);
    kept
}

struct Walk<'a> {
    graph: &'a Graph,
    training: &'a Training,
    /// The batch of each node.
    batches: Vec<u64>,
    last: Vec<usize>,
    layouts: Vec<Layout>,
    kept: Kept,
}

impl Walk<'_> {
    /// Creates the storage of the output of `node`.
    fn create(&mut self, node: usize, bytes: u64) {
        self.kept.outputs.push(Some(self.kept.storages.len()));
        let last = self.last[node];
        self.kept.storages.push(Storage { node, birth: node, bytes, last, keeper: None });
    }

    fn layer(&mut self, id: NodeId, layer: &Layer) {
        let (graph, training, at) = (self.graph, self.training, id.index());
        let node = graph.node(id);
        let shapes = graph.input_shapes(node);
        let io = Io { inputs: &shapes, output: &node.shape };
        let inputs: Vec<bool> = node.inputs.iter().map(|input| self.kept.gradients[input.index()]).collect();
        let needs = Needs { inputs: &inputs, weights: training.trains(graph, node) };
        let constant = node.sources().is_empty();
        let learned_tensor = constant && !node.weights.is_empty();
        self.kept.gradients.push(if constant { needs.weights } else { needs.any() });
        self.output(at, layer, io, learned_tensor);
        let mut found = LayerKept { cnnkit: self.read_by(node, layer, needs), ..LayerKept::default() };
        let own = saved(layer, io, needs, training.attention);
        let computed = if own.is_empty() { vec![] } else { standardised(node, layer, needs.weights) };
        for item in own.into_iter().chain(computed) {
            self.keep(at, &item, &mut found);
        }
        self.kept.layers.push(found);
    }

    /// Places the output of the node `at`.
    fn output(&mut self, at: usize, layer: &Layer, io: Io<'_>, parameter: bool) {
        let node = &self.graph.nodes()[at];
        let elements = io.output.elements().unwrap_or(u64::MAX);
        let batch = self.batches[at];
        let fresh = bytes(self.training, batch, elements);
        let first = node.inputs.first().map(|input| input.index());
        let layout = first.map(|first| layout::output(layer, io, batch, &self.layouts[first]));
        if parameter {
            // A parameter that is expanded to the batch: a view of memory that exists anyway.
            self.kept.outputs.push(None);
            self.layouts.push(Layout::contiguous(&batched(batch, io.output.sizes())));
            return;
        }
        match (layout, first) {
            (Some(layout::Result::View(layout)), Some(first)) => {
                let storage = self.kept.outputs[first];
                if let Some(storage) = storage {
                    let storage = &mut self.kept.storages[storage];
                    storage.last = storage.last.max(self.last[at]);
                }
                self.kept.outputs.push(storage);
                self.layouts.push(layout);
            }
            (Some(layout::Result::New(layout)), _) => {
                self.layouts.push(layout);
                match first.and_then(|first| self.overwritten(at, layer, first)) {
                    Some(storage) => {
                        self.kept.outputs.push(Some(storage));
                        let last = self.last[at];
                        let storage = &mut self.kept.storages[storage];
                        (storage.node, storage.last) = (at, last);
                    }
                    None => self.create(at, fresh),
                }
            }
            _ => {
                self.layouts.push(Layout::contiguous(&batched(batch, io.output.sizes())));
                self.create(at, fresh);
            }
        }
    }

    /// Returns the storage of the input `first` of the activation `at` if it is overwritten: nothing else reads it, and
    /// nothing keeps it. Only activations that keep their output are of use in place; others copy their input first.
    fn overwritten(&self, at: usize, layer: &Layer, first: usize) -> Option<usize> {
        use crate::layers::activation::KeptByActivation as K;
        let kept = layer.pointwise()?.kept;
        let storage = self.kept.outputs[first]?;
        let owner = &self.kept.storages[storage];
        let alone = owner.node == first && owner.last == at && owner.keeper.is_none();
        let readers = self.graph.nodes().get(first + 1..=at)?.iter();
        let readers = readers.filter(|node| node.inputs.iter().any(|input| input.index() == first)).count();
        let is_input = self.graph.nodes()[first].op == Op::Input;
        (matches!(kept, K::Output | K::OutputInPlace) && alone && readers == 1 && !is_input)
            .then_some(storage)
    }

    /// Records that the layer `at` keeps `item`.
    fn keep(&mut self, at: usize, item: &Saved, found: &mut LayerKept) {
        let node = &self.graph.nodes()[at];
        let own = |part: Part, bytes: u64| (part, None, bytes);
        let (part, storage, size) = match item {
            Saved::Own(tensor) => own(Part::Own(tensor.name), tensor.bytes(self.training, self.batches[at])),
            Saved::Output => {
                // An activation that could not overwrite its input keeps that input.
                let kept_in_place = matches!(&node.op, Op::Layer(layer) if layer.pointwise()
                    .is_some_and(|function| function.kept == crate::layers::activation::KeptByActivation::OutputInPlace));
                let first = node.inputs.first().map(|input| input.index());
                match first {
                    Some(first) if kept_in_place && self.kept.outputs[first] != self.kept.outputs[at] => {
                        (Part::Input(0), self.kept.outputs[first], 0)
                    }
                    _ => (Part::Output, self.kept.outputs[at], 0),
                }
            }
            Saved::Input(index) | Saved::Rows(index) | Saved::Matrices(index, _) => {
                let Some(input) = node.inputs.get(*index).map(|input| input.index()) else { return };
                if self.layouts[input].is_copied(item) {
                    let shape = &self.graph.nodes()[input].shape;
                    let mut elements = shape.elements().unwrap_or(u64::MAX);
                    if let Saved::Matrices(_, matrices) = item {
                        let inner = shape.sizes().iter().rev().take(2);
                        elements = inner.fold(*matrices, |product, &size| product.saturating_mul(size));
                    }
                    own(Part::Copy(*index), bytes(self.training, self.batches[at], elements))
                } else {
                    match self.kept.outputs[input] {
                        Some(storage) => (Part::Input(*index), Some(storage), 0),
                        // A parameter exists anyway.
                        None => return,
                    }
                }
            }
        };
        match storage {
            Some(storage) => {
                let storage = &mut self.kept.storages[storage];
                let shared = storage.keeper.is_some_and(|keeper| keeper != at)
                    || found.tensors.iter().any(|tensor| tensor.node == Some(NodeId::new(storage.node)));
                storage.keeper.get_or_insert(at);
                let node = Some(NodeId::new(storage.node));
                found.tensors.push(KeptTensor { part, node, bytes: storage.bytes, shared });
                if !shared {
                    found.bytes = found.bytes.saturating_add(storage.bytes);
                }
            }
            None => {
                self.kept.storages.push(Storage {
                    node: at,
                    birth: at,
                    bytes: size,
                    last: at,
                    keeper: Some(at),
                });
                found.tensors.push(KeptTensor { part, node: None, bytes: size, shared: false });
                found.bytes = found.bytes.saturating_add(size);
            }
        }
    }

    /// Returns the bytes that our gradients of `node` read and no earlier layer's did.
    fn read_by(&mut self, node: &Node, layer: &Layer, needs: Needs<'_>) -> u64 {
        let inputs = node.inputs.len();
        let trained = (0..inputs).filter(|&index| needs.input(index)).map(Target::Input);
        let targets = trained.chain(needs.weights.then_some(Target::Weights));
        let mut total = 0u64;
        for index in targets.flat_map(|target| reads(layer, inputs, target)) {
            let Some(input) = node.inputs.get(index) else { continue };
            if !std::mem::replace(&mut self.kept.read[input.index()], true) {
                let elements = self.graph.node(*input).shape.elements().unwrap_or(u64::MAX);
                total = total.saturating_add(bytes(self.training, self.batches[input.index()], elements));
            }
        }
        total
    }
}

/// Returns what a convolution keeps of a weight that a batch norm standardises in every step (NFNet: Brock et al. 2021,
/// section 4): the computed weight, mean and deviation of each output channel, and their gain, if there is one.
fn standardised(node: &Node, layer: &Layer, trained: bool) -> Vec<Saved> {
    let [index] = node.computed.as_slice() else { return vec![] };
    let (Layer::Conv(conv), Some(weight)) = (layer, node.weights.get(*index)) else { return vec![] };
    let elements = weight.shape.elements().unwrap_or(u64::MAX);
    if !trained || *index != 0 {
        return vec![];
    }
    let vectors = if node.counted(*index, elements) > elements { 3 } else { 2 };
    let name = "standardised weight, its mean and deviation";
    let once = elements.saturating_add(conv.out_channels.saturating_mul(vectors));
    vec![Saved::Own(Own { name, per_image: 0, once, width: Width::Activation })]
}

/// Returns the nodes of which the bytes kept by PyTorch are not exact, with the reason.
pub fn inexact(graph: &Graph) -> Vec<(NodeId, &'static str)> {
    let reason = |node: &Node| {
        let Op::Layer(layer) = &node.op else { return None };
        let conv = matches!(layer, Layer::Conv(_)) && node.computed == [0];
        if !node.computed.is_empty() && !conv {
            return Some("a weight is computed in every step: what that keeps is not counted");
        }
        matches!(layer, Layer::Opaque(_)).then_some("the operator is not analysed")
    };
    graph.iter().filter_map(|(id, node)| Some((id, reason(node)?))).collect()
}
