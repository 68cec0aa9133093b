//! Tensors in files: NumPy's `.npy` and `.npz`, and safetensors.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use ndarray::ArrayD;
use ndarray_npy::{NpzReader, NpzWriter, ReadNpyError, ReadNpzError, ReadableElement};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_exec::tensor::Tensor;

/// Formats of files with many tensors.
enum Format {
    Npz,
    Safetensors,
}

fn failure(path: &str, action: &str, error: impl std::fmt::Display) -> Problem {
    Problem::new(Code::Io, format!("cannot {action} `{path}`: {error}"))
}

fn format(path: &str) -> Result<Format, Problem> {
    match path {
        path if is(path, "npz") => Ok(Format::Npz),
        path if is(path, "safetensors") => Ok(Format::Safetensors),
        _ => Err(Problem::new(Code::Io, format!("`{path}` is neither .npz nor .safetensors"))
            .help("the end of the file's name says its format")),
    }
}

/// Returns whether the file's extension is `extension`, in lower or upper case.
pub fn is(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|end| end.eq_ignore_ascii_case(extension))
}

/// Reads the tensor in a `.npy` file: f32, or f64 rounded to f32.
pub fn read_npy(path: &str) -> Result<Tensor<f32>, Problem> {
    match array::<f32>(path) {
        Ok(array) => Ok(Tensor::from_array(array)),
        Err(ReadNpyError::WrongDescriptor(_)) => array::<f64>(path)
            .map(|array| Tensor::from_array(array).cast())
            .map_err(|error| failure(path, "read", error).help("the elements must be float32 or float64")),
        Err(error) => Err(failure(path, "read", error)),
    }
}

fn array<T: ReadableElement>(path: &str) -> Result<ArrayD<T>, ReadNpyError> {
    ndarray_npy::read_npy(path)
}

/// Writes `tensor` as a `.npy` file.
pub fn write_npy(path: &str, tensor: &Tensor<f32>) -> Result<(), Problem> {
    ndarray_npy::write_npy(path, tensor.array()).map_err(|error| failure(path, "write", error))
}

/// Reads all tensors of a `.npz` or `.safetensors` file, by name.
pub fn read_weights(path: &str) -> Result<HashMap<String, Tensor<f32>>, Problem> {
    match format(path)? {
        Format::Npz => read_npz(path),
        Format::Safetensors => read_safetensors(path),
    }
}

fn read_npz(path: &str) -> Result<HashMap<String, Tensor<f32>>, Problem> {
    let file = File::open(path).map_err(|error| failure(path, "read", error))?;
    let mut reader = NpzReader::new(file).map_err(|error| failure(path, "read", error))?;
    let mut tensors = HashMap::new();
    for name in reader.names().map_err(|error| failure(path, "read", error))? {
        let single: Result<ArrayD<f32>, ReadNpzError> = reader.by_name(&name);
        let tensor = match single {
            Ok(array) => Tensor::from_array(array),
            Err(ReadNpzError::Npy(ReadNpyError::WrongDescriptor(_))) => {
                let double: Result<ArrayD<f64>, ReadNpzError> = reader.by_name(&name);
                match double {
                    Ok(array) => Tensor::from_array(array).cast(),
                    // PyTorch's counters are integers; inference does not use them.
                    Err(_) if name.ends_with("num_batches_tracked") => continue,
                    Err(error) => return Err(failure(path, &format!("read `{name}` of"), error)),
                }
            }
            Err(error) => return Err(failure(path, &format!("read `{name}` of"), error)),
        };
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

fn read_safetensors(path: &str) -> Result<HashMap<String, Tensor<f32>>, Problem> {
    let bytes = std::fs::read(path).map_err(|error| failure(path, "read", error))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| failure(path, "read", error))?;
    let mut tensors = HashMap::new();
    for (name, view) in file.iter() {
        let data: Vec<f32> = match view.dtype() {
            Dtype::F32 => view.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
            #[expect(clippy::cast_possible_truncation, reason = "rounded to the network's type")]
            Dtype::F64 => {
                view.data().as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes) as f32).collect()
            }
            _ if name.ends_with("num_batches_tracked") => continue,
            other => {
                let message = format!("not supported: `{name}` of `{path}` has elements of type {other:?}");
                return Err(Problem::new(Code::Io, message).help("the elements must be F32 or F64"));
            }
        };
        tensors.insert(name.to_owned(), Tensor::new(view.shape(), data)?);
    }
    Ok(tensors)
}

/// Writes named tensors as a `.npz` or `.safetensors` file.
pub fn write_weights<'a>(
    path: &str,
    tensors: impl Iterator<Item = (String, &'a Tensor<f32>)>,
) -> Result<(), Problem> {
    match format(path)? {
        Format::Npz => {
            let file = File::create(path).map_err(|error| failure(path, "write", error))?;
            let mut writer = NpzWriter::new(file);
            for (name, tensor) in tensors {
                writer.add_array(name, tensor.array()).map_err(|error| failure(path, "write", error))?;
            }
            writer.finish().map(|_| ()).map_err(|error| failure(path, "write", error))
        }
        Format::Safetensors => {
            let bytes = |tensor: &Tensor<f32>| -> Vec<u8> {
                tensor.data().iter().flat_map(|value| value.to_le_bytes()).collect()
            };
            let data: Vec<(String, Vec<usize>, Vec<u8>)> =
                tensors.map(|(name, tensor)| (name, tensor.sizes().to_vec(), bytes(tensor))).collect();
            let mut views = Vec::with_capacity(data.len());
            for (name, sizes, bytes) in &data {
                let view = TensorView::new(Dtype::F32, sizes.clone(), bytes);
                views.push((name.as_str(), view.map_err(|error| failure(path, "write", error))?));
            }
            safetensors::serialize_to_file(views, None, Path::new(path))
                .map_err(|error| failure(path, "write", error))
        }
    }
}
