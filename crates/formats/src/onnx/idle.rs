//! Stored tensors that no layer has as a weight: PyTorch counts them, so they are counted.
//!
//! - A tensor whose module is a layer with weights of the same role counts with that layer: a batch norm's
//!   `num_batches_tracked`.
//! - Any other becomes a `learned_tensor` that nothing reads: the auxiliary heads of a network in evaluation mode, the index
//!   tables of window attention. It has one element, so that no memory is planned for it, and counts as all of them.

use std::collections::{BTreeMap, HashSet};

use super::constant::{Change, Constant};
use super::declared::Declared;
use super::ir::Draft;
use super::lower::Lower;
use super::names::ModulePath;
use cnnkit_core::graph::{Builder, NodeId};
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::learned_tensor::LearnedTensor;
use cnnkit_core::shape::Shape;

/// What counts beyond the weights that layers have.
#[derive(Debug, Default)]
pub(super) struct Idle {
    /// What a weight counts as, by the indices of its node and of the weight.
    counts: BTreeMap<(usize, usize), u64>,
}

/// The module of a stored tensor, and its name there.
fn apart(name: &str) -> (&str, &str) {
    name.rsplit_once('.').unwrap_or(("", name))
}

impl Idle {
    /// Finds the idle tensors of a model, and adds drafts for those that count with no layer.
    pub fn of(drafts: &mut Vec<Draft>, lower: &Lower, declared: &Declared) -> Self {
        let weights = drafts.iter().flat_map(|draft| &draft.weights);
        let used: HashSet<usize> =
            weights.flat_map(|weight| weight.root.iter().chain(&weight.sources).copied()).collect();
        // The last weight of each module and role.
        let mut slots: BTreeMap<(String, bool), (usize, usize)> = BTreeMap::new();
        for (node, draft) in drafts.iter().enumerate() {
            for (index, weight) in
                draft.weights.iter().enumerate().filter(|(_, weight)| weight.view.is_empty())
            {
                let Some(tensor) = weight.root.and_then(|root| lower.tensors.get(root)) else { continue };
                let key = (apart(&tensor.name).0.to_owned(), declared.buffers.contains(&tensor.name));
                let slot = slots.entry(key).or_insert((node, index));
                if slot.0 == node {
                    *slot = (node, index);
                }
            }
        }
        let mut idle = Self::default();
        idle.without_computed(drafts, lower, declared);
        for (root, tensor) in lower.tensors.iter().enumerate() {
            // Numbers in the code have no owner; tensors in nodes have no name.
            if used.contains(&root) || tensor.name.is_empty() || declared.constants.contains(&tensor.name) {
                continue;
            }
            let Ok(whole) = Constant::of_tensor(tensor, root) else { continue };
            let Ok(elements) = whole.elements() else { continue };
            if elements == 0 {
                continue;
            }
            let buffer = declared.buffers.contains(&tensor.name);
            let (module, leaf) = apart(&tensor.name);
            if let Some(&(node, index)) = slots.get(&(module.to_owned(), buffer)) {
                let own = drafts[node].weights[index].elements().unwrap_or(u64::MAX);
                let count = idle.counts.entry((node, index)).or_insert(own);
                *count = count.saturating_add(elements);
                continue;
            }
            let first = Change::Slice { axis: 0, start: 0, end: 1 };
            let flat = whole.changed(Change::Reshape(vec![elements]), vec![elements]).changed(first, vec![1]);
            idle.counts.insert((drafts.len(), 0), elements);
            // Its own name, so that it does not stand for its module.
            let place = ModulePath { module: tensor.name.clone(), leaf: leaf.to_owned() };
            drafts.push(Draft {
                place,
                title: format!("the stored tensor `{}`", tensor.name),
                layer: Some(Layer::LearnedTensor(LearnedTensor { shape: vec![1], learned: !buffer })),
                inputs: vec![0],
                shape: Shape::from([1]),
                weights: vec![flat],
                origin: lower.origins.of_tensor(&tensor.name),
            });
        }
        idle
    }

    /// Counts what is no tensor of the module as nothing: numbers in the code, masks that are computed in every run. A buffer
    /// from which one is computed counts by itself.
    fn without_computed(&mut self, drafts: &[Draft], lower: &Lower, declared: &Declared) {
        for (node, draft) in drafts.iter().enumerate() {
            for (index, weight) in draft.weights.iter().enumerate() {
                let own = match weight.root.and_then(|root| lower.tensors.get(root)) {
                    Some(tensor) => !tensor.name.is_empty() && !declared.constants.contains(&tensor.name),
                    None => !weight.sources.is_empty(),
                };
                if !own {
                    self.counts.insert((node, index), 0);
                }
            }
        }
    }

    /// Says of the weights what they count as.
    pub fn count(&self, builder: &mut Builder) {
        for (&(node, index), &elements) in &self.counts {
            builder.count(NodeId::new(node), index, elements);
        }
    }
}
