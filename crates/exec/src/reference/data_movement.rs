//! Layers that only move data: each output element is one input element, or a constant.

use super::call::{Call, Gradients};
use super::space::{place, ravel, sizes, unravel, wide};
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::channel_shuffle::ChannelShuffle;
use cnnkit_core::layers::chunk::Chunk;
use cnnkit_core::layers::concat::Concat;
use cnnkit_core::layers::conv::PaddingMode;
use cnnkit_core::layers::crop::Crop;
use cnnkit_core::layers::flatten::Flatten;
use cnnkit_core::layers::gather::Gather;
use cnnkit_core::layers::pad::Pad;
use cnnkit_core::layers::permute::Permute;
use cnnkit_core::layers::pixel_shuffle::PixelShuffle;
use cnnkit_core::layers::pixel_unshuffle::PixelUnshuffle;
use cnnkit_core::layers::reshape::Reshape;
use cnnkit_core::layers::slice::Slice;

/// The source of an output element.
#[derive(Debug, Clone, Copy)]
pub(super) enum From {
    /// The element with this flat index of image and input.
    Element(usize, usize),
    /// A constant.
    Constant(f64),
}

/// The source of each element of one output image, and the sizes of that image.
pub(super) struct Map {
    sizes: Vec<usize>,
    from: Vec<From>,
}

impl Map {
    /// Builds the map from the indices of each element of an image of `output` sizes.
    fn new(output: Vec<usize>, mut from: impl FnMut(&[usize]) -> From) -> Self {
        let mut indices = vec![0; output.len()];
        let elements = output.iter().product();
        let from = (0..elements)
            .map(|flat| {
                unravel(flat, &output, &mut indices);
                from(&indices)
            })
            .collect();
        Self { sizes: output, from }
    }

    /// Builds the map from a function that computes the indices in the input (of `input` sizes) of each output
    /// element.
    fn gather(output: Vec<usize>, input: &[usize], mut source: impl FnMut(&[usize], &mut [usize])) -> Self {
        let mut found = vec![0; input.len()];
        Self::new(output, |indices| {
            source(indices, &mut found);
            From::Element(0, ravel(&found, input))
        })
    }

    /// Keeps all elements in order and changes only the sizes.
    fn relabel(output: Vec<usize>) -> Self {
        let elements = output.iter().product();
        Self { sizes: output, from: (0..elements).map(|flat| From::Element(0, flat)).collect() }
    }

    pub(super) fn forward<S: Scalar>(&self, inputs: &[&Tensor<S>]) -> Result<Tensor<S>, Problem> {
        let batch = inputs[0].batch();
        let mut data = Vec::with_capacity(batch * self.from.len());
        for n in 0..batch {
            data.extend(self.from.iter().map(|from| match *from {
                From::Element(input, flat) => inputs[input].image(n)[flat],
                From::Constant(value) => S::from_f64(value),
            }));
        }
        Tensor::new(&[&[batch], self.sizes.as_slice()].concat(), data)
    }

    pub(super) fn backward<S: Scalar>(&self, call: Call<'_, S>, vector: &Tensor<S>) -> Gradients<S> {
        let mut gradients = call.zero_gradients();
        for n in 0..vector.batch() {
            for (from, &gradient) in self.from.iter().zip(vector.image(n)) {
                if let From::Element(input, flat) = *from {
                    gradients.inputs[input].image_mut(n)[flat] += gradient;
                }
            }
        }
        gradients
    }
}

fn whole(value: u64) -> Result<usize, Problem> {
    usize::try_from(value).map_err(|_| Problem::overflow("an argument"))
}

pub(super) fn identity(input: &[usize]) -> Map {
    Map::relabel(input.to_vec())
}

pub(super) fn flatten(layer: &Flatten, input: &[usize]) -> Result<Map, Problem> {
    let start = whole(layer.start_axis)?;
    let end = layer.end_axis.map_or(Ok(input.len() - 1), whole)?;
    let joined = input[start..=end].iter().product();
    Ok(Map::relabel([&input[..start], &[joined], &input[end + 1..]].concat()))
}

