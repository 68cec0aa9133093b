//! Activations over slices, in loops that the compiler turns into vector instructions.
//!
//! The functions on f32 are in `functions`. Where an argument is itself the result of several roundings, whose error the
//! exponential would multiply, the formula is evaluated in f64 and rounded once. Functions without a form here are
//! computed by their definition.

use pulp::{Simd, WithSimd};

use super::functions;
use crate::reference;
use cnnkit_core::layers::activation::{Activation, RealFunction};
use cnnkit_core::layers::{
    function, gelu, hardsigmoid, hardswish, mish, selu, sigmoid, silu, softplus, tanh,
};

/// `ln 2` split in two parts: the product of the first with an integer below 2^11 is exact.
const LN2: (f64, f64) = (0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10);

/// Computes `e^x` to about 2 units in the last place of an f64; 0 below -708, infinite above 709.
#[inline(always)]
fn exp(x: f64) -> f64 {
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

/// Elements that are computed together: whole vectors of every instruction set.
const BLOCK: usize = 16;

/// Replaces every value by its `function`, in whole blocks: the compiler would compute a remainder one by one.
#[inline(always)]
pub(super) fn each(values: &mut [f32], function: impl Fn(f32) -> f32) {
    let (blocks, rest) = values.as_chunks_mut::<BLOCK>();
    for block in blocks {
        for value in block {
            *value = function(*value);
        }
    }
    if !rest.is_empty() {
        let mut block = [0.0; BLOCK];
        block[..rest.len()].copy_from_slice(rest);
        for value in &mut block {
            *value = function(*value);
        }
        rest.copy_from_slice(&block[..rest.len()]);
    }
}

/// As [`each`], computed in f64 and rounded.
#[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest is what is meant")]
#[inline(always)]
fn wide(values: &mut [f32], function: impl Fn(f64) -> f64) {
    each(
        values,
        #[inline(always)]
        |x| function(f64::from(x)) as f32,
    );
}

/// Applies the activation `curve` to every element.
///
/// It is compiled once per instruction set, not once per call.
#[inline(always)]
pub(super) fn apply<S: Simd>(simd: S, curve: Activation, values: &mut [f32]) {
    simd.vectorize(Apply { curve, values });
}

/// An activation and what it is applied to.
pub(super) struct Apply<'a> {
    pub curve: Activation,
    pub values: &'a mut [f32],
}

// Closures are marked too: one that is not inlined is not compiled for the vector instructions of its caller.
impl WithSimd for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { curve, values } = self;
        match curve {
            Activation::Ramp => each(
                values,
                #[inline(always)]
                |x| if x <= 0.0 { 0.0 } else { x },
            ),
            #[expect(clippy::cast_possible_truncation, reason = "as the definition does")]
            Activation::BoundedRamp(limit) => {
                let limit = limit as f32;
                each(
                    values,
                    #[inline(always)]
                    |x| {
                        let x = if x <= 0.0 { 0.0 } else { x };
                        if x >= limit { limit } else { x }
                    },
                );
            }
            #[expect(clippy::cast_possible_truncation, reason = "as the definition does")]
            Activation::Kinked(slope) => {
                let slope = slope as f32;
                each(
                    values,
                    #[inline(always)]
                    |x| if x < 0.0 { slope * x } else { x },
                );
            }
            #[expect(clippy::cast_possible_truncation, reason = "constants of an f32 function")]
            Activation::Exponential { height, width, .. } => {
                exponential::<S>(values, 1.0, height as f32, width as f32);
            }
            Activation::Real(function, parameters) => real::<S>(values, (function, parameters), curve),
            Activation::Square | Activation::Affine { .. } | Activation::Clamp(..) => each(
                values,
                #[inline(always)]
                |x| reference::apply(curve, x),
            ),
        }
    }
}

/// Computes `scale * x` above 0, else `height * (e^(x / width) - 1)`.
#[inline(always)]
fn exponential<S: Simd>(values: &mut [f32], scale: f32, height: f32, width: f32) {
    each(
        values,
        #[inline(always)]
        |x| {
            // The result for a positive number is not used, but must exist.
            let below = if x > 0.0 { 0.0 } else { x };
            let below = height * functions::exp_minus_one::<S>(below / width);
            if x > 0.0 { scale * x } else { below }
        },
    );
}

/// Applies a function without a form of its own in [`Activation`].
#[inline(always)]
fn real<S: Simd>(
    values: &mut [f32],
    (function, parameters): (&'static RealFunction, [f64; 2]),
    curve: Activation,
) {
    let is = |other: &'static RealFunction| std::ptr::eq(function, other);
    if is(&silu::FUNCTION) {
        each(
            values,
            #[inline(always)]
            |x| x * functions::sigmoid::<S>(x),
        );
    } else if is(&gelu::EXACT) {
        each(values, functions::gelu::<S>);
    } else if is(&sigmoid::FUNCTION) {
        each(values, functions::sigmoid::<S>);
    } else if is(&tanh::FUNCTION) {
        each(values, functions::tanh::<S>);
    } else if is(&hardsigmoid::FUNCTION) {
        each(
            values,
            #[inline(always)]
            |x| (x + 3.0).clamp(0.0, 6.0) / 6.0,
        );
    } else if is(&hardswish::FUNCTION) {
        each(
            values,
            #[inline(always)]
            |x| x * ((x + 3.0).clamp(0.0, 6.0) / 6.0),
        );
    } else if is(&mish::FUNCTION) {
        each(values, functions::mish::<S>);
    } else if is(&softplus::FUNCTION) && parameters[0] == 1.0 {
        let threshold = parameters[1];
        each(
            values,
            #[inline(always)]
            |x| if f64::from(x) > threshold { x } else { functions::softplus::<S>(x) },
        );
    } else if is(&selu::FUNCTION) {
        #[expect(clippy::cast_possible_truncation, reason = "constants of an f32 function")]
        exponential::<S>(values, selu::SCALE as f32, (selu::SCALE * selu::ALPHA) as f32, 1.0);
    } else if is(&function::ERF) {
        each(values, functions::erf::<S>);
    } else if is(&function::EXP) {
        wide(values, exp);
    } else if is(&gelu::TANH) {
        wide(
            values,
            #[inline(always)]
            |x| x / (1.0 + exp(-2.0 * gelu::argument(x).0)),
        );
    } else {
        each(values, |x| reference::apply(curve, x));
    }
}

#[cfg(test)]
mod tests {
    use super::super::functions::{ERROR, FLUSHED};
    use super::super::isa::Isa;
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
            for isa in Isa::all() {
                let mut values = inputs.clone();
                isa.run(Apply { curve, values: &mut values });
                for (&x, &found) in inputs.iter().zip(&values) {
                    let expected: f64 = reference::apply(curve, f64::from(x));
                    let same = expected.is_nan() && found.is_nan() || f64::from(found) == expected;
                    // Where an affine form adds a constant, the sum rounds in the last place of its terms.
                    let close = (f64::from(found) - expected).abs()
                        <= ERROR * (expected.abs() + straight(curve, f64::from(x))) + FLUSHED;
                    let large = expected.abs() > f64::from(f32::MAX) && found.is_infinite();
                    assert!(same || close || large, "{name}: {curve:?} of {x} is {found}, not {expected}");
                }
            }
        }
    }

    /// Returns the magnitude of the terms that an activation adds to a constant, in whose last place the sum
    /// rounds.
    fn straight(curve: Activation, x: f64) -> f64 {
        if let Activation::Affine { scale, shift } = curve { (scale * x).abs() + shift.abs() } else { 0.0 }
    }
}
