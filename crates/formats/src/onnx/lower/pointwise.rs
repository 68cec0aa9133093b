//! Functions of one number, and softmax.

use super::context::{Flaw, Lower, Outcome, Tensor, Use, Value};
use super::conv::image;
use crate::onnx::constant::Change;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::add::Add;
use cnnkit_core::layers::clip::Clip;
use cnnkit_core::layers::function::{Function, FunctionKind};
use cnnkit_core::layers::hardsigmoid::Hardsigmoid;
use cnnkit_core::layers::interchange::Attributes;
use cnnkit_core::layers::prelu::Prelu;
use cnnkit_core::layers::reduce::{Reduce, Reduction};
use cnnkit_core::layers::relu::Relu;
use cnnkit_core::layers::relu6::Relu6;
use cnnkit_core::layers::rescale::Rescale;
use cnnkit_core::layers::softmax::{Softmax, SoftmaxAxis};
use cnnkit_core::layers::{Layer, of_onnx};

impl Attributes for Use<'_> {
    fn float(&self, name: &str, default: f64) -> f64 {
        Use::float(self, name, default)
    }

    fn text(&self, name: &str) -> Option<&str> {
        Use::text(self, name)
    }
}

/// Lowers an operator that is a function of one number, as the vocabulary lists it.
pub(super) fn function(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let input = lower.tensor(used, 0)?;
    match of_onnx(&used.node.op_type, &used).flatten() {
        Some(layer) => lower.simple(used, layer, &input),
        None => used.unsupported("its settings"),
    }
}

/// Lowers `max(0, min(1, alpha * x + beta))`; with 1/6 and 1/2 it is the usual hard sigmoid.
pub(super) fn hard_sigmoid(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let input = lower.tensor(used, 0)?;
    let (alpha, beta) = (used.float("alpha", 0.2), used.float("beta", 0.5));
    if (alpha - 1.0 / 6.0).abs() < 1e-6 && beta == 0.5 {
        return lower.simple(used, Layer::Hardsigmoid(Hardsigmoid {}), &input);
    }
    let scaled = lower.map(used, Layer::Rescale(Rescale { scale: alpha, shift: beta }), &input, vec![])?;
    lower.simple(used, Layer::Clip(Clip { min: Some(0.0), max: Some(1.0) }), &scaled)
}

pub(super) fn clip(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let input = lower.tensor(used, 0)?;
    let bound = |name: &str, index: usize| {
        if let Some(value) = used.attribute(name).and_then(|attribute| attribute.f) {
            return Ok(Some(super::context::shortest(value)));
        }
        match lower.optional(used, index)? {
            None => Ok(None),
            Some(constant) => match constant.scalar() {
                Some(value) => Ok(Some(super::control::meant(value))),
                None => used.unsupported(format!("bounds of the sizes {:?}", constant.dims)),
            },
        }
    };
    // Versions before 11 write the largest number for a missing bound.
    let no = |value: &f64| value.abs() >= f64::from(f32::MAX);
    let (min, max) = (bound("min", 1)?.filter(|x| !no(x)), bound("max", 2)?.filter(|x| !no(x)));
    match (min, max) {
        (None, None) => Ok(vec![Value::Tensor(input)]),
        (Some(0.0), None) => lower.simple(used, Layer::Relu(Relu {}), &input),
        (Some(0.0), Some(6.0)) => lower.simple(used, Layer::Relu6(Relu6 {}), &input),
        _ => lower.simple(used, Layer::Clip(Clip { min, max }), &input),
    }
}

pub(super) fn prelu(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let input = image(lower, used).or_else(|_| lower.tensor(used, 0))?;
    let slope = lower.constant(used, 1)?;
    let count = slope.elements()?;
    let channels = input.shape().channels();
    let per_channel = slope.dims.iter().filter(|&&size| size != 1).count() <= 1
        && (slope.dims.len() + 1 == input.dims.len() || slope.dims.len() == input.dims.len())
        && input.batch == Some(0)
        && slope.dims.get((slope.dims.len() + 1).saturating_sub(input.dims.len())) == Some(&count);
    if count != 1 && !(per_channel && count == channels) {
        return used.unsupported(format!("slopes of the sizes {:?}", slope.dims));
    }
    let slope = slope.changed(Change::Reshape(vec![count]), vec![count]);
    let layer = Prelu { num_parameters: count, init: 0.25 };
    Ok(vec![Value::Tensor(lower.map(used, Layer::Prelu(layer), &input, vec![slope])?)])
}

