//! How tensors lie in memory: which tensors are views of one storage, and which reshapes are copies.
//!
//! The rules are PyTorch's: `computeStride` in `aten/src/ATen/TensorUtils.cpp` decides whether a reshape is a view, and
//! elementwise results keep the order of their input's axes (`TensorIterator`).

use super::saved::Saved;
use crate::layers::layer_norm::NormAxis;
use crate::layers::{Io, Layer};

/// One axis: its size, and the distance between neighbours in elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Axis {
    pub(super) size: u64,
    pub(super) stride: u64,
}

/// A tensor in memory, batch axis first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout(pub(super) Vec<Axis>);

/// What a layer does to the memory of its first input.
pub(super) enum Result {
    /// The output is a view of it.
    View(Layout),
    /// The output is a new tensor.
    New(Layout),
}

impl Layout {
    /// Returns the layout of a contiguous tensor.
    pub(super) fn contiguous(sizes: &[u64]) -> Self {
        let mut stride = 1u64;
        let mut axes: Vec<Axis> = Vec::with_capacity(sizes.len());
        for &size in sizes.iter().rev() {
            axes.push(Axis { size, stride });
            stride = stride.saturating_mul(size.max(1));
        }
        axes.reverse();
        Self(axes)
    }

    /// Returns the same tensor with its axes in another order.
    fn permuted(&self, order: &[usize]) -> Option<Self> {
        order.iter().map(|&axis| self.0.get(axis).copied()).collect::<Option<_>>().map(Self)
    }

    /// Returns a dense tensor of these sizes whose axes have the order of this one's in memory.
    fn dense(&self) -> Self {
        let mut order: Vec<usize> = (0..self.0.len()).collect();
        order.sort_by_key(|&axis| std::cmp::Reverse(self.0[axis].stride));
        let sizes: Vec<u64> = order.iter().map(|&axis| self.0[axis].size).collect();
        let packed = Self::contiguous(&sizes);
        let mut axes = packed.0.clone();
        for (at, &axis) in order.iter().enumerate() {
            axes[axis] = packed.0[at];
        }
        Self(axes)
    }

    /// Returns the tensor with other axes over the same elements; none if that needs a copy.
    pub(super) fn view(&self, sizes: &[u64]) -> Option<Self> {
        let Some(mut base) = self.0.last().map(|axis| axis.stride) else {
            return Some(Self::contiguous(sizes));
        };
        if self.0.iter().any(|axis| axis.size == 0) {
            return Some(Self::contiguous(sizes));
        }
        let mut strides = vec![0u64; sizes.len()];
        let (mut left, mut old, mut new) = (sizes.len(), 1u64, 1u64);
        for at in (0..self.0.len()).rev() {
            old = old.saturating_mul(self.0[at].size);
            let before = at.checked_sub(1).map(|at| self.0[at]);
            let ends = before.is_none_or(|axis| axis.size != 1 && axis.stride != old.saturating_mul(base));
            if !ends {
                continue;
            }
            while left > 0 && (new < old || sizes[left - 1] == 1) {
                left -= 1;
                strides[left] = new.saturating_mul(base);
                new = new.saturating_mul(sizes[left]);
            }
            if new != old {
                return None;
            }
            if let Some(axis) = before {
                (base, old, new) = (axis.stride, 1, 1);
            }
        }
        let axes = sizes.iter().zip(strides).map(|(&size, stride)| Axis { size, stride }).collect();
        (left == 0).then_some(Self(axes))
    }

    fn sizes(&self) -> Vec<u64> {
        self.0.iter().map(|axis| axis.size).collect()
    }

    /// Returns whether `kept`, a form of this tensor, needs a copy.
    pub(super) fn is_copied(&self, kept: &Saved) -> bool {
        let sizes = self.sizes();
        match kept {
            Saved::Rows(_) => {
                let (last, rows) = sizes.split_last().map_or((1, 1), |(&last, rest)| (last, joined(rest)));
                self.view(&[rows, last]).is_none()
            }
            Saved::Matrices(_, matrices) => {
                let batch = sizes.first().copied().unwrap_or(1);
                let inner = sizes.len().saturating_sub(2);
                let own = joined(&sizes[..inner]);
                let all = batch.saturating_mul(*matrices);
                own != all || self.view(&[&[all], &sizes[inner..]].concat()).is_none()
            }
            Saved::Input(_) | Saved::Output | Saved::Own(_) => false,
        }
    }
}

fn joined(sizes: &[u64]) -> u64 {
    sizes.iter().fold(1, |product, &size| product.saturating_mul(size))
}

/// Returns the sizes of a batch of tensors.
pub(super) fn batched(batch: u64, sizes: &[u64]) -> Vec<u64> {
    [&[batch], sizes].concat()
}

