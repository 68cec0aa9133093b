//! f64 numbers whose functions are as inexact as those of the fast kernels.
//!
//! Arithmetic is exact but for f64's own rounding; what a function returns is off by [`FUNCTION_ERROR`] of itself, the bound on
//! the error of the fast kernels' polynomials, up or down by a pattern. What a network makes of that is the part of its error in
//! f32 that the definition, whose functions are correctly rounded, does not have.

use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

use cnnkit_exec::fast::FUNCTION_ERROR;
use cnnkit_exec::scalar::Scalar;

use crate::run::Seed;

/// A number; `PATTERN` decides which results are too large and which too small.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd)]
pub(super) struct Inexact<const PATTERN: u64>(f64);

macro_rules! arithmetic {
    ($($name:ident $method:ident;)*) => {$(
        impl<const PATTERN: u64> $name for Inexact<PATTERN> {
            type Output = Self;

            fn $method(self, other: Self) -> Self {
                Self($name::$method(self.0, other.0))
            }
        }
    )*};
}

arithmetic! {
    Add add;
    Sub sub;
    Mul mul;
    Div div;
}

impl<const PATTERN: u64> Neg for Inexact<PATTERN> {
    type Output = Self;

    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl<const PATTERN: u64> AddAssign for Inexact<PATTERN> {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl<const PATTERN: u64> Scalar for Inexact<PATTERN> {
    const ZERO: Self = Self(0.0);
    const ONE: Self = Self(1.0);

    fn from_f64(value: f64) -> Self {
        Self(value)
    }

    fn to_f64(self) -> f64 {
        self.0
    }

    fn map(self, function: impl Fn(f64) -> f64) -> Self {
        let value = function(self.0);
        let up = Seed(self.0.to_bits() ^ PATTERN).bits() & 1 == 0;
        Self(value * if up { 1.0 + FUNCTION_ERROR } else { 1.0 - FUNCTION_ERROR })
    }

    fn is_nan(self) -> bool {
        self.0.is_nan()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_off_by_their_bound_and_arithmetic_is_not() {
        type Number = Inexact<3>;
        let sum = Number::from_f64(0.5) + Number::from_f64(0.25);
        assert_eq!(sum.to_f64(), 0.75);
        let ups = (0..1000).filter(|&n| {
            let x = 1.0 + f64::from(n);
            let off = Number::from_f64(x).map(f64::sqrt).to_f64() / x.sqrt() - 1.0;
            assert!((off.abs() / FUNCTION_ERROR - 1.0).abs() < 1e-6, "{off}");
            off > 0.0
        });
        assert!((400..600).contains(&ups.count()));
    }
}
