//! Max pools: each output is the largest of the elements it reads. NaN wins, as in PyTorch, and padding never does.

use super::call::{Call, Gradients};
use super::means::{adaptive_windows, collapsed};
use super::space::{Sliding, wide};
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::axes::OutputSize;
use cnnkit_core::layers::conv::PaddingMode;
use cnnkit_core::layers::max_pool::MaxPool;

/// For each output position of one channel, the elements it reads.
pub(super) struct Maxima {
    outputs: Vec<usize>,
    rows: Vec<Vec<usize>>,
}

impl Maxima {
    /// Returns the index of the first largest element.
    fn winner<S: Scalar>(map: &[S], places: &[usize]) -> Option<usize> {
        let mut best = *places.first()?;
        for &place in &places[1..] {
            if !map[best].is_nan() && (map[place] > map[best] || map[place].is_nan()) {
                best = place;
            }
        }
        Some(best)
    }

    pub(super) fn forward<S: Scalar>(&self, input: &Tensor<S>) -> Result<Tensor<S>, Problem> {
        let channels = input.image_sizes()[0];
        let plane = input.image_len() / channels.max(1);
        let mut data = Vec::with_capacity(input.batch() * channels * self.rows.len());
        for map in input.data().chunks(plane.max(1)) {
            for places in &self.rows {
                let winner = Self::winner(map, places)
                    .ok_or_else(|| Problem::shape("a window of the max pool lies in the padding alone"))?;
                data.push(map[winner]);
            }
        }
        Tensor::new(&super::conv::image(input.batch(), channels, &self.outputs), data)
    }

    /// Computes the gradient, which goes to the first largest element, as in PyTorch.
    pub(super) fn backward<S: Scalar>(&self, call: Call<'_, S>, vector: &Tensor<S>) -> Gradients<S> {
        let input = call.input();
        let plane = input.image_len() / input.image_sizes()[0].max(1);
        let mut gradients = call.zero_gradients();
        let targets = gradients.inputs[0].data_mut().chunks_mut(plane.max(1));
        let maps = input.data().chunks(plane.max(1));
        for ((target, map), from) in targets.zip(maps).zip(vector.data().chunks(self.rows.len().max(1))) {
            for (places, &gradient) in self.rows.iter().zip(from) {
                if let Some(winner) = Self::winner(map, places) {
                    target[winner] += gradient;
                }
            }
        }
        gradients
    }
}

pub(super) fn max_pool(layer: &MaxPool, input: &[usize]) -> Result<Maxima, Problem> {
    let space = &input[1..];
    let sliding = Sliding::new(space, &layer.windows(&wide(space))?, PaddingMode::Zeros, layer.ceil_mode)?;
    let mut taps = Vec::new();
    let rows = (0..sliding.positions()).map(|position| {
        sliding.read(position, &mut taps);
        taps.iter().flatten().copied().collect()
    });
    Ok(Maxima { rows: rows.collect(), outputs: sliding.outputs.clone() })
}

pub(super) fn adaptive_max_pool(size: &OutputSize, input: &[usize]) -> Result<Maxima, Problem> {
    let (outputs, rows) = adaptive_windows(size, input)?;
    Ok(Maxima { outputs, rows })
}

pub(super) fn global_max_pool(keepdim: bool, input: &[usize]) -> Maxima {
    let plane = input[1..].iter().product();
    Maxima { outputs: collapsed(keepdim, input), rows: vec![(0..plane).collect()] }
}
