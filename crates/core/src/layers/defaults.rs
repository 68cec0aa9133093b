//! Default values of arguments, for `#[serde(default = ...)]`.

use crate::layers::args::PerAxis;

/// Stride, dilation.
pub(super) fn one() -> PerAxis {
    PerAxis::all(1)
}

/// Switches that PyTorch has on.
pub(super) fn yes() -> bool {
    true
}

/// What PyTorch's norm layers add to the variance.
pub(super) fn eps() -> f64 {
    1e-5
}

/// ELU's and CELU's alpha, softplus's beta, the k of local response normalisation.
pub(super) fn unit() -> f64 {
    1.0
}
