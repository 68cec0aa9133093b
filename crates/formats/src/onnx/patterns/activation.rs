//! Activations that exporters write as basic operators: GELU, SiLU, Mish, hard sigmoid, hard swish.

use super::{Match, View};
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::function::FunctionKind;
use cnnkit_core::layers::gelu::{Approximation, Gelu};
use cnnkit_core::layers::hardsigmoid::Hardsigmoid;
use cnnkit_core::layers::hardswish::Hardswish;
use cnnkit_core::layers::mish::Mish;
use cnnkit_core::layers::silu::Silu;

/// Returns whether two constants are equal in single precision.
fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 2e-6 * b.abs().max(1e-3)
}

/// Returns the layer before a chain of fixed factors, and their product; layers with other readers are not
/// skipped.
fn peel(view: &View<'_>, index: usize, outermost: bool) -> (usize, f64) {
    let (mut at, mut factor) = (index, 1.0);
    while let Some(Layer::Rescale(layer)) = view.layer(at)
        && layer.shift == 0.0
        && (view.single(at) || (outermost && at == index))
        && let Some(input) = view.input(at)
    {
        factor *= layer.scale;
        at = input;
    }
    (at, factor)
}

fn replaced(layer: Layer, input: usize, index: usize) -> Match {
    Match { layer, inputs: vec![input], weights: vec![], named: index }
}

/// Matches `factor * x * s * (1 + f(...))` with `factor * s` = 1/2: the form of GELU, exact or approximate.
/// Returns x and the layer that is added to 1.
fn halves(view: &View<'_>, index: usize) -> Option<(usize, usize)> {
    let (product, outer) = peel(view, index, true);
    if !matches!(view.layer(product)?, Layer::Multiply(_)) || (product != index && !view.single(product)) {
        return None;
    }
    for (left, right) in view.pairs(product) {
        let ((x, a), (sum, b)) = (peel(view, left, false), peel(view, right, false));
        if let Layer::Rescale(plus) = view.layer(sum)?
            && view.single(sum)
            && plus.scale == plus.shift
            && near(outer * a * b * plus.scale, 0.5)
            && let Some(inner) = view.input(sum)
            && view.single(inner)
        {
            return Some((x, inner));
        }
    }
    None
}

/// Matches `x / 2 * (1 + erf(x / sqrt 2))`.
pub(super) fn gelu(view: &View<'_>, index: usize) -> Option<Match> {
    let (x, inner) = halves(view, index)?;
    let Layer::Function(function) = view.layer(inner)? else { return None };
    let (argument, scale) = peel(view, view.input(inner)?, false);
    let exact = function.function == FunctionKind::Erf && argument == x;
    (exact && near(scale, std::f64::consts::FRAC_1_SQRT_2))
        .then(|| replaced(Layer::Gelu(Gelu { approximate: Approximation::None }), x, index))
}

/// Returns whether `index` is the third power of `x`.
fn is_cube(view: &View<'_>, index: usize, x: usize) -> bool {
    match view.layer(index) {
        Some(Layer::Power(power)) => power.exponent == 3.0 && view.input(index) == Some(x),
        Some(Layer::Multiply(_)) => view.pairs(index).into_iter().any(|(square, factor)| {
            factor == x
                && match view.layer(square) {
                    Some(Layer::Power(power)) => power.exponent == 2.0 && view.input(square) == Some(x),
                    Some(Layer::Multiply(_)) => view.draft(square).inputs == [x, x],
                    _ => false,
                }
        }),
        _ => false,
    }
}

/// Matches `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))`.
pub(super) fn gelu_tanh(view: &View<'_>, index: usize) -> Option<Match> {
    let (x, inner) = halves(view, index)?;
    let Layer::Tanh(_) = view.layer(inner)? else { return None };
    let (sum, scale) = peel(view, view.input(inner)?, false);
    let Layer::Add(add) = view.layer(sum)? else { return None };
    let root = std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;
    let cubic = view.pairs(sum).into_iter().any(|(linear, cubic)| {
        let (cube, factor) = peel(view, cubic, false);
        linear == x && near(factor, 0.044_715) && is_cube(view, cube, x)
    });
    (add.weights.is_none() && near(scale, root) && cubic)
        .then(|| replaced(Layer::Gelu(Gelu { approximate: Approximation::Tanh }), x, index))
}

