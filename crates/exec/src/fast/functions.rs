//! Exponentials and what is made of them, in f32: polynomials whose error is bounded by [`ERROR`] and [`FLUSHED`].
//!
//! Each function is plain arithmetic on one number without branches, so that a loop over a block of numbers becomes
//! vector instructions of whatever set the loop is compiled for (`S`); the set decides only whether a
//! multiplication and an addition round once or twice. The tests compare every function, for every instruction
//! set, with its definition in f64: on a sample by default, on all 2^32 arguments with `CNNKIT_EXHAUSTIVE`, which makes
//! the bounds a proof.
//!
//! The polynomials are fits of least relative error, whose coefficients were then rounded to f32. The methods are those of
//! the usual vector libraries (SLEEF, XNNPACK): reduction by `ln 2` in two parts (Cody & Waite 1980), `tanh` through
//! `e^x - 1`, and the tail of the normal distribution as `e^(-x^2/2)` times a polynomial in `1 / (1 + c x)`.

use pulp::Simd;

use super::isa::fused;

/// Bound on the relative error of every function here: 12 units of roundoff, or 6 in the last place. GELU comes closest, for
/// small arguments.
pub const ERROR: f64 = 12.0 / 16_777_216.0;

/// Largest absolute error where a result is lost because `e^x` is smaller than the normal numbers of f32 (2^-126): up
/// to 2^7 times that, because some functions multiply it by their argument.
pub const FLUSHED: f64 = 1.0 / (1u128 << 119) as f64;

/// Exponents below have a power that is no normal number.
const LEAST: f32 = -87.336_54;

/// Adding and subtracting 1.5 * 2^23 rounds to the nearest integer, whose low bits are those of the sum.
const MAGIC: f32 = 12_582_912.0;

/// `ln 2` split in two parts: the product of the first with an integer below 2^12 is exact.
const LN2: (f32, f32) = (0.693_145_75, 1.428_606_8e-6);

/// Returns `2^n` and `e^r - 1` for `x = n ln 2 + r`, where `n` is an integer from -126 to 127.
#[inline(always)]
fn reduced<S: Simd>(x: f32) -> (f32, f32) {
    let shifted = fused::<S>(x, std::f32::consts::LOG2_E, MAGIC);
    let whole = shifted - MAGIC;
    let rest = fused::<S>(whole, -LN2.1, fused::<S>(whole, -LN2.0, x));
    // e^r = 1 + r + r^2 q(r) for |r| <= 0.35; the fit has a relative error of 1.1e-8.
    let factors = [0.008_363_171, 0.041_666_854, 0.166_665_78, 0.5];
    let sum = factors.iter().fold(0.001_390_129_3, |sum, &factor| fused::<S>(sum, rest, factor));
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    (scale, fused::<S>(sum, rest * rest, rest))
}

/// Computes `e^x` for `x` up to 88; 0 where the result is no normal number.
#[inline(always)]
pub(super) fn exp<S: Simd>(x: f32) -> f32 {
    let bounded = if x < LEAST { LEAST } else { x };
    let (scale, power) = reduced::<S>(bounded);
    let result = (power + 1.0) * scale;
    if x < LEAST { 0.0 } else { result }
}

/// Computes `e^x - 1` for `x` up to 0, with a small relative error for small `x` too.
#[inline(always)]
pub(super) fn exp_minus_one<S: Simd>(x: f32) -> f32 {
    // The result is -1 from there on.
    let bounded = if x < -25.0 { -25.0 } else { x };
    let (scale, power) = reduced::<S>(bounded);
    fused::<S>(scale, power, scale - 1.0)
}

/// Computes `1 / (1 + e^-x)`.
#[inline(always)]
pub(super) fn sigmoid<S: Simd>(x: f32) -> f32 {
    let power = exp::<S>(-x.abs());
    let share = if x < 0.0 { power } else { 1.0 };
    share / (1.0 + power)
}

/// Computes the hyperbolic tangent.
#[inline(always)]
pub(super) fn tanh<S: Simd>(x: f32) -> f32 {
    let power = exp_minus_one::<S>(-2.0 * x.abs());
    (-power / (power + 2.0)).copysign(x)
}

