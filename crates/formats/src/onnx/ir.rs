//! The imported network before it becomes a graph: layers with the constants that are their weights. Patterns are
//! recognised here (`patterns`), where everything is typed and nothing is final.

use super::constant::Constant;
use super::names::ModulePath;
use cnnkit_core::layers::Layer;
use cnnkit_core::shape::Shape;

/// A layer, or an input, on its way into the graph.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Where the exporter says it belongs.
    pub place: ModulePath,
    /// How people find it in the file: `` `/conv1/Conv` (Conv) ``.
    pub title: String,
    /// What it does; none for an input of the network.
    pub layer: Option<Layer>,
    /// What it reads: indices of earlier drafts.
    pub inputs: Vec<usize>,
    /// The shape of its output, without the batch.
    pub shape: Shape,
    /// A constant for each weight that the layer declares, in its order.
    pub weights: Vec<Constant>,
}

impl Draft {
    /// The stored tensors that its weights are, each with what was done to it; none if a weight is no stored tensor.
    pub fn stored(&self) -> Option<Vec<(usize, &[super::constant::Change])>> {
        self.weights.iter().map(|weight| Some((weight.root?, weight.view.as_slice()))).collect()
    }
}

/// For each draft, how many others read it.
pub fn uses(drafts: &[Draft], outputs: &[usize]) -> Vec<usize> {
    let mut uses = vec![0; drafts.len()];
    for input in drafts.iter().flat_map(|draft| &draft.inputs).chain(outputs) {
        uses[*input] += 1;
    }
    uses
}

/// Lets readers of a layer that does nothing read what it reads.
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

/// The drafts that the outputs depend on, and the inputs, with their new indices.
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
