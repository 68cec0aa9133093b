//! Layers built from arguments and run on tensors.

use std::sync::Arc;

use super::Fact;
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::layers::conv::Conv;
use cnnkit_core::layers::{Io, Layer, Weight};
use cnnkit_core::shape::Shape;
use cnnkit_exec::reference::{self, Call, Counter};
use cnnkit_exec::scalar::Scalar;
use cnnkit_exec::tensor::Tensor;

/// Returns a conv from arguments as in a spec.
pub(super) fn conv(args: serde_json::Value) -> Result<Layer, Problem> {
    layer::<Conv>(args).map(Layer::Conv)
}

/// Returns a layer from arguments as in a spec.
pub(super) fn layer<T: serde::de::DeserializeOwned>(args: serde_json::Value) -> Result<T, Problem> {
    serde_json::from_value(args).map_err(|error| Problem::new(Code::InvalidValue, error.to_string()))
}

/// Returns the weights that `layer` declares on `inputs`.
pub(super) fn declared<S: Scalar>(
    layer: &Layer,
    inputs: &[&Tensor<S>],
) -> Result<(Shape, Vec<Weight>), Problem> {
    let shapes: Vec<Shape> = inputs.iter().map(|input| input.shape()).collect();
    let output = layer.infer(&shapes)?;
    let weights = layer.weights(Io { inputs: &shapes, output: &output })?;
    Ok((output, weights))
}

/// Runs `layer` on `inputs` with the given weights, in the order in which it declares them.
pub(super) fn run<S: Scalar>(
    layer: &Layer,
    inputs: &[&Tensor<S>],
    weights: &[Tensor<S>],
) -> Result<Tensor<S>, Problem> {
    let (_, declared) = declared(layer, inputs)?;
    let weights: Vec<Arc<Tensor<S>>> = weights.iter().cloned().map(Arc::new).collect();
    reference::forward(
        layer,
        Call { inputs, declared: &declared, weights: &weights },
        &mut Counter::default(),
    )
}

/// Returns the largest difference relative to the largest value; infinity for tensors of different sizes.
pub(super) fn difference(a: &Tensor<f64>, b: &Tensor<f64>) -> f64 {
    if a.sizes() != b.sizes() {
        return f64::INFINITY;
    }
    let scale = a.data().iter().fold(f64::MIN_POSITIVE, |most, x| most.max(x.abs()));
    a.data().iter().zip(b.data()).fold(0.0, |most: f64, (x, y)| most.max((x - y).abs())) / scale
}

/// Bound for sums of a few hundred products in f64 in two different orders.
const ROUNDING: f64 = 1e-13;

/// Compares `a` and `b` up to rounding.
pub(super) fn same(what: &str, a: &Tensor<f64>, b: &Tensor<f64>) -> Fact {
    let found = difference(a, b);
    Fact {
        what: what.into(),
        expected: format!("equal within {ROUNDING:e}"),
        found: if found > 0.0 {
            format!("largest relative difference {found:.1e}")
        } else {
            "exactly equal".to_owned()
        },
        ok: found <= ROUNDING,
    }
}

/// Compares a figure with its expected value.
pub(super) fn figure(what: &str, expected: impl ToString, found: impl ToString) -> Fact {
    let (expected, found) = (expected.to_string(), found.to_string());
    Fact { what: what.into(), ok: expected == found, expected, found }
}

/// Returns a kernel whose values are a function of their indices.
pub(super) fn kernel(sizes: [usize; 4], value: impl Fn([usize; 4]) -> f64) -> Tensor<f64> {
    let [_, c, h, w] = sizes;
    Tensor::from_fn(&sizes, |flat| value([flat / (c * h * w), flat / (h * w) % c, flat / w % h, flat % w]))
}

/// Returns the element of a rank-4 tensor.
pub(super) fn at(tensor: &Tensor<f64>, [o, c, y, x]: [usize; 4]) -> f64 {
    let sizes = tensor.sizes();
    tensor.data()[((o * sizes[1] + c) * sizes[2] + y) * sizes[3] + x]
}
