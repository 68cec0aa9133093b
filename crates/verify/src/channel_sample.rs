//! A sample of a layer's output channels, for layers that the reference is too slow to compute in full.
//!
//! An output channel of a convolution or a linear map depends only on its own rows of the weights, so a layer with
//! just these rows computes these channels exactly as the whole layer does. Grouped convolutions are sampled by
//! group, with the input channels of that group; layers that process each channel separately are sampled by channel.

use std::sync::Arc;

use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, Node, Op};
use cnnkit_core::layers::args::Groups;
use cnnkit_core::layers::conv::Conv;
use cnnkit_core::layers::linear::Linear;
use cnnkit_core::layers::{Layer, Weight};
use cnnkit_core::shape::Shape;
use cnnkit_exec::reference::Call;
use cnnkit_exec::tensor::Tensor;

/// Minimum number of sampled channels: the first, the last, and some between.
const LEAST: u64 = 4;

/// A layer with fewer outputs, its inputs and weights, and the position of its outputs in the whole layer's output.
pub(super) struct Excerpt {
    pub layer: Layer,
    pub inputs: Vec<Tensor<f32>>,
    pub weights: Vec<Arc<Tensor<f32>>>,
    /// The sampled axis of the output (the batch is axis 0).
    axis: usize,
    /// The sampled indices on that axis.
    kept: Vec<usize>,
}

impl Excerpt {
    /// Returns a sample of `layer` with `share` of its outputs; `None` if it must be computed in full.
    pub fn of(layer: &Layer, call: Call<'_, f32>, share: f64) -> Result<Option<Self>, Problem> {
        if share >= 1.0 {
            return Ok(None);
        }
        let input = call.input();
        match layer {
            Layer::Conv(conv) => {
                let channels = input.sizes()[1];
                let groups = conv.groups.resolve(channels as u64, conv.out_channels)?;
                let units = if groups == 1 { conv.out_channels } else { groups };
                if kept(units, share) == units {
                    return Ok(None);
                }
                let units = spread(units, share);
                // Outputs and inputs per unit, which is a channel or a group.
                let (outputs, inputs) = match usize::try_from(groups).unwrap_or(usize::MAX) {
                    1 => (1, channels),
                    groups => {
                        (usize::try_from(conv.out_channels).unwrap_or(usize::MAX) / groups, channels / groups)
                    }
                };
                let rows = expanded(&units, outputs);
                let layer = Layer::Conv(Conv {
                    out_channels: rows.len() as u64,
                    groups: Groups::Number(if groups == 1 { 1 } else { units.len() as u64 }),
                    in_channels: None,
                    ..conv.clone()
                });
                let input =
                    if groups == 1 { input.clone() } else { select(input, 1, &expanded(&units, inputs)) };
                Ok(Some(Self {
                    layer,
                    inputs: vec![input],
                    weights: rows_of(call, &rows),
                    axis: 1,
                    kept: rows,
                }))
            }
            Layer::Linear(linear) if kept(linear.out_features, share) < linear.out_features => {
                let rows = spread(linear.out_features, share);
                let layer = Layer::Linear(Linear { out_features: rows.len() as u64, ..linear.clone() });
                let axis = input.sizes().len() - 1;
                let weights = rows_of(call, &rows);
                Ok(Some(Self { layer, inputs: vec![input.clone()], weights, axis, kept: rows }))
            }
            _ => Ok(Self::by_channel(layer, call, share)),
        }
    }

    /// Samples channels of a layer that processes each channel separately.
    fn by_channel(layer: &Layer, call: Call<'_, f32>, share: f64) -> Option<Self> {
        let sizes = call.input().sizes();
        let same = call.inputs.iter().all(|input| input.sizes() == sizes);
        let channels = sizes[1] as u64;
        if !separate(layer) || !same || sizes.len() < 3 || kept(channels, share) == channels {
            return None;
        }
        let kept = spread(channels, share);
        let inputs = call.inputs.iter().map(|input| select(input, 1, &kept)).collect();
        Some(Self { layer: layer.clone(), inputs, weights: rows_of(call, &kept), axis: 1, kept })
    }

