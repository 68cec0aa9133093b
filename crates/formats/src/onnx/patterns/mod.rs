//! Composite patterns, replaced by the layers that they implement: one file per pattern.
//!
//! An exporter writes GELU as five nodes and a channel shuffle as three. Each pattern is tried at each layer
//! as its last one; where it matches, that layer is replaced, and the others are removed if they have no
//! other reader.

mod activation;
mod attention;
mod bias;
mod deformable;
mod excitation;
mod movement;
mod normalisation;
mod shuffle;

use super::ir::{Draft, uses};
use cnnkit_core::layers::Layer;

/// A pattern: returns the replacement of the draft with this index, if it is the end of one.
type Pattern = fn(&View<'_>, usize) -> Option<Match>;

/// All patterns, in the order in which they are tried.
static PATTERNS: &[Pattern] = &[
    bias::linear,
    activation::gelu,
    activation::gelu_tanh,
    activation::silu,
    activation::hardsigmoid,
    activation::hardswish,
    activation::mish,
    normalisation::layer_norm,
    normalisation::group_norm,
    shuffle::channel_shuffle,
    shuffle::pixel_shuffle,
    deformable::deform_conv,
    normalisation::over_channels,
    movement::stretched,
    movement::permuted,
    movement::between,
    movement::still,
    movement::joined,
];

/// The patterns that join the weights of several modules. Not of an exported program, which is counted by module.
static ACROSS_MODULES: &[Pattern] = &[excitation::squeeze_excite];

/// The replacement of a pattern.
pub(super) struct Match {
    layer: Layer,
    inputs: Vec<usize>,
    weights: Vec<super::constant::Constant>,
    /// The draft whose module path it takes.
    named: usize,
}

/// The drafts, as patterns read them.
pub(super) struct View<'a> {
    drafts: &'a [Draft],
    uses: Vec<usize>,
}

impl<'a> View<'a> {
    fn layer(&self, index: usize) -> Option<&'a Layer> {
        self.drafts[index].layer.as_ref()
    }

    fn draft(&self, index: usize) -> &'a Draft {
        &self.drafts[index]
    }

    /// Returns whether it has exactly one reader, so that it can be removed.
    fn single(&self, index: usize) -> bool {
        self.uses[index] == 1
    }

    /// Returns the only input of a layer with one input.
    fn input(&self, index: usize) -> Option<usize> {
        match self.drafts[index].inputs.as_slice() {
            [only] => Some(*only),
            _ => None,
        }
    }

    /// Returns the two inputs of a layer, in both orders.
    fn pairs(&self, index: usize) -> Vec<(usize, usize)> {
        match self.drafts[index].inputs.as_slice() {
            &[a, b] => vec![(a, b), (b, a)],
            _ => vec![],
        }
    }
}

/// Replaces all patterns; those that join modules unless `by_module`. Drafts that only replaced layers read are dead
/// afterwards.
pub(super) fn recognise(drafts: &mut [Draft], outputs: &[usize], by_module: bool) {
    let joining = if by_module { &[] } else { ACROSS_MODULES };
    let mut view_uses = uses(drafts, outputs);
    // Before permutations are joined: the transposition of the keys is part of attention.
    for index in 0..drafts.len() {
        attended(drafts, &mut view_uses, index);
    }
    for index in 0..drafts.len() {
        if attended(drafts, &mut view_uses, index) {
            continue;
        }
        // A replaced layer may be the end of a larger pattern.
        for _ in 0..4 {
            let view = View { drafts, uses: std::mem::take(&mut view_uses) };
            let here = &drafts[index].place.module;
            let fits = |found: &Match| !by_module || drafts[found.named].place.module == *here;
            let found = PATTERNS.iter().chain(joining).find_map(|pattern| pattern(&view, index).filter(fits));
            view_uses = view.uses;
            let Some(found) = found else { break };
            let (place, origin) = (drafts[found.named].place.clone(), drafts[found.named].origin.clone());
            // First the new inputs, so that no draft that is still read is removed.
            for &input in &found.inputs {
                view_uses[input] += 1;
            }
            release(drafts, &mut view_uses, index);
            let draft = &mut drafts[index];
            (draft.place, draft.origin) = (place, origin);
            draft.layer = Some(found.layer);
            draft.inputs = found.inputs;
            draft.weights = found.weights;
        }
    }
}

/// Replaces the draft `index` by attention if it is the end of that pattern.
fn attended(drafts: &mut [Draft], uses: &mut Vec<usize>, index: usize) -> bool {
    let view = View { drafts, uses: std::mem::take(uses) };
    let found = attention::attention(&view, index);
    *uses = view.uses;
    let Some(found) = found else { return false };
    for &input in found.beside.iter().flat_map(|(_, draft)| &draft.inputs).chain(&found.inputs) {
        uses[input] += 1;
    }
    release(drafts, uses, index);
    let old = drafts[index].clone();
    let made = Draft {
        place: found.place,
        layer: Some(found.layer),
        inputs: found.inputs,
        weights: found.weights,
        ..old
    };
    drafts[index] = made;
    for (slot, draft) in found.beside {
        // A new draft reads the slot, so its old operands were not released above.
        release(drafts, uses, slot);
        drafts[slot] = draft;
    }
    true
}

/// Removes the uses of the inputs of `index`, and of everything that only these kept alive.
fn release(drafts: &mut [Draft], uses: &mut [usize], index: usize) {
    let mut stack: Vec<usize> = drafts[index].inputs.clone();
    while let Some(input) = stack.pop() {
        uses[input] = uses[input].saturating_sub(1);
        if uses[input] == 0 && drafts[input].layer.is_some() {
            stack.extend(std::mem::take(&mut drafts[input].inputs));
        }
    }
}
