//! Norms that exporters write as basic operators: layer norm as means and a root, group norm as an instance
//! norm between reshapes.

use super::{Match, View};
use crate::onnx::constant::{Change, Values};
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::function::FunctionKind;
use cnnkit_core::layers::group_norm::GroupNorm;
use cnnkit_core::layers::layer_norm::{LayerNorm, NormAxis};
use cnnkit_core::layers::layer_scale::ScaleAxis;
use cnnkit_core::layers::reduce::Reduction;

/// Matches `(x - mean) / sqrt(variance + eps)`; the scale and the shift are separate steps.
pub(super) fn layer_norm(view: &View<'_>, index: usize) -> Option<Match> {
    match view.layer(index)? {
        Layer::Divide(_) => divided(view, index),
        Layer::LayerScale(scale) => scaled(view, index, scale.axis),
        Layer::LearnedBias(_) => shifted(view, index),
        _ => None,
    }
}

/// Returns what is averaged with its axes kept, and the axes.
fn mean(view: &View<'_>, index: usize) -> Option<(usize, Vec<u64>)> {
    let x = view.input(index)?;
    match view.layer(index)? {
        Layer::Reduce(reduce) if reduce.reduction == Reduction::Mean && reduce.keepdim => {
            Some((x, reduce.axes.clone()))
        }
        // The features of a sequence are read as a spatial axis.
        Layer::GlobalAvgPool(pool) if pool.keepdim => {
            Some((x, (1..view.draft(x).shape.rank() as u64).collect()))
        }
        _ => None,
    }
}

fn divided(view: &View<'_>, index: usize) -> Option<Match> {
    let &[centred, root] = view.draft(index).inputs.as_slice() else { return None };
    let Layer::Function(function) = view.layer(root)? else { return None };
    if function.function != FunctionKind::Sqrt || !view.single(root) {
        return None;
    }
    let plus = view.input(root)?;
    let Layer::Rescale(eps) = view.layer(plus)? else { return None };
    let (square, variance) = mean(view, view.input(plus)?)?;
    let squared = match view.layer(square)? {
        Layer::Power(power) if power.exponent == 2.0 => view.input(square)?,
        Layer::Multiply(_) => match view.draft(square).inputs.as_slice() {
            [a, b] if a == b => *a,
            _ => return None,
        },
        _ => return None,
    };
    let Layer::Add(difference) = view.layer(centred)? else { return None };
    let &[x, average] = view.draft(centred).inputs.as_slice() else { return None };
    let (of, axes) = mean(view, average)?;
    // Some exporters compute the difference twice.
    let same = squared == centred || view.draft(squared).inputs == [x, average];
    if eps.scale != 1.0
        || difference.weights.as_deref() != Some(&[1.0, -1.0])
        || of != x
        || axes != variance
        || !same
    {
        return None;
    }
    let rank = view.draft(x).shape.rank() as u64;
    let axis = match axes.as_slice() {
        [0] => NormAxis::Channels,
        [last] if last + 1 == rank => NormAxis::Last,
        all if all.len() as u64 == rank => NormAxis::All,
        space if space.iter().copied().eq(1..rank) => NormAxis::Space,
        _ => return None,
    };
    let layer = LayerNorm { axis, eps: eps.shift, elementwise_affine: false, bias: false };
    Some(Match { layer: Layer::LayerNorm(layer), inputs: vec![x], weights: vec![], named: index })
}

/// Matches the scale of a layer norm over the same axis.
fn scaled(view: &View<'_>, index: usize, axis: ScaleAxis) -> Option<Match> {
    let norm = view.input(index).filter(|&norm| view.single(norm))?;
    let Layer::LayerNorm(layer) = view.layer(norm)? else { return None };
    let fits = match (layer.axis, axis) {
        (NormAxis::Last, ScaleAxis::Last) | (NormAxis::Channels, ScaleAxis::Channels) => true,
        _ => view.draft(norm).shape.rank() == 1,
    };
    if layer.elementwise_affine || !fits {
        return None;
    }
    let layer = LayerNorm { elementwise_affine: true, bias: false, ..layer.clone() };
    let weights = view.draft(index).weights.clone();
    Some(Match {
        layer: Layer::LayerNorm(layer),
        inputs: view.draft(norm).inputs.clone(),
        weights,
        named: index,
    })
}

