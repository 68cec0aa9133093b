//! Number types that a network runs in: f32, f64, and exact integers for counting.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// A number type in which a network can run.
///
/// [`Scalar::map`] evaluates functions that are not arithmetic in f64 with the `libm` crate, not the system's
/// library, so that results are the same on every machine.
pub trait Scalar:
    Copy
    + Debug
    + Default
    + PartialEq
    + PartialOrd
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;

    /// Returns the nearest value; an exact type that cannot represent it returns its failure mark.
    fn from_f64(value: f64) -> Self;

    /// Returns the value as an f64, for reports and comparisons.
    fn to_f64(self) -> f64;

    /// Applies a real function; an exact type cannot and returns its failure mark.
    fn map(self, function: impl Fn(f64) -> f64) -> Self;

    /// Returns whether it is NaN or a failure: such a value wins every maximum, so that it reaches the
    /// output.
    fn is_nan(self) -> bool;

    /// Returns why it is not a number, for exact types.
    fn failure(self) -> Option<&'static str> {
        None
    }
}

impl Scalar for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    fn from_f64(value: f64) -> Self {
        value
    }

    fn to_f64(self) -> f64 {
        self
    }

    fn map(self, function: impl Fn(f64) -> f64) -> Self {
        function(self)
    }

    fn is_nan(self) -> bool {
        self.is_nan()
    }
}

impl Scalar for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    #[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest is what is meant")]
    fn from_f64(value: f64) -> Self {
        value as Self
    }

    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    fn map(self, function: impl Fn(f64) -> f64) -> Self {
        Self::from_f64(function(f64::from(self)))
    }

    fn is_nan(self) -> bool {
        self.is_nan()
    }
}

/// An exact integer, for counting paths with unit weights. It never wraps and never rounds: a result that
/// exceeds 128 bits or is not an integer becomes a mark, which propagates to everything computed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exact {
    /// A number.
    Value(i128),
    /// A result that exceeded 128 bits.
    Overflow,
    /// A result that is not an integer, or a function without an exact value.
    Inexact,
}

impl Default for Exact {
    fn default() -> Self {
        Self::ZERO
    }
}

impl Exact {
    /// Returns the number, if it is one.
    pub fn value(self) -> Option<i128> {
        match self {
            Self::Value(value) => Some(value),
            Self::Overflow | Self::Inexact => None,
        }
    }

    fn join(self, other: Self, operation: impl FnOnce(i128, i128) -> Self) -> Self {
        match (self, other) {
            (Self::Value(a), Self::Value(b)) => operation(a, b),
            (Self::Overflow, _) | (_, Self::Overflow) => Self::Overflow,
            _ => Self::Inexact,
        }
    }
}

fn checked(value: Option<i128>) -> Exact {
    value.map_or(Exact::Overflow, Exact::Value)
}

impl Add for Exact {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.join(other, |a, b| checked(a.checked_add(b)))
    }
}

impl Sub for Exact {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.join(other, |a, b| checked(a.checked_sub(b)))
    }
}

impl Mul for Exact {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        self.join(other, |a, b| checked(a.checked_mul(b)))
    }
}

impl Div for Exact {
    type Output = Self;

    fn div(self, other: Self) -> Self {
        self.join(other, |a, b| match a.checked_rem(b) {
            Some(0) => checked(a.checked_div(b)),
            _ => Self::Inexact,
        })
    }
}

impl Neg for Exact {
    type Output = Self;

    fn neg(self) -> Self {
        Self::ZERO - self
    }
}

impl AddAssign for Exact {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Scalar for Exact {
    const ZERO: Self = Self::Value(0);
    const ONE: Self = Self::Value(1);

    #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53, checked in the condition")]
    fn from_f64(value: f64) -> Self {
        // Above 2^53 an f64 cannot represent every integer.
        if value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0 {
            Self::Value(value as i128)
        } else {
            Self::Inexact
        }
    }

    fn to_f64(self) -> f64 {
        self.value().map_or(f64::NAN, |value| value as f64)
    }

    fn map(self, _: impl Fn(f64) -> f64) -> Self {
        Self::Inexact
    }

    fn is_nan(self) -> bool {
        self.value().is_none()
    }

    fn failure(self) -> Option<&'static str> {
        match self {
            Self::Value(_) => None,
            Self::Overflow => Some("the result does not fit into 128 bits"),
            Self::Inexact => Some("the result is not a whole number"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_numbers_never_round_and_never_wrap() {
        let two = Exact::Value(2);
        assert_eq!(Exact::Value(6) / two, Exact::Value(3));
        assert_eq!(Exact::Value(7) / two, Exact::Inexact);
        assert_eq!(Exact::Value(7) / Exact::ZERO, Exact::Inexact);
        assert_eq!(Exact::Value(i128::MAX) + Exact::ONE, Exact::Overflow);
        assert_eq!(Exact::Inexact * Exact::ZERO, Exact::Inexact);
        assert_eq!(Exact::from_f64(0.5), Exact::Inexact);
        assert_eq!(Exact::from_f64(-3.0), Exact::Value(-3));
        assert_eq!(Exact::Value(i128::MIN) / Exact::Value(-1), Exact::Inexact);
    }
}
