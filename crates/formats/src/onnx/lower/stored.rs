//! Tensors that the file stores.

use super::context::{Lower, Use};
use crate::onnx::constant::Constant;
use crate::onnx::names::ModulePath;

/// Returns the module path in the name of the stored tensor that `constant` is: `encoder.pos_embedding`.
pub(super) fn place_of(lower: &Lower, used: Use<'_>, constant: &Constant) -> ModulePath {
    let name =
        constant.root.and_then(|root| lower.tensors.get(root)).map_or("", |tensor| tensor.name.as_str());
    if name.is_empty() || name.contains("::") || name.contains('/') || name.starts_with("val_") {
        return crate::onnx::names::place(used.node);
    }
    match name.rsplit_once('.') {
        Some((module, leaf)) => ModulePath { module: module.to_owned(), leaf: leaf.to_owned() },
        None => ModulePath { module: String::new(), leaf: name.to_owned() },
    }
}