/// Returns the output of `layer` in memory, given its first input.
pub(super) fn output(layer: &Layer, io: Io<'_>, batch: u64, input: &Layout) -> Result {
    let sizes = batched(batch, io.output.sizes());
    let fresh = || Result::New(Layout::contiguous(&sizes));
    // PyTorch computes a product with 1, too.
    if layer.passes() && !drops(layer) && !matches!(layer, Layer::Rescale(_)) {
        return Result::View(input.clone());
    }
    let part = |axis: u64, step: u64| {
        let mut view = input.clone();
        let axis = usize::try_from(axis).unwrap_or(usize::MAX).saturating_add(1);
        if let (Some(place), Some(&size)) = (view.0.get_mut(axis), sizes.get(axis)) {
            *place = Axis { size, stride: place.stride.saturating_mul(step) };
        }
        Result::View(view)
    };
    if let Layer::Slice(layer) = layer {
        return part(layer.axis, layer.step);
    }
    if let Layer::Chunk(layer) = layer {
        return part(layer.axis, 1);
    }
    if let Some(layout) = projections(layer, io, batch) {
        return Result::New(layout);
    }
    if let Layer::Permute(layer) = layer {
        let axes =
            layer.axes.iter().map(|&axis| usize::try_from(axis).unwrap_or(usize::MAX).saturating_add(1));
        let order: Vec<usize> = std::iter::once(0).chain(axes).collect();
        return input.permuted(&order).map_or_else(fresh, Result::View);
    }
    if matches!(layer, Layer::Flatten(_) | Layer::Reshape(_)) {
        return input.view(&sizes).map_or_else(fresh, Result::View);
    }
    if let Layer::LayerNorm(layer) = layer {
        // A norm over channels permutes them to the end and back.
        if layer.axis == NormAxis::Channels && io.input().rank() > 1 {
            let last = sizes.len() - 1;
            let channels_last: Vec<u64> = [&sizes[..1], &sizes[2..], &sizes[1..2]].concat();
            let back: Vec<usize> = [0, last].into_iter().chain(1..last).collect();
            return Layout::contiguous(&channels_last).permuted(&back).map_or_else(fresh, Result::New);
        }
        return fresh();
    }
    let elementwise = layer.pointwise().is_some()
        || matches!(
            layer,
            Layer::Dropout(_)
                | Layer::Add(_)
                | Layer::Multiply(_)
                | Layer::LayerScale(_)
                | Layer::LearnedBias(_)
                | Layer::LearnedScale(_)
                | Layer::BatchNorm(_)
        );
    if elementwise && input.sizes() == sizes { Result::New(input.dense()) } else { fresh() }
}

/// Returns the layout of the projections of `nn.MultiheadAttention`, if `layer` is the permutation that puts them first:
/// `[length, 1, 3, features]` becomes `[3, length, 1, features]`, or 2 in place of 3 for keys and values alone
/// (`_in_projection_packed` in `torch/nn/functional.py`). PyTorch makes this tensor contiguous, with the batch, which the
/// axis of size 1 once was, behind the sequence.
fn projections(layer: &Layer, io: Io<'_>, batch: u64) -> Option<Layout> {
    let Layer::Permute(permute) = layer else { return None };
    let &[length, 1, parts @ (2 | 3), features] = io.input().sizes() else { return None };
    if permute.axes != [2, 0, 1, 3] {
        return None;
    }
    let row = batch.saturating_mul(features);
    let axis = |size: u64, stride: u64| Axis { size, stride };
    Some(Layout(vec![
        axis(batch, features),
        axis(parts, length.saturating_mul(row)),
        axis(length, row),
        axis(1, features),
        axis(features, 1),
    ]))
}

/// Returns whether the layer is a dropout that drops something in training.
fn drops(layer: &Layer) -> bool {
    matches!(layer, Layer::Dropout(dropout) if dropout.p > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reshape_is_a_view_where_pytorch_has_one() {
        let plain = Layout::contiguous(&[2, 3, 4]);
        assert!(plain.view(&[6, 4]).is_some());
        assert!(plain.view(&[2, 12]).is_some());
        let turned = plain.permuted(&[0, 2, 1]).expect("three axes");
        assert!(turned.view(&[2, 12]).is_none(), "rows and columns are exchanged");
        assert!(turned.view(&[2, 2, 2, 3]).is_some(), "an axis is only split");
        // With one image the batch joins any axis.
        let single = Layout::contiguous(&[1, 3, 4]).permuted(&[1, 0, 2]).expect("three axes");
        assert!(single.view(&[3, 4]).is_some());
        assert!(plain.permuted(&[1, 0, 2]).expect("three axes").view(&[6, 4]).is_none());
    }

    #[test]
    fn a_dense_result_keeps_the_order_of_the_axes() {
        let turned = Layout::contiguous(&[2, 4, 3]).permuted(&[0, 2, 1]).expect("three axes");
        assert_eq!(turned.dense(), turned);
        let part = Layout(vec![Axis { size: 2, stride: 24 }, Axis { size: 3, stride: 4 }]);
        assert_eq!(part.dense(), Layout::contiguous(&[2, 3]));
    }
}
