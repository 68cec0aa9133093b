//! Writers of a network: as a PyTorch module, as an ONNX model, as a spec.
//!
//! `outline` divides the graph into groups by its ids, `fold` finds groups with equal structure; neither depends on a
//! target language. Each writer translates every layer or reports an error: nothing is omitted silently.

mod escape;
mod fold;
pub mod onnx;
mod outline;
pub mod pytorch;
pub mod same;
pub mod yaml;

use cnnkit_core::graph::Node;
use cnnkit_core::layers::WeightRole;

/// Returns whether `learned: false` has an effect on `node`: a layer that has buffers only (an attention's mask) is
/// the same without.
fn has_fixed_weights(node: &Node) -> bool {
    let fixed = node.weights.iter().any(|weight| weight.role == WeightRole::Fixed);
    node.frozen && (fixed || node.weights.is_empty())
}