/// Returns the other factor of a product with a layer that satisfies `gate` and reads that factor, and that
/// layer.
fn gated(view: &View<'_>, index: usize, gate: impl Fn(&Layer) -> bool) -> Option<(usize, usize)> {
    let Layer::Multiply(_) = view.layer(index)? else { return None };
    view.pairs(index)
        .into_iter()
        .find(|&(x, other)| view.single(other) && view.layer(other).is_some_and(&gate) && x != other)
}

/// Matches `x * sigmoid(x)`.
pub(super) fn silu(view: &View<'_>, index: usize) -> Option<Match> {
    let (x, sigmoid) = gated(view, index, |layer| matches!(layer, Layer::Sigmoid(_)))?;
    (view.input(sigmoid) == Some(x)).then(|| replaced(Layer::Silu(Silu {}), x, index))
}

/// Matches `x * tanh(softplus(x))`.
pub(super) fn mish(view: &View<'_>, index: usize) -> Option<Match> {
    let (x, tanh) = gated(view, index, |layer| matches!(layer, Layer::Tanh(_)))?;
    let softplus = view.input(tanh).filter(|&at| view.single(at))?;
    let Layer::Softplus(layer) = view.layer(softplus)? else { return None };
    (layer.beta == 1.0 && view.input(softplus) == Some(x)).then(|| replaced(Layer::Mish(Mish {}), x, index))
}

/// Matches `min(max(x + 3, 0), 6)`; returns x.
fn ramp(view: &View<'_>, index: usize) -> Option<usize> {
    let limited = match view.layer(index)? {
        Layer::Relu6(_) => true,
        Layer::Clip(clip) => clip.min == Some(0.0) && clip.max == Some(6.0),
        _ => false,
    };
    let shifted = view.input(index).filter(|&at| limited && view.single(at) && view.single(index))?;
    match view.layer(shifted)? {
        Layer::Rescale(layer) if layer.scale == 1.0 && layer.shift == 3.0 => view.input(shifted),
        _ => None,
    }
}

/// Matches a sixth of the ramp, or a ramp from 0 to 1.
pub(super) fn hardsigmoid(view: &View<'_>, index: usize) -> Option<Match> {
    let x = match view.layer(index)? {
        Layer::Rescale(layer) if layer.shift == 0.0 && near(layer.scale, 1.0 / 6.0) => {
            ramp(view, view.input(index)?)?
        }
        Layer::Clip(clip) if clip.min == Some(0.0) && clip.max == Some(1.0) => {
            let line = view.input(index).filter(|&at| view.single(at))?;
            match view.layer(line)? {
                Layer::Rescale(layer) if near(layer.scale, 1.0 / 6.0) && layer.shift == 0.5 => {
                    view.input(line)?
                }
                _ => return None,
            }
        }
        _ => return None,
    };
    Some(replaced(Layer::Hardsigmoid(Hardsigmoid {}), x, index))
}

/// Matches `x` times its hard sigmoid, or a sixth of `x` times the ramp.
pub(super) fn hardswish(view: &View<'_>, index: usize) -> Option<Match> {
    if let Some((x, gate)) = gated(view, index, |layer| matches!(layer, Layer::Hardsigmoid(_))) {
        return (view.input(gate) == Some(x)).then(|| replaced(Layer::Hardswish(Hardswish {}), x, index));
    }
    let (product, factor) = peel(view, index, true);
    if product == index || !near(factor, 1.0 / 6.0) || !view.single(product) {
        return None;
    }
    let Layer::Multiply(_) = view.layer(product)? else { return None };
    let (x, _) = view.pairs(product).into_iter().find(|&(x, other)| ramp(view, other) == Some(x))?;
    Some(replaced(Layer::Hardswish(Hardswish {}), x, index))
}
