//! An f64 number with a bound on the rounding error that f32 can cause in it, in any order of summation.
//!
//! A sum of n terms in f32, added in any order and with or without fused multiply-adds, has an error of at most n u /
//! (1 - n u) times the sum of the terms' absolute values, u = 2^-24 (Higham 2002, "Accuracy and Stability of
//! Numerical Algorithms", sections 3.1 and 4.2). A number therefore tracks the number of terms of its current sum and
//! the sum of their absolute values; the sum ends where the number enters a product, a quotient or a function. Run in
//! this type, the reference of a layer gives the largest possible difference between any kernel for it and the
//! reference in f64.
//!
//! Not bounded: a maximum of inexact numbers takes the bound of the largest, and a comparison with 0 counts as exact.
//! Both occur inside one layer only (the excitation of squeeze-and-excitation).

use std::cmp::Ordering;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

use cnnkit_exec::fast::{FUNCTION_ERROR, FUNCTION_FLUSHED};
use cnnkit_exec::scalar::Scalar;

/// Unit roundoff of f32.
pub(super) const U: f64 = 1.0 / 16_777_216.0;

/// Roundings in addition to those of a sum: a scale folded into weights, a bias, a conversion.
const SPARE: f64 = 4.0;

/// A value, its current sum, and the error of that sum's terms.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rounded {
    /// The value in f64.
    pub value: f64,
    /// Sum of the absolute values of the current sum's terms.
    size: f64,
    /// Number of terms of the current sum; 0 for a number that f32 represents exactly.
    terms: f64,
    /// Error of the terms themselves.
    inherited: f64,
}

impl Rounded {
    /// Returns a number that f32 represents exactly.
    pub fn exact(value: f64) -> Self {
        Self { value, size: value.abs(), terms: 0.0, inherited: 0.0 }
    }

    /// Returns the error bound in f32; infinite where f32 may overflow.
    pub fn error(self) -> f64 {
        if self.size > f64::from(f32::MAX) {
            return f64::INFINITY;
        }
        if self.terms == 0.0 {
            return self.inherited;
        }
        let n = (self.terms + SPARE) * U;
        self.inherited + n / (1.0 - n).max(f64::MIN_POSITIVE) * self.size
    }

    /// Returns a number rounded once, whose error before that rounding is `inherited`.
    fn one(value: f64, inherited: f64) -> Self {
        Self { value, size: value.abs(), terms: 1.0, inherited }
    }

    fn joined(self, other: Self, value: f64) -> Self {
        Self {
            value,
            size: self.size + other.size,
            terms: self.terms.max(1.0) + other.terms.max(1.0),
            inherited: self.inherited + other.inherited,
        }
    }
}

impl Add for Rounded {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        // Adding to an exact 0 does not round: every sum starts at 0.
        match (self.size == 0.0 && self.inherited == 0.0, other.size == 0.0 && other.inherited == 0.0) {
            (true, _) => other,
            (_, true) => self,
            _ => self.joined(other, self.value + other.value),
        }
    }
}

impl Sub for Rounded {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for Rounded {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let (a, b) = (self.error(), other.error());
        let value = self.value * other.value;
        Self::one(value, self.value.abs() * b + other.value.abs() * a + a * b)
    }
}

impl Div for Rounded {
    type Output = Self;

    fn div(self, other: Self) -> Self {
        let (a, b) = (self.error(), other.error());
        let value = self.value / other.value;
        Self::one(value, (a + value.abs() * b) / (other.value.abs() - b).max(f64::MIN_POSITIVE))
    }
}

impl Neg for Rounded {
    type Output = Self;

    fn neg(self) -> Self {
        Self { value: -self.value, ..self }
    }
}

impl AddAssign for Rounded {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl PartialEq for Rounded {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl PartialOrd for Rounded {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.value.partial_cmp(&other.value)
    }
}

impl Scalar for Rounded {
    const ZERO: Self = Self { value: 0.0, size: 0.0, terms: 0.0, inherited: 0.0 };
    const ONE: Self = Self { value: 1.0, size: 1.0, terms: 0.0, inherited: 0.0 };

    /// Returns a constant of a layer, for which f32 uses the nearest number.
    fn from_f64(value: f64) -> Self {
        let nearest = f64::from(<f32 as Scalar>::from_f64(value));
        Self { inherited: (value - nearest).abs(), ..Self::exact(value) }
    }

    fn to_f64(self) -> f64 {
        self.value
    }

    /// Bounds the error of a function by its largest change at the ends of the argument's error interval (so
    /// narrow that there is no relevant extremum inside), plus the error with which the fast kernels evaluate
    /// functions.
    fn map(self, function: impl Fn(f64) -> f64) -> Self {
        let (value, error) = (function(self.value), self.error());
        let moved = if error == 0.0 {
            0.0
        } else {
            let ends = [self.value + error, self.value - error];
            ends.map(|end| (function(end) - value).abs()).into_iter().fold(0.0, f64::max)
        };
        Self::one(value, 1.01 * moved + FUNCTION_ERROR * value.abs() + FUNCTION_FLUSHED)
    }

    fn is_nan(self) -> bool {
        self.value.is_nan()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that the worst summation order in f32 stays within the bound, and that the bound is not loose.
    #[test]
    fn the_bound_holds_and_is_of_the_right_size() {
        let numbers: Vec<f32> = (0..1000u16).map(|i| (f32::from(i * 37 % 101) - 50.0) / 7.0).collect();
        let exact: f64 = numbers.iter().map(|&x| f64::from(x) * f64::from(x + 1.0)).sum();
        let single = numbers.iter().fold(0.0f32, |sum, &x| sum + x * (x + 1.0));
        let mut sum = Rounded::ZERO;
        for &x in &numbers {
            sum += Rounded::exact(f64::from(x)) * Rounded::exact(f64::from(x + 1.0));
        }
        assert!((sum.value - exact).abs() < 1e-9);
        assert!((f64::from(single) - exact).abs() <= sum.error());
        let size: f64 = numbers.iter().map(|&x| (f64::from(x) * f64::from(x + 1.0)).abs()).sum();
        assert!(sum.error() < 2100.0 * U * size && sum.error() > 900.0 * U * size);
    }

    #[test]
    fn what_f32_holds_has_no_error() {
        assert_eq!(Rounded::exact(0.1).error(), 0.0);
        assert!(Rounded::from_f64(0.1).error() > 0.0);
        assert_eq!((Rounded::ZERO + Rounded::exact(3.0)).error(), 0.0);
    }
}