pub(super) fn reshape(layer: &Reshape, input: &[usize]) -> Result<Map, Problem> {
    let elements: usize = input.iter().product();
    let known: usize = layer.shape.iter().filter_map(|&size| usize::try_from(size).ok()).product();
    let size = |&size: &i64| usize::try_from(size).unwrap_or(elements / known.max(1));
    let output: Vec<usize> = layer.shape.iter().map(size).collect();
    if output.iter().product::<usize>() != elements {
        return Err(Problem::shape(format!("{elements} elements cannot be reshaped to {output:?}")));
    }
    Ok(Map::relabel(output))
}

pub(super) fn permute(layer: &Permute, input: &[usize]) -> Result<Map, Problem> {
    let axes = sizes(&layer.axes)?;
    let output = axes.iter().map(|&axis| input[axis]).collect();
    Ok(Map::gather(output, input, |indices, source| {
        for (&index, &axis) in indices.iter().zip(&axes) {
            source[axis] = index;
        }
    }))
}

/// Returns the map of a channel shuffle: the channels form a table of groups x members, which the output
/// reads column by column.
pub(super) fn channel_shuffle(layer: &ChannelShuffle, input: &[usize]) -> Result<Map, Problem> {
    let groups = whole(layer.groups)?;
    let members = input[0] / groups.max(1);
    Ok(Map::gather(input.to_vec(), input, |indices, source| {
        source.copy_from_slice(indices);
        let (member, group) = (indices[0] / groups, indices[0] % groups);
        source[0] = group * members + member;
    }))
}

pub(super) fn pixel_shuffle(layer: &PixelShuffle, input: &[usize]) -> Result<Map, Problem> {
    let factor = whole(layer.upscale_factor)?;
    let cell = factor.pow(u32::try_from(input.len() - 1).unwrap_or(u32::MAX));
    let mut output = vec![input[0] / cell];
    output.extend(input[1..].iter().map(|size| size * factor));
    Ok(Map::gather(output, input, |indices, source| {
        // The row-major position in the cell is the channel within its block.
        source[0] = indices[1..].iter().fold(indices[0], |channel, index| channel * factor + index % factor);
        for (source, index) in source[1..].iter_mut().zip(&indices[1..]) {
            *source = index / factor;
        }
    }))
}

pub(super) fn pixel_unshuffle(layer: &PixelUnshuffle, input: &[usize]) -> Result<Map, Problem> {
    let factor = whole(layer.downscale_factor)?;
    let rank = input.len() - 1;
    let cell = factor.pow(u32::try_from(rank).unwrap_or(u32::MAX));
    let mut output = vec![input[0] * cell];
    output.extend(input[1..].iter().map(|size| size / factor));
    let cube = vec![factor; rank];
    let mut within = vec![0; rank];
    Ok(Map::gather(output, input, move |indices, source| {
        source[0] = indices[0] / cell;
        unravel(indices[0] % cell, &cube, &mut within);
        for axis in 0..rank {
            source[axis + 1] = indices[axis + 1] * factor + within[axis];
        }
    }))
}

pub(super) fn pad(layer: &Pad, input: &[usize]) -> Result<Map, Problem> {
    let windows = layer.windows(&wide(&input[1..]))?;
    let mut output = vec![input[0]];
    for (&size, window) in input[1..].iter().zip(&windows) {
        let padded = i128::from(size as u64) + i128::from(window.before) + i128::from(window.after);
        output.push(usize::try_from(padded).map_err(|_| Problem::overflow("the padded size"))?);
    }
    let mut source = vec![0; input.len()];
    Ok(Map::new(output, |indices| {
        source[0] = indices[0];
        for (axis, window) in windows.iter().enumerate() {
            let index = i128::from(indices[axis + 1] as u64) - i128::from(window.before);
            match place(index, input[axis + 1], layer.mode) {
                Some(inside) => source[axis + 1] = inside,
                None => {
                    return From::Constant(if layer.mode == PaddingMode::Zeros { layer.value } else { 0.0 });
                }
            }
        }
        From::Element(0, ravel(&source, input))
    }))
}

