//! Sets that are known to be exact, from which a search element by element need go no further.

use super::Runs;

/// The sets of nodes up to which no layer turns channels into positions and no unit reads padding alone: there they
/// are exact.
#[derive(Clone, Copy)]
pub struct Settled<'a> {
    /// For each node, its sets, if it depends on the source.
    pub sets: &'a [Option<Runs>],
    /// For each node, whether its sets are exact.
    pub clean: &'a [bool],
}

impl Settled<'_> {
    /// Returns whether the sets of a node are exact.
    pub fn has(&self, node: usize) -> bool {
        node < self.sets.len() && self.clean.get(node) == Some(&true)
    }

    /// Returns the sets of a node, if they are exact and the node depends on the source.
    pub fn of(&self, node: usize) -> Option<&Runs> {
        self.sets.get(node).and_then(Option::as_ref).filter(|_| self.has(node))
    }
}
