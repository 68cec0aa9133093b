//! Elements of constants: how many are stored, and where broadcasting reads them.

use crate::onnx::constant::{Constant, KNOWN, strided};
use crate::onnx::proto::DataType;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::shape::product;

/// Computed constants of up to this many elements are always stored.
pub(super) const SMALL: u64 = 64;

/// Returns the broadcast sizes (NumPy's rule); an error if there are none.
pub(super) fn broadcast(a: &[u64], b: &[u64]) -> Result<Vec<u64>, Problem> {
    let rank = a.len().max(b.len());
    let size = |dims: &[u64], axis: usize| {
        if axis + dims.len() < rank { 1 } else { dims[axis + dims.len() - rank] }
    };
    (0..rank)
        .map(|axis| match (size(a, axis), size(b, axis)) {
            (x, y) if x == y || y == 1 => Ok(x),
            (1, y) => Ok(y),
            _ => Err(Problem::shape(format!("{a:?} and {b:?} cannot be joined element by element"))),
        })
        .collect()
}

/// Returns, for each element of a tensor of the sizes `to`, the index of the element of `from` that is
/// broadcast to it.
pub(super) fn places(from: &[u64], to: &[u64]) -> Vec<usize> {
    let rank = to.len();
    let mut steps = vec![0usize; rank];
    let mut step = 1;
    for axis in (0..from.len()).rev() {
        if from[axis] != 1 {
            steps[axis + rank - from.len()] = step;
        }
        step *= from[axis] as usize;
    }
    strided(to, &steps, 0)
}

/// Returns whether a tensor of these sizes may be computed here.
pub(super) fn small(dims: &[u64]) -> bool {
    product(dims).is_some_and(|elements| elements <= KNOWN)
}

/// Returns a constant that is computed from others and of which only the sizes are known.
pub(super) fn computed(dims: Vec<u64>, data_type: DataType) -> Constant {
    Constant { dims, data_type, root: None, view: vec![], values: None, derived: false, sources: vec![] }
}
