//! One checked spec.

use crate::Outcome;
use cnnkit_core::source::Sources;

/// One spec with the result of its check.
#[derive(Debug)]
pub struct Checked {
    /// The SPEC argument, or the path.
    pub path: String,
    /// The network's name; `None` if it could not be built.
    pub name: Option<String>,
    /// The texts.
    pub sources: Sources,
    /// The result.
    pub outcome: Outcome,
}
