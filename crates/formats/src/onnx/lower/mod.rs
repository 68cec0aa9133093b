//! The lowering of ONNX operators to layers. One file per family of operators; [`operators`] is the only
//! list.
//!
//! Operators on constants are computed (shape arithmetic disappears); operators on values become layers.
//! Tensors of the graph have no batch axis: a [`Value`] has the index of the batch axis in the ONNX tensor.

mod arithmetic;
mod aten;
mod attention;
mod attributes;
mod blocked;
mod choice;
mod constant_source;
mod context;
mod control;
mod conv;
mod dynamic_conv;
mod einsum;
mod elements;
mod evaluate;
mod fold;
mod gather;
mod integers;
mod linear;
mod masks;
mod mean;
mod norm;
mod opaque;
mod output_shape;
mod pad;
mod pointwise;
mod pool;
mod quantised;
mod recurrent;
mod resample;
mod resize;
mod runtime;
mod shapes;
mod slice_concat;
mod slots;
mod stack;
mod stored;
mod table;

pub use aten::ATEN;
pub use constant_source::constant_output;
pub use context::{Flaw, Lower, Outcome, Tensor, Use, Value, shape};
pub use opaque::MACS;
pub use table::{Operator, operators};