    /// Returns the flat index, in the output of the whole layer (of sizes `whole`), of element `flat` of an output of
    /// `sizes`.
    pub fn place(&self, flat: usize, sizes: &[usize], whole: &[usize]) -> usize {
        let inner: usize = sizes[self.axis + 1..].iter().product();
        let (outer, unit, rest) =
            (flat / (inner * self.kept.len()), flat / inner % self.kept.len(), flat % inner);
        (outer * whole[self.axis] + self.kept[unit]) * inner + rest
    }
}

/// Returns whether `layer` treats every channel alike, or each by its own row of the weights.
fn separate(layer: &Layer) -> bool {
    matches!(
        layer,
        Layer::BatchNorm(_)
            | Layer::MaxPool(_)
            | Layer::AvgPool(_)
            | Layer::GlobalAvgPool(_)
            | Layer::GlobalMaxPool(_)
            | Layer::Upsample(_)
            | Layer::Add(_)
            | Layer::Multiply(_)
    ) || layer.pointwise().is_some()
}

/// Returns the cost of the reference on the sample of a node: multiply-adds, plus a multiple of the elements that are
/// read or written.
pub(super) fn steps(graph: &Graph, node: &Node, share: f64) -> u64 {
    const EACH: u64 = 8;
    let Op::Layer(layer) = &node.op else { return 0 };
    let elements = |shape: &Shape| shape.elements().unwrap_or(u64::MAX);
    let shapes = || node.inputs.iter().map(|input| &graph.node(*input).shape);
    let read = shapes().map(elements).fold(0, u64::saturating_add);
    let units = match layer {
        Layer::Conv(conv) => match conv.groups {
            Groups::Number(1) => conv.out_channels,
            Groups::Number(groups) => groups,
            Groups::Depthwise => node.shape.channels(),
        },
        Layer::Linear(linear) => linear.out_features,
        _ if separate(layer) && shapes().all(|shape| *shape == node.shape) && node.shape.rank() > 1 => {
            node.shape.channels()
        }
        _ => 1,
    };
    let units = units.max(1);
    let all = node.cost.macs.saturating_add(EACH.saturating_mul(elements(&node.shape)));
    let part = u128::from(all) * u128::from(kept(units, share)) / u128::from(units);
    u64::try_from(part).unwrap_or(u64::MAX).saturating_add(read)
}

/// Returns how many of `units` outputs are sampled.
fn kept(units: u64, share: f64) -> u64 {
    ((units as f64 * share).ceil() as u64).max(LEAST).min(units)
}

/// Returns which units are sampled: evenly from the first to the last.
fn spread(units: u64, share: f64) -> Vec<usize> {
    let kept = kept(units, share);
    let steps = kept.saturating_sub(1).max(1);
    (0..kept).map(|i| usize::try_from(i * (units - 1) / steps).unwrap_or(usize::MAX)).collect()
}

/// Returns the indices of units of `size` elements each.
fn expanded(units: &[usize], size: usize) -> Vec<usize> {
    units.iter().flat_map(|unit| (0..size).map(move |i| unit * size + i)).collect()
}

/// Returns every weight with only the rows `rows` of its first axis.
fn rows_of(call: Call<'_, f32>, rows: &[usize]) -> Vec<Arc<Tensor<f32>>> {
    let row = |(_, weight): (&Weight, &Arc<Tensor<f32>>)| Arc::new(select(weight, 0, rows));
    call.declared.iter().zip(call.weights).map(row).collect()
}

/// Returns the indices `kept` of an axis.
fn select(tensor: &Tensor<f32>, axis: usize, kept: &[usize]) -> Tensor<f32> {
    Tensor::from_array(tensor.array().select(ndarray::Axis(axis), kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_are_kept() {
        assert_eq!(spread(64, 0.01), [0, 21, 42, 63]);
        assert_eq!(spread(3, 0.01), [0, 1, 2]);
        assert_eq!(spread(1, 0.01), [0]);
        assert_eq!(spread(10, 0.5), [0, 2, 4, 6, 9]);
        assert_eq!(expanded(&[1, 3], 2), [2, 3, 6, 7]);
    }
}
