//! Reshapes and permutations that do nothing, or do together what one does.

use super::{Match, View};
use crate::layers::Layer;
use crate::layers::identity::Identity;
use crate::layers::reshape::Reshape;
use crate::shape::Shape;

fn reshape(shape: &Shape) -> Layer {
    let sizes = shape.sizes().iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX));
    Layer::Reshape(Reshape { shape: sizes.collect() })
}

/// A permutation that only moves axes of size 1 is a reshape.
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

/// A reshape of a reshape is one; one to the shape that was there is none.
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
