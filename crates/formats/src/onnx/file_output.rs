//! An output of a model as the file has it: its name, its layout, its type.

use cnnkit_core::diagnostic::Problem;
use cnnkit_exec::tensor::Tensor as FloatTensor;

use super::quantisation::Quantised;

/// An output as in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileOutput {
    /// Its name.
    pub name: String,
    /// Its sizes, batch included; none where the shape is unknown.
    pub dims: Option<Vec<u64>>,
    /// Index of its batch axis; none if it has no batch axis.
    pub batch: Option<usize>,
    /// Whether it does not depend on the inputs.
    pub constant: bool,
    /// What its whole numbers stand for, if it has some that the network computes as real ones.
    pub quantised: Option<Quantised>,
}

impl FileOutput {
    /// What the network computes as the file has it: in its layout and type.
    ///
    /// # Errors
    /// If it has another size than is stated.
    pub fn in_file(&self, tensor: &FloatTensor<f32>) -> Result<FloatTensor<f32>, Problem> {
        let Some(dims) = &self.dims else { return Ok(tensor.clone()) };
        let mut tensor = match &self.quantised {
            Some(quantised) => {
                let numbers = tensor.data().iter().map(|&value| quantised.round(value)).collect();
                FloatTensor::new(tensor.sizes(), numbers)?
            }
            None => tensor.clone(),
        };
        let mut sizes: Vec<usize> = dims.iter().map(|&size| size as usize).collect();
        if self.constant && self.batch.is_none() && tensor.batch() > 1 {
            // It was computed once for each image.
            let one = tensor.data()[..tensor.image_len()].to_vec();
            tensor = FloatTensor::new(&[&[1], tensor.image_sizes()].concat(), one)?;
        }
        match self.batch {
            Some(axis) if axis < sizes.len() => {
                sizes.remove(axis);
                sizes.insert(0, tensor.batch());
                Ok(tensor.reshaped(&sizes)?.with_batch_at(axis))
            }
            _ if tensor.batch() == 1 => tensor.reshaped(&sizes),
            // Where the model has no batch axis, images come first.
            _ => Ok(tensor),
        }
    }
}
