//! Default values of arguments, for `#[serde(default = ...)]`.

use crate::layers::args::PerAxis;

/// Default of stride and dilation.
pub(super) fn one() -> PerAxis {
    PerAxis::all(1)
}

/// Default of switches that PyTorch has on.
pub(super) fn yes() -> bool {
    true
}

/// Default of the epsilon in PyTorch's norm layers.
pub(super) fn eps() -> f64 {
    1e-5
}

/// Default of ELU's and CELU's alpha, softplus's beta and the k of local response normalisation.
pub(super) fn unit() -> f64 {
    1.0
}
