//! Activations: functions of one number, with their slopes.

use crate::scalar::Scalar;
use crate::tensor::Tensor;
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::function::FunctionKind;
use cnnkit_core::layers::gelu::Approximation;
use cnnkit_core::layers::squeeze_excite::{Gate, SqueezeActivation};

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x`, or this times `x` below 0.
    Leaky(f64),
    /// `x`, or `a (e^x - 1)` below 0.
    Elu(f64),
    /// The scaled ELU.
    Selu,
    /// `x`, or `a (e^(x / a) - 1)` below 0.
    Celu(f64),
    /// `x P(X <= x)` for a standard normal X.
    Gelu,
    /// Its approximation with a tanh.
    GeluTanh,
    /// `x / (1 + e^-x)`.
    Silu,
    /// `x tanh(ln(1 + e^x))`.
    Mish,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// `min(max(x + 3, 0), 6) / 6`.
    Hardsigmoid,
    /// `x` times that.
    Hardswish,
    /// `tanh x`.
    Tanh,
    /// `ln(1 + e^(b x)) / b`, and `x` where `b x` is above the threshold.
    Softplus {
        /// `b`.
        beta: f64,
        /// Where it becomes straight.
        threshold: f64,
    },
    /// Limited to this range.
    Clip(f64, f64),
    /// A fixed power.
    Power(f64),
    /// This times `x`, plus that.
    Straight(f64, f64),
    /// One of the named functions.
    Named(FunctionKind),
}

const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

/// `P(X <= x)`, by the complementary error function, which keeps its digits for large negative x.
fn normal(x: f64) -> f64 {
    0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

/// Argument of the tanh in GELU's approximation, and its slope.
fn gelu_argument(x: f64) -> (f64, f64) {
    let scale = std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;
    (scale * (x + 0.044_715 * x * x * x), scale * (1.0 + 3.0 * 0.044_715 * x * x))
}

/// `ln(1 + e^x)` without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}

fn named(function: FunctionKind, x: f64) -> f64 {
    match function {
        FunctionKind::Abs => x.abs(),
        FunctionKind::Cos => libm::cos(x),
        FunctionKind::Erf => libm::erf(x),
        FunctionKind::Exp => libm::exp(x),
        FunctionKind::Log => libm::log(x),
        FunctionKind::Reciprocal => 1.0 / x,
        FunctionKind::Sin => libm::sin(x),
        FunctionKind::Sqrt => x.sqrt(),
    }
}

fn named_slope(function: FunctionKind, x: f64) -> f64 {
    match function {
        FunctionKind::Abs if x == 0.0 => 0.0,
        FunctionKind::Abs => x.signum(),
        FunctionKind::Cos => -libm::sin(x),
        FunctionKind::Erf => std::f64::consts::FRAC_2_SQRT_PI * libm::exp(-x * x),
        FunctionKind::Exp => libm::exp(x),
        FunctionKind::Log => 1.0 / x,
        FunctionKind::Reciprocal => -1.0 / (x * x),
        FunctionKind::Sin => libm::cos(x),
        FunctionKind::Sqrt => 0.5 / x.sqrt(),
    }
}

impl Activation {
    /// The activation that `layer` is, if it is one of a single number and without weights.
    pub fn of(layer: &Layer) -> Option<Self> {
        Some(match layer {
            Layer::Relu(_) => Self::Relu,
            Layer::Relu6(_) => Self::Relu6,
            Layer::LeakyRelu(layer) => Self::Leaky(layer.negative_slope),
            Layer::Elu(layer) => Self::Elu(layer.alpha),
            Layer::Selu(_) => Self::Selu,
            Layer::Celu(layer) => Self::Celu(layer.alpha),
            Layer::Gelu(layer) if layer.approximate == Approximation::Tanh => Self::GeluTanh,
            Layer::Gelu(_) => Self::Gelu,
            Layer::Silu(_) => Self::Silu,
            Layer::Mish(_) => Self::Mish,
            Layer::Sigmoid(_) => Self::Sigmoid,
            Layer::Hardsigmoid(_) => Self::Hardsigmoid,
            Layer::Hardswish(_) => Self::Hardswish,
            Layer::Tanh(_) => Self::Tanh,
            Layer::Softplus(layer) => Self::Softplus { beta: layer.beta, threshold: layer.threshold },
            Layer::Clip(layer) => {
                Self::Clip(layer.min.unwrap_or(f64::NEG_INFINITY), layer.max.unwrap_or(f64::INFINITY))
            }
            Layer::Power(layer) => Self::Power(layer.exponent),
            Layer::Rescale(layer) => Self::Straight(layer.scale, layer.shift),
            Layer::Function(layer) => Self::Named(layer.function),
            _ => return None,
        })
    }

    pub(crate) fn of_squeeze(activation: SqueezeActivation) -> Self {
        match activation {
            SqueezeActivation::Relu => Self::Relu,
            SqueezeActivation::Silu => Self::Silu,
            SqueezeActivation::Elu => Self::Elu(1.0),
            SqueezeActivation::Gelu => Self::Gelu,
            SqueezeActivation::Hardswish => Self::Hardswish,
        }
    }

    pub(crate) fn of_gate(gate: Gate) -> Self {
        match gate {
            Gate::Sigmoid => Self::Sigmoid,
            Gate::Hardsigmoid => Self::Hardsigmoid,
        }
    }

    /// Its value; the straight ones also for exact integers.
    pub fn apply<S: Scalar>(self, x: S) -> S {
        match self {
            Self::Relu if x <= S::ZERO => S::ZERO,
            Self::Relu => x,
            Self::Relu6 if x <= S::ZERO => S::ZERO,
            Self::Relu6 if x >= S::from_f64(6.0) && !x.is_nan() => S::from_f64(6.0),
            Self::Relu6 => x,
            Self::Leaky(slope) if x < S::ZERO => S::from_f64(slope) * x,
            Self::Leaky(_) => x,
            Self::Power(2.0) => x * x,
            Self::Straight(scale, 0.0) => S::from_f64(scale) * x,
            Self::Straight(1.0, shift) => x + S::from_f64(shift),
            Self::Straight(scale, shift) => S::from_f64(scale) * x + S::from_f64(shift),
            curve => x.map(|x| curve.value(x)),
        }
    }

    fn value(self, x: f64) -> f64 {
        match self {
            Self::Relu | Self::Relu6 | Self::Leaky(_) | Self::Straight(..) => self.apply(x),
            Self::Elu(_) | Self::Selu | Self::Celu(_) if x > 0.0 => {
                if self == Self::Selu {
                    SELU_SCALE * x
                } else {
                    x
                }
            }
            Self::Elu(alpha) => alpha * libm::expm1(x),
            Self::Selu => SELU_SCALE * SELU_ALPHA * libm::expm1(x),
            Self::Celu(alpha) => alpha * libm::expm1(x / alpha),
            Self::Gelu => x * normal(x),
            Self::GeluTanh => 0.5 * x * (1.0 + libm::tanh(gelu_argument(x).0)),
            Self::Silu => x * sigmoid(x),
            Self::Mish => x * libm::tanh(softplus(x)),
            Self::Sigmoid => sigmoid(x),
            Self::Hardsigmoid => (x + 3.0).clamp(0.0, 6.0) / 6.0,
            Self::Hardswish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
            Self::Tanh => libm::tanh(x),
            Self::Softplus { beta, threshold } if beta * x > threshold => x,
            Self::Softplus { beta, .. } => softplus(beta * x) / beta,
            // What is not a number stays it.
            Self::Clip(min, max) => {
                if x.is_nan() {
                    x
                } else {
                    x.max(min).min(max)
                }
            }
            Self::Power(exponent) => libm::pow(x, exponent),
            Self::Named(function) => named(function, x),
        }
    }

    /// Its slope; at a kink the one that PyTorch takes.
    pub fn slope(self, x: f64) -> f64 {
        let step = |condition: bool| f64::from(u8::from(condition));
        match self {
            Self::Relu => step(x > 0.0),
            Self::Relu6 => step(x > 0.0 && x < 6.0),
            Self::Leaky(slope) => {
                if x > 0.0 {
                    1.0
                } else {
                    slope
                }
            }
            Self::Elu(_) | Self::Celu(_) if x > 0.0 => 1.0,
            Self::Selu if x > 0.0 => SELU_SCALE,
            Self::Elu(alpha) => alpha * libm::exp(x),
            Self::Selu => SELU_SCALE * SELU_ALPHA * libm::exp(x),
            Self::Celu(alpha) => libm::exp(x / alpha),
            Self::Gelu => {
                let density = libm::exp(-0.5 * x * x) / (2.0 * std::f64::consts::PI).sqrt();
                normal(x) + x * density
            }
            Self::GeluTanh => {
                let (argument, slope) = gelu_argument(x);
                let tanh = libm::tanh(argument);
                0.5 * (1.0 + tanh) + 0.5 * x * (1.0 - tanh * tanh) * slope
            }
            Self::Silu => sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x))),
            Self::Mish => {
                let tanh = libm::tanh(softplus(x));
                tanh + x * (1.0 - tanh * tanh) * sigmoid(x)
            }
            Self::Sigmoid => sigmoid(x) * (1.0 - sigmoid(x)),
            Self::Hardsigmoid => step(x > -3.0 && x < 3.0) / 6.0,
            Self::Hardswish if x <= -3.0 => 0.0,
            Self::Hardswish if x < 3.0 => x / 3.0 + 0.5,
            Self::Hardswish => 1.0,
            Self::Tanh => 1.0 - libm::tanh(x) * libm::tanh(x),
            Self::Softplus { beta, threshold } if beta * x > threshold => 1.0,
            Self::Softplus { beta, .. } => sigmoid(beta * x),
            Self::Clip(min, max) => step(x >= min && x <= max),
            Self::Power(exponent) => exponent * libm::pow(x, exponent - 1.0),
            Self::Straight(scale, _) => scale,
            Self::Named(function) => named_slope(function, x),
        }
    }

    pub(super) fn forward<S: Scalar>(self, input: &Tensor<S>) -> Tensor<S> {
        Tensor::from_fn(input.sizes(), |flat| self.apply(input.data()[flat]))
    }

    pub(super) fn backward<S: Scalar>(self, input: &Tensor<S>, vector: &Tensor<S>) -> Tensor<S> {
        Tensor::from_fn(input.sizes(), |flat| {
            vector.data()[flat] * S::from_f64(self.slope(input.data()[flat].to_f64()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_that_are_not_defined_everywhere_have_their_slopes() {
        for function in [FunctionKind::Log, FunctionKind::Sqrt, FunctionKind::Reciprocal] {
            let curve = Activation::Named(function);
            for x in [0.3, 1.0, 2.5] {
                let difference = (curve.apply(x + 1e-5) - curve.apply(x - 1e-5)) / 2e-5;
                assert!((curve.slope(x) - difference).abs() < 1e-7, "{function:?} at {x}");
            }
        }
    }
}
