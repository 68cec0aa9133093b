//! Functions of one number in any number type, with their gradients.

use crate::scalar::Scalar;
use crate::tensor::Tensor;
use cnnkit_core::layers::activation::Activation;

/// Computes its value; for the exact forms also in exact integers.
pub fn apply<S: Scalar>(activation: Activation, x: S) -> S {
    match activation {
        Activation::Ramp | Activation::BoundedRamp(_) if x <= S::ZERO => S::ZERO,
        Activation::BoundedRamp(limit) if x >= S::from_f64(limit) && !x.is_nan() => S::from_f64(limit),
        Activation::Ramp | Activation::BoundedRamp(_) => x,
        Activation::Kinked(slope) if x < S::ZERO => S::from_f64(slope) * x,
        Activation::Kinked(_) => x,
        Activation::Square => x * x,
        Activation::Affine { scale, shift: 0.0 } => S::from_f64(scale) * x,
        Activation::Affine { scale: 1.0, shift } => x + S::from_f64(shift),
        Activation::Affine { scale, shift } => S::from_f64(scale) * x + S::from_f64(shift),
        Activation::Clamp(..) | Activation::Exponential { .. } | Activation::Real(..) => {
            x.map(|x| activation.value(x))
        }
    }
}

pub(super) fn forward<S: Scalar>(activation: Activation, input: &Tensor<S>) -> Tensor<S> {
    Tensor::from_fn(input.sizes(), |flat| apply(activation, input.data()[flat]))
}

pub(super) fn backward<S: Scalar>(
    activation: Activation,
    input: &Tensor<S>,
    vector: &Tensor<S>,
) -> Tensor<S> {
    Tensor::from_fn(input.sizes(), |flat| {
        vector.data()[flat] * S::from_f64(activation.slope(input.data()[flat].to_f64()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cnnkit_core::layers::PointwiseKind as _;
    use cnnkit_core::layers::function::{Function, FunctionKind};

    #[test]
    fn functions_that_are_not_defined_everywhere_have_their_slopes() {
        for function in [FunctionKind::Log, FunctionKind::Sqrt, FunctionKind::Reciprocal] {
            let curve = Function { function }.pointwise().activation;
            for x in [0.3, 1.0, 2.5] {
                let difference = (apply(curve, x + 1e-5) - apply(curve, x - 1e-5)) / 2e-5;
                assert!((curve.slope(x) - difference).abs() < 1e-7, "{function:?} at {x}");
            }
        }
    }
}
