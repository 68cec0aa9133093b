//! Functions of one number: their values, slopes and bounds. What an activation is, for whoever runs or judges it.

pub use super::values::{NOT_NEGATIVE, UNBOUNDED};

use super::values::Values;

/// A function of one number that a layer applies to every element, and facts about it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pointwise {
    /// The function.
    pub activation: Activation,
    /// Bounds of its values, the least and the largest.
    pub range: [f64; 2],
    /// Inputs that it returns unchanged: an interval with its ends.
    pub fixed: Option<[f64; 2]>,
    /// Whether it is an activation by itself. Arithmetic with a number and single functions are not: formulas are
    /// written with them (a bounded scale, a norm in its parts).
    pub nonlinearity: bool,
    /// How often ptflops counts each element: modules that it knows once, those whose function it wraps too twice.
    pub ptflops: u64,
}

impl Pointwise {
    /// A nonlinearity of which nothing more is known, and which ptflops does not count.
    pub const fn new(activation: Activation) -> Self {
        Self { activation, range: UNBOUNDED, fixed: None, nonlinearity: true, ptflops: 0 }
    }

    /// What it does to values.
    pub fn values(&self) -> Values {
        let zero = self.activation.value(0.0) == 0.0;
        Values::Mapped { zero, range: self.range, fixed: self.fixed }
    }
}

/// A function of one number, in the forms that executors have arithmetic for.
///
/// The first ones are exact in every number type; a [`RealFunction`] is evaluated in f64.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// `max(x, 0)`.
    Ramp,
    /// `min(max(x, 0), limit)`.
    BoundedRamp(f64),
    /// `x`, or this times `x` below 0.
    Kinked(f64),
    /// `x * x`.
    Square,
    /// `scale * x + shift`.
    Affine {
        /// Factor.
        scale: f64,
        /// Added after it.
        shift: f64,
    },
    /// Limited to this range.
    Clamp(f64, f64),
    /// `x` above 0, else `height * (e^(x / width) - 1)`.
    Exponential {
        /// Minus the limit far below 0.
        height: f64,
        /// What x is divided by.
        width: f64,
        /// The slope just below 0: height / width.
        slope: f64,
    },
    /// Any other, with its parameters.
    Real(&'static RealFunction, [f64; 2]),
}

/// A function of one number with up to two parameters.
#[derive(Debug)]
pub struct RealFunction {
    /// Its value, given the parameters and x.
    pub value: fn(&[f64; 2], f64) -> f64,
    /// Its slope; at a kink the one that PyTorch takes.
    pub slope: fn(&[f64; 2], f64) -> f64,
}

/// Each stands in one `static`; two are equal if they are the same one.
impl PartialEq for RealFunction {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Activation {
    /// A function without parameters.
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
            // What is not a number stays it.
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

    /// Computes its slope; at a kink the one that PyTorch takes.
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

/// 1 where it holds, else 0.
pub(super) fn step(condition: bool) -> f64 {
    f64::from(u8::from(condition))
}

/// `1 / (1 + e^-x)`.
pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

/// `ln(1 + e^x)` without overflow.
pub(super) fn softplus(x: f64) -> f64 {
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}