/// Computes `ln(1 + x)` for `x` from 0 to 1.
#[inline(always)]
fn log_of_one_plus<S: Simd>(x: f32) -> f32 {
    // With z = x / (2 + x), it is 2 artanh(z) = 2 z (1 + z^2 p(z^2)) for z <= 1/3; the fit has a relative error of 4e-10.
    let twice = 2.0 * x / (2.0 + x);
    let square = 0.25 * twice * twice;
    let factors = [0.108_522_69, 0.142_962_5, 0.199_998_51, 0.333_333_34];
    let sum = factors.iter().fold(0.116_167_67, |sum, &factor| fused::<S>(sum, square, factor));
    fused::<S>(twice * square, sum, twice)
}

/// Computes `ln(1 + e^x)`.
#[inline(always)]
pub(super) fn softplus<S: Simd>(x: f32) -> f32 {
    let positive = if x < 0.0 { 0.0 } else { x };
    positive + log_of_one_plus::<S>(exp::<S>(-x.abs()))
}

/// Returns the product of two numbers as a sum of two.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the second part is what the first leaves")]
fn exact_product<S: Simd>(a: f32, b: f32) -> (f32, f32) {
    if S::IS_SCALAR {
        let exact = f64::from(a) * f64::from(b);
        let rounded = exact as f32;
        (rounded, (exact - f64::from(rounded)) as f32)
    } else {
        let rounded = a * b;
        (rounded, fused::<S>(a, b, -rounded))
    }
}

/// Computes the probability that a standard normal variable is above `x`, for `x` from 0 on.
#[inline(always)]
fn normal_tail<S: Simd>(x: f32) -> f32 {
    // Beyond, the result is no normal number.
    let x = if x > 14.0 { 14.0 } else { x };
    // A rounding error of the exponent would be one of the result, times the exponent.
    let (square, rest) = exact_product::<S>(0.5 * x, x);
    let power = exp::<S>(-square);
    let power = fused::<S>(power, -rest, power);
    // Fit for x from 0 to 14.5 with a relative error of 2.2e-8.
    let t = 1.0 / fused::<S>(0.3, x, 1.0);
    let factors = [
        0.112_435_62,
        -0.228_213_61,
        0.191_784_55,
        -0.079_423_495,
        0.096_156_836,
        0.078_389_65,
        0.110_235_42,
        0.119_571_81,
        0.119_686_69,
    ];
    let sum = factors.iter().fold(-0.020_623_47, |sum, &factor| fused::<S>(sum, t, factor));
    power * (sum * t)
}

/// Computes `x` times the cumulative distribution function of the standard normal distribution.
#[inline(always)]
pub(super) fn gelu<S: Simd>(x: f32) -> f32 {
    let tail = normal_tail::<S>(x.abs());
    x * if x < 0.0 { tail } else { 1.0 - tail }
}

/// Computes the error function.
#[inline(always)]
pub(super) fn erf<S: Simd>(x: f32) -> f32 {
    let far = (1.0 - 2.0 * normal_tail::<S>(x.abs() * std::f32::consts::SQRT_2)).copysign(x);
    // Fit of erf(x) / x for |x| <= 1 with a relative error of 1.2e-9.
    let square = x * x;
    let factors = [
        -0.000_801_019_25,
        0.005_188_328,
        -0.026_853_811,
        0.112_835_854,
        -0.376_126_26,
        std::f32::consts::FRAC_2_SQRT_PI,
    ];
    let near = x * factors.iter().fold(7.853_858e-5, |sum, &factor| fused::<S>(sum, square, factor));
    if x.abs() < 1.0 { near } else { far }
}

/// Computes `x tanh(ln(1 + e^x))`.
#[inline(always)]
pub(super) fn mish<S: Simd>(x: f32) -> f32 {
    // The hyperbolic tangent without the logarithm; for large x it is 1.
    let power = exp::<S>(if x > 20.0 { 20.0 } else { x });
    let product = power * (power + 2.0);
    x * (product / (product + 2.0))
}

#[cfg(test)]
mod tests {
    use pulp::WithSimd;

    use super::super::activations::each;
    use super::super::isa::Isa;
    use super::*;

