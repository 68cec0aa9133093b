//! Operators of PyTorch for which ONNX has none, and those that are not followed.

use super::context::{Flaw, Lower, Outcome, Use, Value};
use super::conv::image;
use super::elements::computed;
use crate::onnx::proto::DataType;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::adaptive_avg_pool::AdaptiveAvgPool;
use cnnkit_core::layers::adaptive_max_pool::AdaptiveMaxPool;
use cnnkit_core::layers::axes::OutputSize;
use cnnkit_core::layers::dropout::{Dropout, Mask};
use cnnkit_core::layers::glu::Glu;
use cnnkit_core::layers::opaque::Opaque;
use cnnkit_core::layers::softplus::Softplus;

/// The domain of these operators in a translated program.
pub const ATEN: &str = "org.pytorch.aten";

pub(super) fn outcome(lower: &mut Lower, used: Use<'_>) -> Outcome {
    match used.node.op_type.as_str() {
        "Linear" => super::linear::of_rows(lower, used),
        "AdaptiveAvgPool" => {
            let output_size = output_size(used)?;
            let input = image(lower, used)?;
            lower.simple(used, Layer::AdaptiveAvgPool(AdaptiveAvgPool { output_size }), &input)
        }
        "AdaptiveMaxPool" => {
            let output_size = output_size(used)?;
            let input = image(lower, used)?;
            lower.simple(used, Layer::AdaptiveMaxPool(AdaptiveMaxPool { output_size }), &input)
        }
        "Softplus" => {
            let input = lower.tensor(used, 0)?;
            let layer = Softplus { beta: used.float("beta", 1.0), threshold: used.float("threshold", 20.0) };
            lower.simple(used, Layer::Softplus(layer), &input)
        }
        "Dropout" => {
            lower.remark(super::control::DROPS.into());
            let input = lower.tensor(used, 0)?;
            let mask = match used.int("mask", 0) {
                1 => Mask::Channel,
                2 => Mask::Image,
                _ => Mask::Element,
            };
            lower.simple(used, Layer::Dropout(Dropout { p: used.float("p", 0.5), mask }), &input)
        }
        "Glu" => {
            let input = lower.tensor(used, 0)?;
            if input.batch != Some(0) {
                return used.unsupported("its input does not have the batch as its first axis");
            }
            lower.simple(used, Layer::Glu(Glu {}), &input)
        }
        _ => of_constants(lower, used),
    }
}

/// Products of vectors by which a weight is normalised in every run: PyTorch's counter of FLOPs leaves them out.
const OF_WEIGHTS: &[&str] = &["aten.mv", "aten.dot", "aten.vdot"];

fn output_size(used: Use<'_>) -> Result<OutputSize, Flaw> {
    let sizes = used.ints("output_size").unwrap_or_default();
    let sizes = sizes.iter().map(|&size| u64::try_from(size));
    let sizes: Vec<u64> =
        sizes.collect::<Result<_, _>>().map_err(|_| Problem::shape("an output size below 0"))?;
    Ok(match sizes.first() {
        Some(&first) if sizes.iter().all(|&size| size == first) => OutputSize::all(first),
        _ => OutputSize::list(sizes),
    })
}

/// What is computed from stored tensors alone and multiplies nothing that counts, as a constant of which only the sizes
/// are known: a weight that is normalised in every run.
fn of_constants(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let reason =
        if used.node.doc_string.is_empty() { "no layer for it" } else { used.node.doc_string.as_str() };
    let counted = Opaque { operator: used.node.op_type.clone(), ..Opaque::default() }.may_multiply()
        && !OF_WEIGHTS.contains(&used.node.op_type.as_str());
    let mut constants = used.node.input.iter().map(|name| lower.values.get(name));
    if counted
        || used.node.input.is_empty()
        || !constants.all(|value| matches!(value, Some(Value::Constant(_))))
    {
        return used.unsupported(reason);
    }
    let shape = |index| super::output_shape::output_shape(lower, used, index);
    let shapes: Option<Vec<Vec<u64>>> = (0..used.outputs()).map(shape).collect();
    match shapes {
        Some(shapes) => {
            let constant = |dims| Value::Constant(computed(dims, DataType::Float));
            Ok(shapes.into_iter().map(constant).collect())
        }
        None => used.unsupported(reason),
    }
}
