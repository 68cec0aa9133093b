//! From ONNX operators to layers. One file a family of operators; [`operators`] is the only list.
//!
//! Operators on constants are computed (shape arithmetic vanishes); operators on values become layers. Tensors of the
//! graph have no batch axis: a [`Value`] remembers which axis of the ONNX tensor is the batch.

mod arithmetic;
mod aten;
mod attention;
mod attributes;
mod choice;
mod constant_source;
mod context;
mod control;
mod conv;
mod einsum;
mod elements;
mod evaluate;
mod fold;
mod gather;
mod linear;
mod masks;
mod mean;
mod norm;
mod opaque;
mod output_shape;
mod pointwise;
mod pool;
mod quantised;
mod resample;
mod resize;
mod runtime;
mod shapes;
mod slice_concat;
mod slots;
mod stored;
mod table;

pub use aten::ATEN;
pub use constant_source::constant_output;
pub use context::{Flaw, Lower, Outcome, Tensor, Use, Value, shape};
pub use table::{Operator, operators};
