//! Functions of one number: their values, slopes and bounds. Executors, analyses and rules all read
//! activations from here.

pub use super::values::{NOT_NEGATIVE, UNBOUNDED};

use super::values::Values;

/// A function of one number that a layer applies to every element, and facts about it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pointwise {
    /// The function itself.
    pub activation: Activation,
    /// Least and largest value that it takes.
    pub range: [f64; 2],
    /// Closed interval of inputs that it returns unchanged.
    pub fixed: Option<[f64; 2]>,
    /// Whether it is an activation by itself. Arithmetic with a constant and single functions such as `exp`
    /// are not: networks build formulas from them (a bounded scale, a norm in its parts).
    pub nonlinearity: bool,
    /// How often ptflops counts each element: once for a module that it has a counter for, twice if it wraps
    /// the function too.
    pub ptflops: u64,
    /// What PyTorch keeps of it for the backward pass.
    pub kept: KeptByActivation,
}

/// What PyTorch keeps of a function of one number for the backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptByActivation {
    /// Its input. In place, a copy of it, which takes as much.
    Input,
    /// Its output.
    Output,
    /// Its output if it overwrites its input, as the usual networks have it; else its input.
    OutputInPlace,
    /// Nothing: its slope is constant.
    Nothing,
}

impl Pointwise {
    /// Returns a nonlinearity without known bounds, which ptflops does not count and whose input is kept.
    pub const fn new(activation: Activation) -> Self {
        Self {
            activation,
            range: UNBOUNDED,
            fixed: None,
            nonlinearity: true,
            ptflops: 0,
            kept: KeptByActivation::Input,
        }
    }

    /// Returns what it does to values.
    pub fn values(&self) -> Values {
        let zero = self.activation.value(0.0) == 0.0;
        Values::Mapped { zero, range: self.range, fixed: self.fixed }
    }
}

/// A function of one number, in the forms that executors have kernels for.
///
/// All forms but [`RealFunction`] are exact in every number type; a [`RealFunction`] is evaluated in f64.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// `max(x, 0)`.
    Ramp,
    /// `min(max(x, 0), limit)`.
    BoundedRamp(f64),
    /// `x` above 0, else this slope times `x`.
    Kinked(f64),
    /// `x * x`.
    Square,
    /// `scale * x + shift`.
    Affine {
        /// Factor.
        scale: f64,
        /// Summand, added after the multiplication.
        shift: f64,
    },
    /// Limited to this range: least value, largest value.
    Clamp(f64, f64),
    /// `x` above 0, else `height * (e^(x / width) - 1)`.
    Exponential {
        /// Minus the limit for `x` far below 0.
        height: f64,
        /// Divisor of x.
        width: f64,
        /// The slope just below 0: height / width.
        slope: f64,
    },
    /// Any other function, with its parameters.
    Real(&'static RealFunction, [f64; 2]),
}

/// A function of one number with up to two parameters.
#[derive(Debug)]
pub struct RealFunction {
    /// Computes its value, given the parameters and x.
    pub value: fn(&[f64; 2], f64) -> f64,
    /// Computes its slope; at a kink, the slope that PyTorch takes.
    pub slope: fn(&[f64; 2], f64) -> f64,
}

/// Every function lives in one `static`, so two are equal if their addresses are.
impl PartialEq for RealFunction {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Activation {
    /// Returns a function without parameters.
    pub const fn real(function: &'static RealFunction) -> Self {
        Self::Real(function, [0.0; 2])
    }

    /// Computes its value.
    pub fn value(self, x: f64) -> f64 {
        match self {
            Self::Ramp | Self::BoundedRamp(_) if x <= 0.0 => 0.0,
            Self::BoundedRamp(limit) if x >= limit => limit,
            Self::Ramp | Self::BoundedRamp(_) => x,
            Self::Kinked(slope) => {
                if x < 0.0 {
                    slope * x
                } else {
                    x
                }
            }
            Self::Square => x * x,
            Self::Affine { scale, shift: 0.0 } => scale * x,
            Self::Affine { scale: 1.0, shift } => x + shift,
            Self::Affine { scale, shift } => scale * x + shift,
            // NaN stays NaN.
            Self::Clamp(min, max) => {
                if x.is_nan() {
                    x
                } else {
                    x.max(min).min(max)
                }
            }
            Self::Exponential { .. } if x > 0.0 => x,
            Self::Exponential { height, width, .. } => height * libm::expm1(x / width),
            Self::Real(function, parameters) => (function.value)(&parameters, x),
        }
    }

    /// Computes its slope; at a kink, the slope that PyTorch takes.
    pub fn slope(self, x: f64) -> f64 {
        match self {
            Self::Ramp => step(x > 0.0),
            Self::BoundedRamp(limit) => step(x > 0.0 && x < limit),
            Self::Kinked(slope) => {
                if x > 0.0 {
                    1.0
                } else {
                    slope
                }
            }
            Self::Square => 2.0 * x,
            Self::Affine { scale, .. } => scale,
            Self::Clamp(min, max) => step(x >= min && x <= max),
            Self::Exponential { .. } if x > 0.0 => 1.0,
            Self::Exponential { width, slope, .. } => slope * libm::exp(x / width),
            Self::Real(function, parameters) => (function.slope)(&parameters, x),
        }
    }
}

/// Returns 1 if the condition is true, else 0.
pub(super) fn step(condition: bool) -> f64 {
    f64::from(u8::from(condition))
}

/// Computes `1 / (1 + e^-x)`.
pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

/// Computes `ln(1 + e^x)` without overflow.
pub(super) fn softplus(x: f64) -> f64 {
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}
