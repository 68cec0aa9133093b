//! A layer with its shapes and weights, the input of kernel selection.

use std::sync::Arc;

use crate::tensor::Tensor;
use cnnkit_core::layers::{Layer, Weight};

/// One use of a layer: its sizes, batch first, and its weights.
#[derive(Debug, Clone, Copy)]
pub(super) struct LayerUse<'a> {
    pub layer: &'a Layer,
    pub declared: &'a [Weight],
    pub weights: &'a [Arc<Tensor<f32>>],
    pub inputs: &'a [&'a [usize]],
    pub output: &'a [usize],
}

impl<'a> LayerUse<'a> {
    pub(super) fn weight(&self, name: &str) -> Option<&'a Arc<Tensor<f32>>> {
        let place = self.declared.iter().position(|weight| weight.name == name)?;
        self.weights.get(place)
    }

    pub(super) fn data(&self, name: &str) -> Vec<f32> {
        self.weight(name).map(|weight| weight.data().to_vec()).unwrap_or_default()
    }

    /// Returns the sizes of one image of the first input.
    pub(super) fn input(&self) -> &'a [usize] {
        &self.inputs[0][1..]
    }

    /// Returns the spatial sizes of the first input.
    pub(super) fn space(&self) -> &'a [usize] {
        self.input().get(1..).unwrap_or_default()
    }

    pub(super) fn wide(&self) -> Vec<u64> {
        self.space().iter().map(|&size| size as u64).collect()
    }
}

/// A norm with running statistics, as one factor and one shift per channel.
#[derive(Debug, Clone)]
pub(super) struct Fold {
    pub scale: Vec<f32>,
    pub shift: Vec<f32>,
}
