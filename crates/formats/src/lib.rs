//! Model files: ONNX and exported programs of PyTorch to a graph; a graph to ONNX, PyTorch or a spec; arrays and pictures to
//! tensors.

pub mod arrays;
pub mod export;
pub mod onnx;
#[cfg(feature = "pictures")]
pub mod pictures;
pub mod pt2;
