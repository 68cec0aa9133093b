//! Operators without a layer: the node stays, with its parameters and its output's shape, and is reported as
//! not analysed.
//!
//! It keeps an edge to everything on which it depends, whether or not the shape of that is known, so that no
//! node before it disappears. After a node of unknown shape every node is opaque; its reason names that first
//! node.

use super::context::{Lower, Tensor, Use, Value};
use super::output_shape::output_shape;
use super::slots::{Slot, slot};
use crate::onnx::constant::{Change, Constant};
use crate::onnx::inline::{reads, title};
use crate::onnx::ir::Draft;
use crate::onnx::names::place;
use crate::onnx::proto::{GraphProto, NodeProto};
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::opaque::{NAMES, Opaque};

/// The dependences of a node.
#[derive(Debug, Default)]
struct Sources {
    drafts: Vec<usize>,
    /// The batch axis of the first tensor among its inputs.
    batch: Option<usize>,
    weights: Vec<Constant>,
    buffers: Vec<Constant>,
    /// The reason of the first input of unknown shape.
    behind: Option<String>,
}

impl Sources {
    fn of(lower: &mut Lower, used: Use<'_>) -> Self {
        let mut sources = Self::default();
        for name in reads(used.node) {
            match lower.values.get(name) {
                Some(Value::Tensor(tensor)) => {
                    sources.batch = sources.batch.or(tensor.batch);
                    sources.reads(tensor.draft);
                }
                Some(Value::Unknown(reason)) => {
                    sources.behind.get_or_insert_with(|| reason.clone());
                    if let Some(&draft) = lower.unknown.get(name) {
                        sources.reads(draft);
                    }
                }
                Some(Value::Constant(_)) | None => {}
            }
        }
        sources.constants(lower, used.node, false);
        for graph in
            used.node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs))
        {
            sources.body(lower, graph);
        }
        sources
    }

    fn reads(&mut self, draft: usize) {
        if !self.drafts.contains(&draft) {
            self.drafts.push(draft);
        }
    }

    /// Adds the weights among the node's inputs; of a node in the `body` of another one, fixed numbers too.
    fn constants(&mut self, lower: &Lower, node: &NodeProto, body: bool) {
        for (index, name) in node.input.iter().enumerate() {
            let Some(Value::Constant(constant)) = lower.values.get(name) else { continue };
            let slot = slot(&node.op_type, index);
            let list = match slot {
                Slot::State if is_zero(constant) => continue,
                Slot::Weight | Slot::Operand | Slot::State => &mut self.weights,
                Slot::Buffer => &mut self.buffers,
                Slot::Setting => continue,
            };
            let known = list.iter().any(|other| other.root == constant.root && other.view == constant.view);
            let several = constant.elements().is_ok_and(|count| count > 1) || slot == Slot::Weight;
            // What stands in the code of a body is no parameter, but it is stored.
            if body && several && is_stored_number(constant) && !is_weight(lower, constant) {
                if !self.buffers.iter().any(|other| other.root == constant.root) {
                    self.buffers.push(constant.clone());
                }
                continue;
            }
            if several && is_weight(lower, constant) && !(constant.root.is_some() && known) {
                list.push(constant.clone());
            }
        }
    }

    /// Adds the weights of a branch or a body, whose constants no other node reads.
    fn body(&mut self, lower: &mut Lower, graph: &GraphProto) {
        let mut stack = vec![graph];
        while let Some(graph) = stack.pop() {
            for tensor in &graph.initializer {
                // Errors in a tensor that is never used in a computation are ignored.
                if lower.add_stored(tensor.clone()).is_err() {
                    lower.remark(format!("`{}` cannot be read and is not counted", tensor.name));
                }
            }
            for node in &graph.node {
                if let ("Constant", Some(name)) = (node.op_type.as_str(), node.output.first())
                    && let Ok(values) =
                        super::control::constant(lower, Use { node, opset: super::context::LATEST })
                    && let Some(value) = values.into_iter().next()
                {
                    lower.values.insert(name.clone(), value);
                }
                self.constants(lower, node, true);
                stack.extend(
                    node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs)),
                );
            }
        }
    }

    /// Returns the weights, buffers last, at most as many as a node has names for; all further weights are
    /// joined into one.
    fn named(&self) -> (Vec<Constant>, usize) {
        let mut weights = self.weights.clone();
        let room = NAMES.len() - 1 - self.buffers.len().min(NAMES.len() - 2);
        if weights.len() > room {
            let rest = weights.split_off(room);
            let count =
                rest.iter().map(|weight| weight.elements().unwrap_or(u64::MAX)).fold(0, u64::saturating_add);
            let joined = Constant { derived: true, values: None, ..Constant::floats(vec![count], vec![]) };
            weights.push(joined);
        }
        let buffers = self.buffers.len().min(NAMES.len() - weights.len());
        weights.extend(self.buffers[..buffers].iter().cloned());
        (weights, buffers)
    }
}

