//! What another format says of stored tensors.

use std::collections::{HashMap, HashSet};

use cnnkit_core::source::Origin;

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
    /// Where its layers were written.
    pub origins: Origins,
}

/// Where the layers of a model were written.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    /// Where the network as a whole was written.
    pub whole: Origin,
    /// Where each node was written, by its name.
    pub nodes: HashMap<String, Origin>,
    /// Where each stored tensor was written, by its name.
    pub tensors: HashMap<String, Origin>,
}

impl Origins {
    /// Returns where a node was written.
    pub fn of_node(&self, name: &str) -> Origin {
        self.nodes.get(name).cloned().unwrap_or_default()
    }

    /// Returns where a stored tensor was written.
    pub fn of_tensor(&self, name: &str) -> Origin {
        self.tensors.get(name).cloned().unwrap_or_default()
    }
}