    /// A function and what it is applied to.
    struct Apply {
        name: &'static str,
        arguments: Vec<f32>,
    }

    /// A function's name, its definition, and the largest argument that it supports.
    type Defined = (&'static str, fn(f64) -> f64, f32);

    const FUNCTIONS: [Defined; 8] = [
        ("exp", libm::exp, 88.0),
        ("exp_minus_one", libm::expm1, 0.0),
        (
            "sigmoid",
            |x| if x < 0.0 { libm::exp(x) / (1.0 + libm::exp(x)) } else { 1.0 / (1.0 + libm::exp(-x)) },
            f32::MAX,
        ),
        ("tanh", libm::tanh, f32::MAX),
        (
            "softplus",
            |x| if x > 0.0 { x + libm::log1p(libm::exp(-x)) } else { libm::log1p(libm::exp(x)) },
            f32::MAX,
        ),
        ("gelu", |x| 0.5 * x * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2), f32::MAX),
        ("erf", libm::erf, f32::MAX),
        (
            "mish",
            |x| {
                let power = libm::exp(x.min(40.0));
                x * (power * (power + 2.0) / (power * (power + 2.0) + 2.0))
            },
            f32::MAX,
        ),
    ];

    impl WithSimd for Apply {
        type Output = Vec<f32>;

        #[inline(always)]
        fn with_simd<S: Simd>(mut self, _: S) -> Vec<f32> {
            let values = &mut self.arguments;
            match self.name {
                "exp" => each(values, exp::<S>),
                "exp_minus_one" => each(values, exp_minus_one::<S>),
                "sigmoid" => each(values, sigmoid::<S>),
                "tanh" => each(values, tanh::<S>),
                "softplus" => each(values, softplus::<S>),
                "gelu" => each(values, gelu::<S>),
                "erf" => each(values, erf::<S>),
                "mish" => each(values, mish::<S>),
                name => unreachable!("{name}"),
            }
            self.arguments
        }
    }

    #[test]
    fn errors_are_within_the_bounds_for_every_instruction_set() {
        let stride = if std::env::var_os("CNNKIT_EXHAUSTIVE").is_some() { 1 } else { 65_521 };
        for (name, definition, most) in FUNCTIONS {
            for isa in Isa::all() {
                let mut worst = (0.0, 0.0);
                for first in (0..=u32::MAX).step_by(stride << 12) {
                    let patterns = (0..1u64 << 12).map(|i| u64::from(first) + i * stride as u64);
                    let arguments: Vec<f32> = patterns
                        .map_while(|bits| u32::try_from(bits).ok())
                        .map(f32::from_bits)
                        .filter(|&x| x <= most || x.is_nan())
                        .collect();
                    let found = isa.run(Apply { name, arguments: arguments.clone() });
                    for (&x, &found) in arguments.iter().zip(&found) {
                        let expected = definition(f64::from(x));
                        assert_eq!(
                            found.is_nan(),
                            expected.is_nan(),
                            "{name}({x}) = {found}, not {expected}"
                        );
                        if f64::from(found) == expected || expected.is_nan() {
                            continue;
                        }
                        let error = (f64::from(found) - expected).abs() - FLUSHED;
                        if error > worst.0 * expected.abs() {
                            worst = (error / expected.abs(), x);
                        }
                    }
                }
                let (error, x) = worst;
                let units = error * 16_777_216.0;
                assert!(error <= ERROR, "{name} with {}: {units} units at {x:e}", isa.name());
            }
        }
    }

    #[test]
    fn limits_are_those_of_the_definition() {
        type Plain = pulp::Scalar;
        assert_eq!(exp::<Plain>(-1000.0), 0.0);
        assert_eq!(exp::<Plain>(f32::NEG_INFINITY), 0.0);
        assert!(exp::<Plain>(f32::NAN).is_nan());
        assert_eq!(tanh::<Plain>(-0.0).to_bits(), (-0.0f32).to_bits());
        assert_eq!(gelu::<Plain>(f32::INFINITY), f32::INFINITY);
        assert_eq!(erf::<Plain>(f32::NEG_INFINITY), -1.0);
    }
}