/// Matches the shift after the scale.
fn shifted(view: &View<'_>, index: usize) -> Option<Match> {
    let norm = view.input(index).filter(|&norm| view.single(norm))?;
    let Layer::LayerNorm(layer) = view.layer(norm)? else { return None };
    let scale = view.draft(norm).weights.first()?;
    let shift = view.draft(index).weights.first()?;
    let long = shift.dims.iter().position(|&size| size != 1);
    let axis = match layer.axis {
        NormAxis::Channels => 0,
        NormAxis::Last => shift.dims.len() - 1,
        _ => return None,
    };
    if layer.bias
        || !layer.elementwise_affine
        || long.is_some_and(|long| long != axis)
        || shift.elements() != scale.elements()
    {
        return None;
    }
    let mut weights = view.draft(norm).weights.clone();
    weights.push(shift.changed(Change::Reshape(scale.dims.clone()), scale.dims.clone()));
    let layer = LayerNorm { bias: true, ..layer.clone() };
    Some(Match {
        layer: Layer::LayerNorm(layer),
        inputs: view.draft(norm).inputs.clone(),
        weights,
        named: index,
    })
}

/// Matches a permutation to channels last, a layer norm over them, and the inverse permutation.
pub(super) fn over_channels(view: &View<'_>, index: usize) -> Option<Match> {
    let Layer::Permute(back) = view.layer(index)? else { return None };
    let norm = view.input(index).filter(|&at| view.single(at))?;
    let Layer::LayerNorm(layer) = view.layer(norm)? else { return None };
    let turned = view.input(norm).filter(|&at| view.single(at))?;
    let Layer::Permute(forth) = view.layer(turned)? else { return None };
    let rank = forth.axes.len() as u64;
    let last = forth.axes.iter().copied().eq((1..rank).chain([0]));
    let first = back.axes.iter().copied().eq([rank - 1].into_iter().chain(0..rank - 1));
    let layer = LayerNorm { axis: NormAxis::Channels, ..layer.clone() };
    (last
        && first
        && rank > 1
        && matches!(view.layer(norm)?, Layer::LayerNorm(norm) if norm.axis == NormAxis::Last))
    .then(|| Match {
        layer: Layer::LayerNorm(layer),
        inputs: view.draft(turned).inputs.clone(),
        weights: view.draft(norm).weights.clone(),
        named: norm,
    })
}

/// Matches `[C, ...] -> [groups, n]`, an instance norm without scale and shift, back to `[C, ...]`, the scale
/// and the shift.
pub(super) fn group_norm(view: &View<'_>, index: usize) -> Option<Match> {
    let Layer::LearnedBias(_) = view.layer(index)? else { return None };
    let scale = view.input(index).filter(|&at| view.single(at))?;
    let Layer::LayerScale(factors) = view.layer(scale)? else { return None };
    let back = view.input(scale).filter(|&at| view.single(at))?;
    let Layer::Reshape(_) = view.layer(back)? else { return None };
    let norm = view.input(back).filter(|&at| view.single(at))?;
    let Layer::InstanceNorm(layer) = view.layer(norm)? else { return None };
    let open = view.input(norm).filter(|&at| view.single(at))?;
    let Layer::Reshape(_) = view.layer(open)? else { return None };
    let x = view.input(open)?;
    let (shape, groups) = (&view.draft(x).shape, &view.draft(open).shape);
    let bias = view.draft(index).weights.first()?;
    let channels = shape.channels();
    let all = |index: usize, wanted: f64| {
        view.draft(norm)
            .weights
            .get(index)
            .and_then(|weight| weight.values.as_ref())
            .is_some_and(|values: &Values| values.floats().into_iter().all(|value| value == wanted))
    };
    let fits = *shape == view.draft(back).shape
        && factors.axis == ScaleAxis::Channels
        && channels.is_multiple_of(groups.channels())
        && bias.dims.first() == Some(&channels)
        && bias.dims[1..].iter().all(|&size| size == 1)
        && !layer.track_running_stats
        && (!layer.affine || all(0, 1.0) && all(1, 0.0));
    if !fits {
        return None;
    }
    let mut weights = view.draft(scale).weights.clone();
    weights.push(bias.changed(Change::Reshape(vec![channels]), vec![channels]));
    let layer = GroupNorm { num_groups: groups.channels(), eps: layer.eps, affine: true };
    Some(Match { layer: Layer::GroupNorm(layer), inputs: vec![x], weights, named: index })
}
