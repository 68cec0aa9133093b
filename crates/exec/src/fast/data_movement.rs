//! Layers that only move data, as strided copies.

use rayon::prelude::*;

/// Number of elements below which one thread is faster than several.
pub(super) const SMALL: usize = 32_768;

/// `out[i0, i1, ...] = input[offset + i0 * stride0 + i1 * stride1 + ...]` for one image.
#[derive(Debug, Clone)]
pub(super) struct Strided {
    /// Size and stride of each axis, outermost first.
    axes: Vec<(usize, usize)>,
    offset: usize,
    /// Elements of one input image.
    source: usize,
    /// Elements of one output image.
    target: usize,
}

impl Strided {
    pub(super) fn new(source: usize, offset: usize, axes: &[(usize, usize)]) -> Self {
        let target = axes.iter().map(|&(size, _)| size).product();
        let mut merged: Vec<(usize, usize)> = Vec::new();
        for &(size, stride) in axes.iter().filter(|&&(size, _)| size != 1) {
            match merged.last_mut() {
                // Two axes without a gap between them merge into one.
                Some((outer, outer_stride)) if *outer_stride == size * stride => {
                    (*outer, *outer_stride) = (*outer * size, stride);
                }
                _ => merged.push((size, stride)),
            }
        }
        if merged.is_empty() {
            merged.push((1, 1));
        }
        Self { axes: merged, offset, source, target }
    }

    /// Returns the copy of a part of `input` that begins at `first` and has the given `sizes`.
    pub(super) fn part(input: &[usize], first: &[usize], sizes: &[usize]) -> Self {
        Self::every(input, first, (0, 1), sizes)
    }

    /// As [`part`](Self::part), with only every `step`-th element of `axis`.
    pub(super) fn every(
        input: &[usize],
        first: &[usize],
        (axis, step): (usize, usize),
        sizes: &[usize],
    ) -> Self {
        let mut strides = strides(input);
        let offset = first.iter().zip(&strides).map(|(first, stride)| first * stride).sum();
        if let Some(stride) = strides.get_mut(axis) {
            *stride *= step;
        }
        let axes: Vec<_> = sizes.iter().copied().zip(strides).collect();
        Self::new(input.iter().product(), offset, &axes)
    }

    pub(super) fn run(&self, input: &[f32], out: &mut [f32]) {
        for (source, target) in
            input.chunks_exact(self.source.max(1)).zip(out.chunks_exact_mut(self.target.max(1)))
        {
            let source = &source[self.offset..];
            let Some((&(size, stride), inner)) = self.axes.split_first() else { continue };
            if inner.is_empty() {
                copy(&[(size, stride)], source, target);
                continue;
            }
            let block = (self.target / size).max(1);
            // A transposition goes by blocks of rows.
            let rows = if inner.len() == 1 && stride == 1 { SIDE } else { 1 };
            let each = |(i, target): (usize, &mut [f32])| {
                let source = &source[i * rows * stride..];
                match inner {
                    &[(columns, step)] if rows > 1 => transpose(source, step, target, (columns, columns)),
                    _ => copy(inner, source, target),
                }
            };
            let least = (SMALL / (rows * block)).max(1);
            target.par_chunks_mut(rows * block).enumerate().with_min_len(least).for_each(each);
        }
    }
}

fn copy(axes: &[(usize, usize)], source: &[f32], target: &mut [f32]) {
    match axes {
        [(_, 1), (columns, stride)] => transpose(source, *stride, target, (*columns, *columns)),
        [(size, 1)] => target.copy_from_slice(&source[..*size]),
        [(_, stride)] => {
            for (i, target) in target.iter_mut().enumerate() {
                *target = source[i * stride];
            }
        }
        [(size, stride), inner @ ..] => {
            let block = target.len() / size;
            for (i, target) in target.chunks_exact_mut(block.max(1)).enumerate() {
                copy(inner, &source[i * stride..], target);
            }
        }
        [] => {}
    }
}

/// Rows and columns of the blocks of a transposition.
const SIDE: usize = 16;

/// Writes every column of a matrix, whose rows are `stride` apart, as a row of `target`: `count` elements, which are
/// `width` elements apart.
///
/// It goes by square blocks: each takes as many cache lines as it has rows, and all of each is used.
pub(super) fn transpose(source: &[f32], stride: usize, target: &mut [f32], (width, count): (usize, usize)) {
    for (block, target) in target.chunks_mut((SIDE * width).max(1)).enumerate() {
        let rows = target.len() / width;
        for first in (0..count).step_by(SIDE) {
            for column in first..count.min(first + SIDE) {
                let read = &source[column * stride + block * SIDE..][..rows];
                for (target, &element) in target.chunks_exact_mut(width).zip(read) {
                    target[column] = element;
                }
            }
        }
    }
}

/// Returns the strides of a row-major tensor.
pub(super) fn strides(sizes: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; sizes.len()];
    for axis in (0..sizes.len().saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * sizes[axis + 1];
    }
    strides
}

/// Concatenation along one axis: a block of elements of each input in turn.
#[derive(Debug, Clone)]
pub(super) struct Joined {
    /// For each input, elements per block (from the axis on).
    pub blocks: Vec<usize>,
}

impl Joined {
    pub(super) fn run(&self, inputs: &[&[f32]], out: &mut [f32]) {
        let all: usize = self.blocks.iter().sum();
        if all == 0 {
            return;
        }
        let outer = out.len() / all;
        for (n, target) in out.chunks_exact_mut(all).enumerate() {
            let mut parts: Vec<(&mut [f32], &[f32])> = Vec::with_capacity(inputs.len());
            let mut rest = target;
            for (input, &block) in inputs.iter().zip(&self.blocks) {
                let (part, after) = rest.split_at_mut(block);
                parts.push((part, &input[n * block..(n + 1) * block]));
                rest = after;
            }
            if outer == 1 || all >= SMALL {
                parts.into_par_iter().for_each(|(part, input)| copy_all(part, input));
            } else {
                parts.into_iter().for_each(|(part, input)| part.copy_from_slice(input));
            }
        }
    }
}

/// Copies a slice on all cores.
pub(super) fn copy_all(target: &mut [f32], source: &[f32]) {
    target
        .par_chunks_mut(SMALL)
        .zip(source.par_chunks(SMALL))
        .for_each(|(to, from)| to.copy_from_slice(from));
}

/// Nearest-neighbour interpolation: for each spatial axis, the input index that each output index reads.
#[derive(Debug, Clone)]
pub(super) struct Lookup {
    /// Indices, already multiplied by the stride of the axis.
    pub tables: Vec<Vec<usize>>,
    /// Elements of one input channel.
    pub plane: usize,
}

impl Lookup {
    pub(super) fn run(&self, input: &[f32], out: &mut [f32]) {
        let plane: usize = self.tables.iter().map(Vec::len).product();
        let Some((columns, outer)) = self.tables.split_last() else { return };
        let each = |(source, target): (&[f32], &mut [f32])| {
            for (row, target) in target.chunks_exact_mut(columns.len().max(1)).enumerate() {
                let (mut rest, mut start) = (row, 0);
                for table in outer.iter().rev() {
                    start += table[rest % table.len()];
                    rest /= table.len();
                }
                let source = &source[start..];
                for (target, &column) in target.iter_mut().zip(columns) {
                    *target = source[column];
                }
            }
        };
        input
            .par_chunks_exact(self.plane.max(1))
            .zip(out.par_chunks_exact_mut(plane.max(1)))
            .with_min_len((SMALL / plane.max(1)).max(1))
            .for_each(each);
    }
}
