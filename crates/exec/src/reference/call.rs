//! What a layer is given to compute with, and what its vector-Jacobian product returns.

use std::sync::Arc;

use crate::scalar::Scalar;
use crate::tensor::Tensor;
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::layers::Weight;

/// One use of a layer: its inputs and its weights.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a, S> {
    /// The inputs, the batch axis first.
    pub inputs: &'a [&'a Tensor<S>],
    /// What the layer declares.
    pub declared: &'a [Weight],
    /// A tensor for each declared weight.
    pub weights: &'a [Arc<Tensor<S>>],
}

impl<'a, S: Scalar> Call<'a, S> {
    /// The first input.
    pub fn input(&self) -> &'a Tensor<S> {
        self.inputs[0]
    }

    /// The weight `name`, if the layer has it.
    pub fn weight(&self, name: &str) -> Option<&'a Tensor<S>> {
        self.place(name).and_then(|place| self.weights.get(place)).map(AsRef::as_ref)
    }

    /// The weight `name`.
    pub fn need(&self, name: &str) -> Result<&'a Tensor<S>, Problem> {
        self.weight(name)
            .ok_or_else(|| Problem::new(Code::Missing, format!("the weight `{name}` is not there")))
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.declared.iter().position(|weight| weight.name == name)
    }

    /// Gradients of zero.
    pub fn zero_gradients(&self) -> Gradients<S> {
        Gradients {
            inputs: self.inputs.iter().map(|input| Tensor::zeros(input.sizes())).collect(),
            weights: self.weights.iter().map(|weight| Tensor::zeros(weight.sizes())).collect(),
        }
    }

    /// Gradients of the only input, with those of the weights still zero.
    pub fn input_gradient(&self, gradient: Tensor<S>) -> Gradients<S> {
        Gradients {
            inputs: vec![gradient],
            weights: self.weights.iter().map(|weight| Tensor::zeros(weight.sizes())).collect(),
        }
    }

    /// Puts the gradient of the weight `name` in its place.
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
    /// One an input.
    pub inputs: Vec<Tensor<S>>,
    /// One a declared weight, buffers included.
    pub weights: Vec<Tensor<S>>,
}

/// Multiply-adds really done, counted where they are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counter {
    /// Of convolutions and linear maps, on real elements.
    pub macs: u64,
    /// Of convolutions, on padding: skipped here, but part of the usual count.
    pub padding: u64,
    /// Of bilinear sampling: 4 a sampled tap.
    pub sampling: u64,
}

impl Counter {
    /// With the taps on padding, as the layers count.
    pub fn total(&self) -> u64 {
        self.macs + self.padding
    }
}
