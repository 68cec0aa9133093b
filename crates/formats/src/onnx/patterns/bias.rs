//! A linear map or convolution, and the bias that an exporter adds in a separate node.

use super::{Match, View};
use crate::onnx::constant::Change;
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::conv::Conv;
use cnnkit_core::layers::conv_transpose::ConvTranspose;
use cnnkit_core::layers::linear::Linear;

/// Matches `x W + b`, with one number of `b` per output.
pub(super) fn linear(view: &View<'_>, index: usize) -> Option<Match> {
    let Layer::LearnedBias(bias) = view.layer(index)? else { return None };
    let map = view.input(index).filter(|&map| view.single(map) && bias.learned)?;
    let sizes = view.draft(index).weights.first()?.dims.clone();
    let long = |axis: usize| sizes.iter().enumerate().all(|(i, &size)| i == axis || size == 1);
    let (layer, outputs, axis) = match view.layer(map)? {
        Layer::Linear(layer) if !layer.bias => {
            (Layer::Linear(Linear { bias: true, ..layer.clone() }), layer.out_features, sizes.len() - 1)
        }
        Layer::Conv(layer) if !layer.bias => {
            (Layer::Conv(Conv { bias: true, ..layer.clone() }), layer.out_channels, 0)
        }
        Layer::ConvTranspose(layer) if !layer.bias => {
            (Layer::ConvTranspose(ConvTranspose { bias: true, ..layer.clone() }), layer.out_channels, 0)
        }
        _ => return None,
    };
    if !long(axis) || sizes[axis] != outputs {
        return None;
    }
    let mut weights = view.draft(map).weights.clone();
    let given = view.draft(index).weights.first()?;
    weights.push(given.changed(Change::Reshape(vec![outputs]), vec![outputs]));
    Some(Match { layer, inputs: view.draft(map).inputs.clone(), weights, named: map })
}
