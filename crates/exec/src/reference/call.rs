//! The arguments of a layer's computation, and the result of its vector-Jacobian product.

use std::sync::Arc;

use crate::scalar::Scalar;
use crate::tensor::Tensor;
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::layers::Weight;

/// One call of a layer: its inputs and weights.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a, S> {
    /// The inputs, batch axis first.
    pub inputs: &'a [&'a Tensor<S>],
    /// The weights that the layer declares.
    pub declared: &'a [Weight],
    /// One tensor per declared weight.
    pub weights: &'a [Arc<Tensor<S>>],
}

impl<'a, S: Scalar> Call<'a, S> {
    /// Returns the first input.
    pub fn input(&self) -> &'a Tensor<S> {
        self.inputs[0]
    }

    /// Returns the weight `name`, if the layer has it.
    pub fn weight(&self, name: &str) -> Option<&'a Tensor<S>> {
        self.place(name).and_then(|place| self.weights.get(place)).map(AsRef::as_ref)
    }

    /// Returns the weight `name`, or an error.
    pub fn need(&self, name: &str) -> Result<&'a Tensor<S>, Problem> {
        self.weight(name)
            .ok_or_else(|| Problem::new(Code::Missing, format!("the weight `{name}` is missing")))
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.declared.iter().position(|weight| weight.name == name)
    }

    /// Returns gradients of zero.
    pub fn zero_gradients(&self) -> Gradients<S> {
        Gradients {
            inputs: self.inputs.iter().map(|input| Tensor::zeros(input.sizes())).collect(),
            weights: self.weights.iter().map(|weight| Tensor::zeros(weight.sizes())).collect(),
        }
    }

    /// Returns the gradient of the only input; those of the weights are zero.
    pub fn input_gradient(&self, gradient: Tensor<S>) -> Gradients<S> {
        Gradients {
            inputs: vec![gradient],
            weights: self.weights.iter().map(|weight| Tensor::zeros(weight.sizes())).collect(),
        }
    }

    /// Sets the gradient of the weight `name`.
    pub fn put(&self, gradients: &mut Gradients<S>, name: &str, gradient: Vec<S>) {
        if let Some(place) = self.place(name)
            && let Ok(tensor) = Tensor::new(self.weights[place].sizes(), gradient)
        {
            gradients.weights[place] = tensor;
        }
    }
}

/// The vector-Jacobian product of a layer: the gradient of (output . vector) with respect to everything it reads.
#[derive(Debug, Clone)]
pub struct Gradients<S> {
    /// Gradients of the inputs, one per input.
    pub inputs: Vec<Tensor<S>>,
    /// Gradients of the weights, one per declared weight, buffers included.
    pub weights: Vec<Tensor<S>>,
}

/// Multiply-adds done, counted in the loops that do them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counter {
    /// Multiply-adds of convolutions and linear maps on input elements.
    pub macs: u64,
    /// Multiply-adds of convolutions on padding: skipped here, but part of the usual count.
    pub padding: u64,
    /// Multiply-adds of bilinear sampling: 4 per sampled tap.
    pub sampling: u64,
}

impl Counter {
    /// Returns the count as the layers define it, taps on padding included.
    pub fn total(&self) -> u64 {
        self.macs + self.padding
    }
}