/// Returns the node as opaque layers, one per output.
pub(super) fn opaque(lower: &mut Lower, used: Use<'_>, reason: &str) -> Vec<Value> {
    let sources = Sources::of(lower, used);
    let mut first = None;
    (0..used.outputs().max(1))
        .map(|index| {
            if used.node.output.get(index).is_none_or(String::is_empty) && index > 0 {
                return Value::Unknown("not wanted".into());
            }
            let value = output(lower, used, index, reason, &sources, first);
            first.get_or_insert(lower.drafts.len() - 1);
            value
        })
        .collect()
}

/// Returns an output that the layer does not have (the indices of a max pool), as a separate opaque node
/// without weights.
pub(super) fn another(lower: &mut Lower, used: Use<'_>, index: usize, reason: &str) -> Value {
    let mut sources = Sources::of(lower, used);
    sources.weights.clear();
    sources.buffers.clear();
    output(lower, used, index, reason, &sources, None)
}

/// Returns output `index` as an opaque node. Its weights belong to the node of the `first` output, which it
/// reads.
fn output(
    lower: &mut Lower,
    used: Use<'_>,
    index: usize,
    reason: &str,
    sources: &Sources,
    first: Option<usize>,
) -> Value {
    let known = output_shape(lower, used, index).filter(|dims| {
        cnnkit_core::shape::product(dims).is_some_and(|elements| elements > 0 && elements <= 1 << 48)
    });
    let reason = match (&known, &sources.behind) {
        (_, Some(behind)) => behind.clone(),
        (Some(_), None) => reason.to_owned(),
        (None, None) => format!("{reason}; the shape of its output is not known"),
    };
    let (weights, buffers) = if first.is_some() { (vec![], 0) } else { sources.named() };
    let mut inputs = sources.drafts.clone();
    inputs.extend(first);
    let constant = inputs.is_empty();
    if constant {
        // A node that reads only constants gets its batch size from the first input, like a learned tensor.
        inputs.push(0);
    }
    let dims = known.clone().unwrap_or_else(|| vec![lower.batch, 1]);
    let batch = sources.batch.filter(|&axis| dims.get(axis) == Some(&lower.batch));
    let batch = batch.or((!constant && dims.first() == Some(&lower.batch) && dims.len() > 1).then_some(0));
    let shape = super::context::shape(&dims, batch);
    let sizes = |weight: &Constant| if weight.dims.is_empty() { vec![1] } else { weight.dims.clone() };
    let layer = Layer::Opaque(Opaque {
        operator: used.node.op_type.clone(),
        shape: shape.sizes().to_vec(),
        unknown: known.is_none(),
        constant,
        weights: weights.iter().map(sizes).collect(),
        buffers,
        macs: macs(lower, used).map(|macs| if first.is_none() { macs } else { 0 }),
        reason: reason.clone(),
    });
    let given =
        weights.iter().map(|weight| weight.changed(Change::Reshape(sizes(weight)), sizes(weight))).collect();
    let draft = lower.drafts.len();
    let title = title(used.node);
    lower.drafts.push(Draft {
        place: place(used.node),
        title: title.clone(),
        layer: Some(layer),
        inputs,
        shape,
        weights: given,
        origin: lower.origin.clone(),
    });
    if known.is_some() {
        return Value::Tensor(Tensor { draft, dims, batch });
    }
    if let Some(name) = used.node.output.get(index) {
        lower.unknown.insert(name.clone(), draft);
    }
    Value::Unknown(match &sources.behind {
        Some(behind) => behind.clone(),
        None => format!("it depends on {title}, the shape of whose output is not known"),
    })
}

/// Returns whether all elements are known to be 0.
fn is_zero(constant: &Constant) -> bool {
    constant.values.as_ref().is_some_and(|values| values.floats().iter().all(|&value| value == 0.0))
}

/// The attribute of an operator in [`super::ATEN`], and the metadata of a product in an exported program, with its
/// multiply-accumulates for the whole batch.
pub const MACS: &str = "cnnkit_macs";

/// Returns the multiply-accumulates that the node states, for one image.
fn macs(lower: &Lower, used: Use<'_>) -> Option<u64> {
    let own = used.attribute(MACS).filter(|_| used.node.domain == super::ATEN).and_then(|own| own.i);
    let beside = || {
        let entry = used.node.metadata_props.iter().find(|entry| entry.key == MACS && lower.exact)?;
        entry.value.parse().ok()
    };
    let all = u64::try_from(own.or_else(beside)?).ok()?;
    (all.checked_rem(lower.batch) == Some(0)).then(|| all / lower.batch)
}

/// Returns whether a constant is a stored tensor of floating-point numbers.
fn is_stored_number(constant: &Constant) -> bool {
    constant.root.is_some() && !constant.is_integer()
}

/// Returns whether a constant is a weight: floating-point numbers, or integers of at most 8 bits, which
/// quantise them. Wider integers are indices and sizes.
fn is_weight(lower: &Lower, constant: &Constant) -> bool {
    use crate::onnx::proto::DataType as D;
    let small = matches!(constant.data_type, D::Int8 | D::Uint8 | D::Int4 | D::Uint4 | D::Int2 | D::Uint2);
    (!constant.is_integer() || small)
        && constant.elements().is_ok_and(|count| count > 0)
        && lower.is_learned(constant)
}
