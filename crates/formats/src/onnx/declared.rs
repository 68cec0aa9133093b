//! What another format says of stored tensors.

use std::collections::HashSet;

/// What another format says of a model's stored tensors, and ONNX does not.
#[derive(Debug, Default)]
pub struct Declared {
    /// Those that are not learned.
    pub buffers: HashSet<String>,
    /// Those that are numbers in the code, among the buffers; PyTorch counts them nowhere.
    pub constants: HashSet<String>,
    /// Whether every tensor counts as it is stored, read or not.
    pub every: bool,
    /// Whether weights are looked at, so that what is computed from them is known: to run the network.
    pub values: bool,
}
