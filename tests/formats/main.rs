//! Model files: ONNX in and out, PyTorch and YAML out, damaged and hostile files.

mod export;
mod export_onnx;
mod fuzzed;
mod onnx;
mod onnx_cases;
mod onnx_commands;
mod onnx_figures;
mod onnx_hostile;
mod onnx_tied;
mod pt2;
#[path = "../support/mod.rs"]
mod support;
