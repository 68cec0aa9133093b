//! The imported network before it becomes a graph: layers with the constants that are their weights. Patterns
//! are recognised at this stage (`patterns`), where everything is typed but can still change.

use super::constant::Constant;
use super::names::ModulePath;
use cnnkit_core::layers::{Io, Layer};
use cnnkit_core::shape::Shape;
use cnnkit_core::source::Origin;

/// A layer, or an input, before it becomes a node of the graph.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Its module path, from the exporter.
    pub place: ModulePath,
    /// The text by which a user finds it in the file: `` `/conv1/Conv` (Conv) ``.
    pub title: String,
    /// Its layer; none for an input of the network.
    pub layer: Option<Layer>,
    /// Its inputs: indices of earlier drafts.
    pub inputs: Vec<usize>,
    /// The shape of its output, without the batch.
    pub shape: Shape,
    /// One constant per weight that the layer declares, in the layer's order.
    pub weights: Vec<Constant>,
    /// Where it was written, if the file states that.
    pub origin: Origin,
}

impl Draft {
    /// Returns the stored tensors that its weights are, each with its changes; none if a weight is not a
    /// stored tensor.
    pub fn stored(&self) -> Option<Vec<(usize, &[super::constant::Change])>> {
        self.weights.iter().map(|weight| Some((weight.root?, weight.view.as_slice()))).collect()
    }

    /// Returns what it has in common with layers of `drafts` that share its weights: the stored tensors and their roles. A
    /// tensor that is a weight of one layer and something else of another is counted once all the same.
    pub fn shared(&self, drafts: &[Self]) -> Option<String> {
        let stored = self.stored().filter(|stored| !stored.is_empty())?;
        let shapes: Vec<Shape> = self.inputs.iter().map(|&input| drafts[input].shape.clone()).collect();
        let declared =
            self.layer.as_ref()?.weights(Io { inputs: &shapes, output: &self.shape }).unwrap_or_default();
        let roles: Vec<_> = declared.iter().map(|weight| (weight.name, &weight.shape)).collect();
        Some(format!("{stored:?} {roles:?}"))
    }
}

/// Returns, for each draft, how many others read it.
pub fn uses(drafts: &[Draft], outputs: &[usize]) -> Vec<usize> {
    let mut uses = vec![0; drafts.len()];
    for input in drafts.iter().flat_map(|draft| &draft.inputs).chain(outputs) {
        uses[*input] += 1;
    }
    uses
}

/// Removes layers without effect: their readers read their input instead.
pub fn without_identities(drafts: &mut [Draft], outputs: &mut [usize]) {
    let mut stands_for: Vec<usize> = (0..drafts.len()).collect();
    for index in 0..drafts.len() {
        for input in &mut drafts[index].inputs {
            *input = stands_for[*input];
        }
        if let (Some(Layer::Identity(_)), [only]) = (&drafts[index].layer, drafts[index].inputs.as_slice()) {
            stands_for[index] = *only;
        }
    }
    outputs.iter_mut().for_each(|output| *output = stands_for[*output]);
}

/// Returns the drafts on which the outputs depend, and the inputs, with their new indices.
pub fn compact(drafts: Vec<Draft>, outputs: &mut [usize]) -> Vec<Draft> {
    let mut live: Vec<bool> = drafts.iter().map(|draft| draft.layer.is_none()).collect();
    for &output in outputs.iter() {
        live[output] = true;
    }
    for index in (0..drafts.len()).rev() {
        if live[index] {
            for &input in &drafts[index].inputs {
                live[input] = true;
            }
        }
    }
    let mut places = vec![0; drafts.len()];
    let mut kept = Vec::with_capacity(drafts.len());
    for (index, mut draft) in drafts.into_iter().enumerate() {
        places[index] = kept.len();
        if live[index] {
            draft.inputs.iter_mut().for_each(|input| *input = places[*input]);
            kept.push(draft);
        }
    }
    outputs.iter_mut().for_each(|output| *output = places[*output]);
    kept
}