/// Returns the softmax layer's axis for axis `axis` of the graph's shape.
pub(super) fn softmax_axis(axis: usize, rank: usize) -> Option<SoftmaxAxis> {
    match axis {
        0 => Some(SoftmaxAxis::Channels),
        last if last + 1 == rank => Some(SoftmaxAxis::Last),
        _ => None,
    }
}

pub(super) fn softmax(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let input = lower.tensor(used, 0)?;
    let rank = input.dims.len();
    let axis = used.axis(used.int("axis", if used.opset < 13 { 1 } else { -1 }), rank)?;
    // Before version 13, all axes from this one on were joined.
    if used.opset < 13 && input.dims[axis + 1..].iter().any(|&size| size != 1) {
        if input.batch.is_some_and(|batch| batch >= axis) {
            return used.unsupported("a softmax over the batch");
        }
        let (before, joined) = input.dims.split_at(axis);
        let size = cnnkit_core::shape::product(joined).ok_or_else(|| Problem::overflow("the joined axis"))?;
        let flat = lower.viewed(used, &input, &[before, &[size]].concat(), input.batch)?;
        let mut output = normalised(lower, used, &flat, axis)?;
        output = lower.viewed(used, &output, &input.dims, input.batch)?;
        return Ok(vec![Value::Tensor(output)]);
    }
    Ok(vec![Value::Tensor(normalised(lower, used, &input, axis)?)])
}

/// Returns the softmax of `input` along one axis, or its logarithm.
fn normalised(lower: &mut Lower, used: Use<'_>, input: &Tensor, axis: usize) -> Result<Tensor, Flaw> {
    let rank = input.shape().rank();
    let Some(place) = input.axis(axis) else { return used.unsupported("a softmax over the batch") };
    let Some(axis) = softmax_axis(place, rank) else {
        // Moves the axis to the end, and back.
        let mut order: Vec<usize> = (0..input.dims.len()).filter(|&other| other != axis).collect();
        order.push(axis);
        let turned = super::shapes::permuted(lower, used, input, &order)?;
        let output = normalised(lower, used, &turned, order.len() - 1)?;
        let mut back = vec![0; order.len()];
        order.iter().enumerate().for_each(|(place, &axis)| back[axis] = place);
        return super::shapes::permuted(lower, used, &output, &back);
    };
    if used.node.op_type == "LogSoftmax" {
        return log_softmax(lower, used, input, place as u64);
    }
    lower.map(used, Layer::Softmax(Softmax { axis }), input, vec![])
}

/// Computes `d - log(sum(exp(d)))` with `d = x - max(x)`: the logarithm of the softmax itself would be log 0
/// where it underflows.
fn log_softmax(lower: &mut Lower, used: Use<'_>, input: &Tensor, axis: u64) -> Result<Tensor, Flaw> {
    let reduce = |reduction| Layer::Reduce(Reduce { reduction, axes: vec![axis], keepdim: true });
    let function = |function| Layer::Function(Function { function });
    let difference = Layer::Add(Add { weights: Some(vec![1.0, -1.0]) });
    let most = lower.map(used, reduce(Reduction::Max), input, vec![])?;
    let below = lower.emit(used, difference.clone(), &[input, &most], vec![], input.batch)?;
    let powers = lower.map(used, function(FunctionKind::Exp), &below, vec![])?;
    let sum = lower.map(used, reduce(Reduction::Sum), &powers, vec![])?;
    let log = lower.map(used, function(FunctionKind::Log), &sum, vec![])?;
    let output = lower.emit(used, difference, &[&below, &log], vec![], input.batch)?;
    Ok(Tensor { dims: input.dims.clone(), ..output })
}