pub(super) fn crop(layer: &Crop, input: &[usize]) -> Result<Map, Problem> {
    let windows = layer.windows(&wide(&input[1..]))?;
    let removed = |side: i64| whole(side.unsigned_abs());
    let mut first = Vec::new();
    let mut output = vec![input[0]];
    for (&size, window) in input[1..].iter().zip(&windows) {
        first.push(removed(window.before)?);
        let left = size
            .checked_sub(removed(window.before)?)
            .and_then(|left| left.checked_sub(removed(window.after).ok()?));
        output.push(left.ok_or_else(|| Problem::shape("the crop is larger than the input"))?);
    }
    Ok(Map::gather(output, input, |indices, source| {
        source.copy_from_slice(indices);
        for (index, first) in source[1..].iter_mut().zip(&first) {
            *index += first;
        }
    }))
}

fn part(axis: usize, start: usize, length: usize, step: usize, input: &[usize]) -> Map {
    let mut output = input.to_vec();
    output[axis] = length;
    Map::gather(output, input, |indices, source| {
        source.copy_from_slice(indices);
        source[axis] = start + step * indices[axis];
    })
}

/// Implements Python's `x[start:end:step]` along one axis.
pub(super) fn gather(layer: &Gather, input: &[usize]) -> Result<Map, Problem> {
    let (axis, indices) = (whole(layer.axis)?, sizes(&layer.indices)?);
    let mut output = input.to_vec();
    output[axis] = indices.len();
    Ok(Map::gather(output, input, |at, source| {
        source.copy_from_slice(at);
        source[axis] = indices[at[axis]];
    }))
}

pub(super) fn slice(layer: &Slice, input: &[usize]) -> Result<Map, Problem> {
    let axis = whole(layer.axis)?;
    let (start, end) = layer.range(input[axis] as u64)?;
    let step = whole(layer.step)?;
    let length = (whole(start)?..whole(end)?).step_by(step.max(1)).count();
    Ok(part(axis, whole(start)?, length, step, input))
}

/// Implements `torch.chunk`: parts of ceil(size / chunks) elements until nothing is left.
pub(super) fn chunk(layer: &Chunk, input: &[usize]) -> Result<Map, Problem> {
    let axis = whole(layer.axis)?;
    let length = input[axis].div_ceil(whole(layer.chunks)?.max(1));
    let parts: Vec<(usize, usize)> = (0..input[axis])
        .step_by(length.max(1))
        .map(|start| (start, length.min(input[axis] - start)))
        .collect();
    let &(start, length) =
        parts.get(whole(layer.index)?).ok_or_else(|| Problem::argument("index", "there is no such part"))?;
    Ok(part(axis, start, length, 1, input))
}

pub(super) fn concat(layer: &Concat, inputs: &[&[usize]]) -> Result<Map, Problem> {
    let axis = whole(layer.axis)?;
    let mut output = inputs[0].to_vec();
    output[axis] = inputs.iter().map(|sizes| sizes[axis]).sum();
    let mut source = vec![0; output.len()];
    Ok(Map::new(output, |indices| {
        source.copy_from_slice(indices);
        let mut input = 0;
        while source[axis] >= inputs[input][axis] {
            source[axis] -= inputs[input][axis];
            input += 1;
        }
        From::Element(input, ravel(&source, inputs[input]))
    }))
}

/// Implements nearest-neighbour interpolation: `index` maps an axis and an output index to the input index.
pub(super) fn nearest(output: Vec<usize>, input: &[usize], index: impl Fn(usize, usize) -> usize) -> Map {
    Map::gather(output, input, |indices, source| {
        source[0] = indices[0];
        for axis in 1..source.len() {
            source[axis] = index(axis, indices[axis]).min(input[axis] - 1);
        }
    })
}
