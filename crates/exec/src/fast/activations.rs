//! Activations over slices, in loops that the compiler turns into vector instructions.
//!
//! Exponentials are evaluated in f64, so that the formulas built on them keep all digits of an f32 despite
//! cancellation; the result is rounded once. Functions without a form here are computed by their definition.

use crate::reference;
use cnnkit_core::layers::activation::{Activation, RealFunction};
use cnnkit_core::layers::{gelu, hardsigmoid, hardswish, mish, sigmoid, silu, tanh};

/// `ln 2` split in two parts: the product of the first with an integer below 2^11 is exact.
const LN2: (f64, f64) = (0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10);

/// Computes `e^x` to about 2 units in the last place of an f64; 0 below -708, infinite above 709.
#[inline(always)]
pub(super) fn exp(x: f64) -> f64 {
    let bounded = x.clamp(-708.0, 709.0);
    // Adding and subtracting 1.5 * 2^52 rounds to the nearest integer, whose low bits are those of the sum.
    let magic = 6_755_399_441_055_744.0;
    let shifted = bounded * std::f64::consts::LOG2_E + magic;
    let whole = shifted - magic;
    let rest = bounded - whole * LN2.0 - whole * LN2.1;
    // Taylor series up to the 11th power: |rest| <= 0.35, so the truncation error is below 1e-14 of the result, far
    // below half a unit of an f32.
    let mut sum = 1.0 / 39_916_800.0;
    for factor in [
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        sum = sum * rest + factor;
    }
    let power = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    let result = sum * power;
    let result = if x > 709.0 { f64::INFINITY } else { result };
    let result = if x < -708.0 { 0.0 } else { result };
    if x.is_nan() { x } else { result }
}

/// Computes `e^x - 1` accurately for small `x` too.
#[inline(always)]
fn exp_minus_one(x: f64) -> f64 {
    // Below 1e-5 the cubic term is smaller than the last digit of an f32.
    if x.abs() < 1e-5 { x + 0.5 * x * x } else { exp(x) - 1.0 }
}

#[inline(always)]
fn hyperbolic_tangent(x: f64) -> f64 {
    let size = x.abs();
    let power = exp(-2.0 * size);
    let far = (1.0 - power) / (1.0 + power);
    let result = if size < 1e-5 { size } else { far };
    result.copysign(x)
}

#[inline(always)]
fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + exp(-x))
}

/// Computes the cumulative distribution function of the standard normal distribution with a relative error of 1.2e-7:
/// the Chebyshev fit of erfc in Numerical Recipes (section 6.2, `erfcc`).
#[inline(always)]
fn normal(x: f64) -> f64 {
    let z = -x * std::f64::consts::FRAC_1_SQRT_2;
    let size = z.abs();
    let t = 1.0 / (1.0 + 0.5 * size);
    let mut sum = 0.170_872_77;
    for factor in [
        -0.822_152_23,
        1.488_515_87,
        -1.135_203_98,
        0.278_868_07,
        -0.186_288_06,
        0.096_784_18,
        0.374_091_96,
        1.000_023_68,
        -1.265_512_23,
    ] {
        sum = sum * t + factor;
    }
    let tail = t * exp(-size * size + sum);
    0.5 * if z >= 0.0 { tail } else { 2.0 - tail }
}

