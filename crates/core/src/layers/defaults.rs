//! Default values of arguments, for `#[serde(default = ...)]`.

use crate::layers::args::PerAxis;

/// Returns the default of stride and dilation.
pub(super) fn one() -> PerAxis {
    PerAxis::all(1)
}

/// Returns the default of switches that PyTorch has on.
pub(super) fn yes() -> bool {
    true
}

/// Returns the default of the epsilon in PyTorch's norm layers.
pub(super) fn eps() -> f64 {
    1e-5
}

/// Returns the default of ELU's and CELU's alpha, softplus's beta and the k of local response normalisation.
pub(super) fn unit() -> f64 {
    1.0
}
