//! Reshapes and permutations without effect, and sequences of them that a single one replaces.

use super::{Match, View};
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::identity::Identity;
use cnnkit_core::layers::permute::Permute;
use cnnkit_core::layers::reshape::Reshape;
use cnnkit_core::shape::Shape;

pub(super) fn reshape(shape: &Shape) -> Layer {
    let sizes = shape.sizes().iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX));
    Layer::Reshape(Reshape { shape: sizes.collect() })
}

/// Replaces a permutation that only moves axes of size 1 by a reshape.
pub(super) fn still(view: &View<'_>, index: usize) -> Option<Match> {
    let Layer::Permute(permute) = view.layer(index)? else { return None };
    let x = view.input(index)?;
    let sizes = view.draft(x).shape.sizes();
    let long: Vec<u64> = permute
        .axes
        .iter()
        .copied()
        .filter(|&axis| sizes.get(axis as usize).is_some_and(|&size| size != 1))
        .collect();
    long.is_sorted().then(|| Match {
        layer: reshape(&view.draft(index).shape),
        inputs: vec![x],
        weights: vec![],
        named: index,
    })
}

/// Replaces a reshape of a reshape by one; a reshape to the original shape is removed.
pub(super) fn joined(view: &View<'_>, index: usize) -> Option<Match> {
    let Layer::Reshape(_) = view.layer(index)? else { return None };
    let input = view.input(index)?;
    let shape = &view.draft(index).shape;
    let x = match view.layer(input) {
        Some(Layer::Reshape(_) | Layer::Flatten(_)) => view.input(input)?,
        _ if view.draft(input).shape == *shape => input,
        _ => return None,
    };
    let layer = if view.draft(x).shape == *shape { Layer::Identity(Identity {}) } else { reshape(shape) };
    Some(Match { layer, inputs: vec![x], weights: vec![], named: index })
}

/// Replaces a permutation of a permutation by one.
pub(super) fn permuted(view: &View<'_>, index: usize) -> Option<Match> {
    let Layer::Permute(second) = view.layer(index)? else { return None };
    let middle = view.input(index)?;
    let Layer::Permute(first) = view.layer(middle)? else { return None };
    let x = view.input(middle)?;
    let axis = |&axis: &u64| first.axes.get(usize::try_from(axis).ok()?).copied();
    let axes: Vec<u64> = second.axes.iter().map(axis).collect::<Option<_>>()?;
    let layer = if axes.iter().copied().eq(0..axes.len() as u64) {
        Layer::Identity(Identity {})
    } else {
        Layer::Permute(Permute { axes })
    };
    Some(Match { layer, inputs: vec![x], weights: vec![], named: index })
}

/// Removes the expansion of an operand along an axis of one element: broadcasting has the same effect.
pub(super) fn stretched(view: &View<'_>, index: usize) -> Option<Match> {
    let layer = view.layer(index)?;
    if !matches!(layer, Layer::Add(_) | Layer::Multiply(_) | Layer::Divide(_)) {
        return None;
    }
    let single = |input: usize| -> Option<usize> {
        let Layer::Gather(gather) = view.layer(input)? else { return None };
        let source = view.input(input)?;
        let size = view.draft(source).shape.sizes().get(usize::try_from(gather.axis).ok()?)?;
        (*size == 1).then_some(source)
    };
    let inputs: Vec<usize> =
        view.draft(index).inputs.iter().map(|&input| single(input).unwrap_or(input)).collect();
    let shapes: Vec<Shape> = inputs.iter().map(|&input| view.draft(input).shape.clone()).collect();
    let same = layer.infer(&shapes).is_ok_and(|shape| shape == view.draft(index).shape);
    (inputs != view.draft(index).inputs && same).then(|| Match {
        layer: layer.clone(),
        inputs,
        weights: vec![],
        named: index,
    })
}

/// Replaces a permutation, an element-wise layer and the inverse permutation by the layer alone. Networks
/// written with channels last have a pair of permutations around every layer that needs channels first.
pub(super) fn between(view: &View<'_>, index: usize) -> Option<Match> {
    let Layer::Permute(back) = view.layer(index)? else { return None };
    let middle = view.input(index).filter(|&at| view.single(at))?;
    let layer = view.layer(middle)?;
    let inputs: Vec<usize> = view
        .draft(middle)
        .inputs
        .iter()
        .map(|&input| undone(view, input, &back.axes))
        .collect::<Option<_>>()?;
    let same = inputs.iter().all(|&input| view.draft(input).shape == view.draft(index).shape);
    (elementwise(layer) && same).then(|| Match {
        layer: layer.clone(),
        inputs,
        weights: view.draft(middle).weights.clone(),
        named: middle,
    })
}

/// Returns the input of the permutation `index`, if `back` is its inverse.
fn undone(view: &View<'_>, index: usize, back: &[u64]) -> Option<usize> {
    let Layer::Permute(forth) = view.layer(index)? else { return None };
    let axis = |&axis: &u64| forth.axes.get(usize::try_from(axis).ok()?).copied();
    let both: Vec<u64> = back.iter().map(axis).collect::<Option<_>>()?;
    both.iter().copied().eq(0..both.len() as u64).then(|| view.input(index)).flatten()
}

/// Returns whether the order of the axes does not matter to a layer without weights.
fn elementwise(layer: &Layer) -> bool {
    layer.pointwise().is_some() || matches!(layer, Layer::Add(_) | Layer::Multiply(_) | Layer::Divide(_))
}