/// Applies the activation `curve` to every element.
#[inline(always)]
pub(super) fn apply(curve: Activation, values: &mut [f32]) {
    #[inline(always)]
    fn each(values: &mut [f32], function: impl Fn(f32) -> f32) {
        for value in values {
            *value = function(*value);
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest is what is meant")]
    #[inline(always)]
    fn wide(values: &mut [f32], function: impl Fn(f64) -> f64) {
        for value in values {
            *value = function(f64::from(*value)) as f32;
        }
    }
    match curve {
        Activation::Ramp => each(values, |x| if x <= 0.0 { 0.0 } else { x }),
        #[expect(clippy::cast_possible_truncation, reason = "as the definition does")]
        Activation::BoundedRamp(limit) => {
            let limit = limit as f32;
            each(values, |x| {
                let x = if x <= 0.0 { 0.0 } else { x };
                if x >= limit { limit } else { x }
            });
        }
        #[expect(clippy::cast_possible_truncation, reason = "as the definition does")]
        Activation::Kinked(slope) => {
            let slope = slope as f32;
            each(values, |x| if x < 0.0 { slope * x } else { x });
        }
        Activation::Exponential { height, width, .. } => {
            wide(values, |x| if x > 0.0 { x } else { height * exp_minus_one(x / width) });
        }
        Activation::Real(function, _) => {
            let is = |other: &'static RealFunction| std::ptr::eq(function, other);
            if is(&sigmoid::FUNCTION) {
                wide(values, logistic);
            } else if is(&silu::FUNCTION) {
                wide(values, |x| x * logistic(x));
            } else if is(&tanh::FUNCTION) {
                wide(values, hyperbolic_tangent);
            } else if is(&hardsigmoid::FUNCTION) {
                wide(values, |x| (x + 3.0).clamp(0.0, 6.0) / 6.0);
            } else if is(&hardswish::FUNCTION) {
                wide(values, |x| x * (x + 3.0).clamp(0.0, 6.0) / 6.0);
            } else if is(&gelu::EXACT) {
                wide(values, |x| x * normal(x));
            } else if is(&mish::FUNCTION) {
                wide(values, |x| {
                    // tanh(ln(1 + e^x)) without the logarithm; for large x it is 1.
                    let power = exp(x.min(40.0));
                    let product = power * (power + 2.0);
                    x * (product / (product + 2.0))
                });
            } else {
                each(values, |x| reference::apply(curve, x));
            }
        }
        Activation::Square | Activation::Affine { .. } | Activation::Clamp(..) => {
            each(values, |x| reference::apply(curve, x));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cnnkit_core::source::{Sources, Span};
    use cnnkit_core::spec::yaml;

    #[test]
    fn the_exponential_is_right_to_14_digits() {
        let mut x = -707.9;
        while x < 708.9 {
            let error = (exp(x) / libm::exp(x) - 1.0).abs();
            assert!(error < 3e-14, "e^{x} is off by {error}");
            x += 0.0137;
        }
        assert_eq!(exp(-1000.0), 0.0);
        assert_eq!(exp(1000.0), f64::INFINITY);
        assert_eq!(exp(f64::NEG_INFINITY), 0.0);
        assert!(exp(f64::NAN).is_nan());
    }

    /// Iterates over the uses of pointwise layers in the vocabulary's examples.
    fn examples() -> impl Iterator<Item = (&'static str, Activation)> {
        cnnkit_core::layers::KINDS.iter().flat_map(|kind| {
            (kind.examples)().into_iter().filter_map(move |example| {
                let mut sources = Sources::default();
                let source = sources.add("example", example.args);
                let args = yaml::parse(&sources, source).expect("an example is YAML");
                let layer = kind.build(&args, Span::new(source, 0, 0)).expect("an example is valid");
                Some((kind.doc.name, layer.pointwise()?.activation))
            })
        })
    }

    #[test]
    fn every_pointwise_layer_runs_fast_as_its_facet_says() {
        let inputs: Vec<f32> = (-4000..4000)
            .map(|i| 0.0075 * i as f32)
            .chain([1e-9, -1e-9, 1e-20, 3e-6, -3e-6, 1e-4, 100.0, -100.0, 1e30, -1e30, 0.0])
            .chain([f32::INFINITY, f32::NEG_INFINITY, f32::NAN])
            .collect();
        assert!(examples().count() > 40);
        for (name, curve) in examples() {
            let mut values = inputs.clone();
            apply(curve, &mut values);
            for (&x, &found) in inputs.iter().zip(&values) {
                let expected: f64 = reference::apply(curve, f64::from(x));
                let same = expected.is_nan() && found.is_nan() || f64::from(found) == expected;
                // Two units in the last place; where an affine form adds a constant, the sum rounds in the
                // last place of its terms.
                let close = (f64::from(found) - expected).abs()
                    <= 2.4e-7 * (expected.abs() + straight(curve, f64::from(x))) + 1e-37;
                let large = expected.abs() > f64::from(f32::MAX) && found.is_infinite();
                assert!(same || close || large, "{name}: {curve:?} of {x} is {found}, not {expected}");
            }
        }
    }

    /// Returns the magnitude of the terms that an activation adds to a constant, in whose last place the sum
    /// rounds.
    fn straight(curve: Activation, x: f64) -> f64 {
        if let Activation::Affine { scale, shift } = curve { (scale * x).abs() + shift.abs() } else { 0.0 }
    }
}
