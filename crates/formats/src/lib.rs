//! Model files: ONNX and exported programs of PyTorch into a graph, a graph as ONNX, PyTorch or a spec; arrays and pictures
//! as tensors.

pub mod arrays;
pub mod export;
pub mod onnx;
#[cfg(feature = "pictures")]
pub mod pictures;
pub mod pt2;
