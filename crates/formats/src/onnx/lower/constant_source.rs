//! Operators whose inputs are all constants and that are not computed at import: the constant becomes a
//! tensor that starts a branch (`learned_tensor`), and the operators after it become layers as usual. So a
//! model's computations on its own weights count like all others, and the weights count with their stored
//! sizes.

use super::context::{Flaw, Lower, Tensor, Use, Value};
use crate::onnx::constant::{Change, Constant};
use crate::onnx::inline::title;
use crate::onnx::proto::NodeProto;
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::learned_tensor::LearnedTensor;

/// Number of operands that may start a branch.
const OPERANDS: usize = 2;

/// Returns the node's outputs if one of its constants is a tensor, or each of the first two; none if it has
/// no layer then either.
pub(super) fn retried(lower: &mut Lower, used: Use<'_>) -> Option<Vec<Value>> {
    let given: Vec<(usize, Constant)> = (0..OPERANDS.min(used.node.input.len()))
        .filter_map(|index| match lower.value(used, index) {
            Ok(Value::Constant(constant)) if starts(constant) => Some((index, constant.clone())),
            _ => None,
        })
        .collect();
    let single = given.iter().map(std::slice::from_ref);
    let both = (given.len() > 1).then_some(given.as_slice());
    single.chain(both).find_map(|some| with(lower, used, some))
}

/// Returns whether a constant can start a branch: weights can, but not indices, and not single numbers, which
/// are settings.
fn starts(constant: &Constant) -> bool {
    !constant.is_integer() && constant.elements().is_ok_and(|elements| elements > 1)
}

/// Returns the node's outputs with these constants as tensors; without outputs, the state is unchanged.
fn with(lower: &mut Lower, used: Use<'_>, constants: &[(usize, Constant)]) -> Option<Vec<Value>> {
    let mark = lower.drafts.len();
    let mut outcome: Result<Vec<Value>, Flaw> = Ok(vec![]);
    for (index, constant) in constants {
        match tensor(lower, used, constant) {
            Ok(tensor) => {
                lower.values.insert(used.node.input[*index].clone(), Value::Tensor(tensor));
            }
            Err(flaw) => outcome = Err(flaw),
        }
    }
    let outcome = outcome.and_then(|_| lower.outcome(used));
    for (index, constant) in constants {
        lower.values.insert(used.node.input[*index].clone(), Value::Constant(constant.clone()));
    }
    if outcome.is_err() {
        lower.drafts.truncate(mark);
    }
    outcome.ok()
}

/// Returns an output of the model that is a constant; none if it has no elements.
pub fn constant_output(lower: &mut Lower, name: &str, constant: &Constant) -> Option<Tensor> {
    let node = NodeProto { op_type: "Constant".into(), name: name.to_owned(), ..NodeProto::default() };
    let used = Use { node: &node, opset: super::context::LATEST };
    tensor(lower, used, constant).ok()
}

/// Returns `constant` as a tensor, equal for all images.
pub(super) fn tensor(lower: &mut Lower, used: Use<'_>, constant: &Constant) -> Result<Tensor, Flaw> {
    let shape = super::context::shape(&constant.dims, None).sizes().to_vec();
    let learned = lower.is_learned(constant);
    let place = super::stored::place_of(lower, used, constant);
    let layer = Layer::LearnedTensor(LearnedTensor { shape: shape.clone(), learned });
    let weight = constant.changed(Change::Reshape(shape.clone()), shape);
    // The network's first input determines its batch size.
    let input = Tensor { draft: 0, dims: vec![], batch: None };
    let made = lower.emit_at(place, title(used.node), layer, &[&input], vec![weight], None)?;
    Ok(Tensor { draft: made.draft, dims: constant.dims.clone(), batch: None })
}
