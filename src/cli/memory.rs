//! Models that a call has in memory: the Python package names them as the program names files.

use std::cell::RefCell;
use std::collections::HashMap;

thread_local! {
    /// Models in memory, by the names under which a call of this thread names them.
    static MODELS: RefCell<HashMap<String, Vec<u8>>> = RefCell::default();
}

/// Returns the models of the call.
pub fn models() -> Vec<(String, Vec<u8>)> {
    MODELS.with_borrow(|models| models.iter().map(|(name, bytes)| (name.clone(), bytes.clone())).collect())
}

/// Returns whether the call has a model of this name in memory.
pub fn has(name: &str) -> bool {
    MODELS.with_borrow(|models| models.contains_key(name))
}

/// Sets the models of the call.
pub fn set(models: HashMap<String, Vec<u8>>) {
    MODELS.set(models);
}
