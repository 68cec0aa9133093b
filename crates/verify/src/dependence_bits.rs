//! Dependence bits: 64 independent dependence sets in one number type, computed by the executor's own kernels.
//!
//! Bit b of a value is set if the value depends on seed b. The sum and the difference of two values have the bits of
//! both: nothing cancels. A product with a factor of 1 keeps all bits, with a factor of 0 none. Run backwards with
//! all weights and values at 1, a network in these numbers is the linearised network with positive weights, without
//! rounding: no underflow through 200 layers, and no tolerance in the comparison.

#![allow(
    clippy::suspicious_arithmetic_impl,
    clippy::suspicious_op_assign_impl,
    reason = "arithmetic on marks is logic"
)]

use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

use cnnkit_exec::scalar::Scalar;

/// 64 dependence bits. `ONE` has all of them, `ZERO` none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Marks(pub u64);

impl Marks {
    /// Returns a value with bit `bit` alone.
    pub fn bit(bit: usize) -> Self {
        Self(1 << (bit % 64))
    }

    /// Returns whether bit `bit` is set.
    pub fn has(self, bit: usize) -> bool {
        self.0 >> (bit % 64) & 1 == 1
    }
}

impl Add for Marks {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Sub for Marks {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Mul for Marks {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Div for Marks {
    type Output = Self;

    fn div(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Neg for Marks {
    type Output = Self;

    fn neg(self) -> Self {
        self
    }
}

impl AddAssign for Marks {
    fn add_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl Scalar for Marks {
    const ZERO: Self = Self(0);
    const ONE: Self = Self(u64::MAX);

    fn from_f64(value: f64) -> Self {
        if value == 0.0 { Self::ZERO } else { Self::ONE }
    }

    fn to_f64(self) -> f64 {
        if self.0 == 0 { 0.0 } else { 1.0 }
    }

    /// Returns `self`: a function of a value has the dependences of the value.
    fn map(self, _: impl Fn(f64) -> f64) -> Self {
        self
    }

    fn is_nan(self) -> bool {
        false
    }
}
