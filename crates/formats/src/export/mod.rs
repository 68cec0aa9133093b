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
