//! A network written down for others: as a PyTorch module, as an ONNX model, as a spec.
//!
//! [`outline`] divides the graph into groups as its ids do, [`fold`] finds those that are alike; both know no target
//! language. Each writer says in its own words what a layer is, or refuses: nothing is left out in silence.

pub mod fold;
pub mod onnx;
pub mod outline;
pub mod pytorch;
pub mod same;
pub mod yaml;
