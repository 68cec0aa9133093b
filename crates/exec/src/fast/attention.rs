//! Attention over a few rows of scores at a time: the full score matrix is never stored.
//!
//! A task packs the keys and values of one head (or window) into panels, like the weights of a linear map, and then
//! processes its queries tile by tile: scores, softmax, weighted sum of the values.

use std::sync::Arc;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Context;
use super::data_movement::transpose;
use super::disjoint_slices::Shared;
use super::layer_use::LayerUse;
use super::microkernel::{ROWS, Store, VECTORS, heights, multiply};
use super::norms::Softmax;
use crate::tensor::Tensor;
use cnnkit_core::layers::attention::{Attention as Layer, OPERANDS};

/// Minimum number of queries that share packed keys and values.
const QUERIES: usize = 64;
/// Multiply-adds that justify a task of their own.
const TASK: usize = 500_000;

/// Attention with its strides and offsets precomputed.
#[derive(Debug)]
pub(super) struct Attention {
    queries: usize,
    keys: usize,
    features: usize,
    values: usize,
    scale: f32,
    terms: Vec<Term>,
    /// For each index of the outer axes (batch included): first elements of queries, keys, values and added terms.
    starts: Vec<Vec<usize>>,
}

/// A tensor that is added to the scores.
#[derive(Debug)]
struct Term {
    /// `None` if the tensor is a further input of the layer.
    own: Option<Arc<Tensor<f32>>>,
    /// Strides from one query to the next and from one key to the next; 0 if broadcast.
    steps: [usize; 2],
}

impl Attention {
    pub(super) fn new(site: &LayerUse<'_>, layer: &Layer) -> Self {
        let rank = site.output.len();
        let own: Vec<&Arc<Tensor<f32>>> =
            ["bias", "mask"].into_iter().filter_map(|name| site.weight(name)).collect();
        // Weights have no batch axis.
        let sizes: Vec<Vec<usize>> = (site.inputs.iter().map(|sizes| sizes.to_vec()))
            .chain(own.iter().map(|weight| [&[1], weight.sizes()].concat()))
            .collect();
        let steps = |sizes: &[usize]| {
            let (rows, columns) = (sizes[rank - 2], sizes[rank - 1]);
            [if rows == 1 { 0 } else { columns }, usize::from(columns > 1)]
        };
        let given = sizes.len() - own.len();
        let terms = sizes.iter().enumerate().skip(OPERANDS).map(|(index, sizes)| Term {
            own: index.checked_sub(given).map(|index| Arc::clone(own[index])),
            steps: steps(sizes),
        });
        let terms = terms.collect();
        let outer = &site.output[..rank - 2];
        let start = |flat: usize, sizes: &[usize]| {
            let (mut rest, mut at, mut step) = (flat, 0, sizes[rank - 2] * sizes[rank - 1]);
            for (&whole, &size) in outer.iter().zip(sizes).rev() {
                at += if size == 1 { 0 } else { rest % whole * step };
                step *= size;
                rest /= whole;
            }
            at
        };
        let starts = (0..outer.iter().product())
            .map(|flat| sizes.iter().map(|sizes| start(flat, sizes)).collect())
            .collect();
        let features = sizes[0][rank - 1];
        #[expect(clippy::cast_possible_truncation, reason = "as the reference does in f32")]
        let scale = layer.factor(features as u64) as f32;
        Self {
            queries: sizes[0][rank - 2],
            keys: sizes[1][rank - 2],
            features,
            values: sizes[2][rank - 1],
            scale,
            terms,
            starts,
        }
    }

    /// Returns the multiply-adds of the whole batch.
    pub(super) fn macs(&self) -> u64 {
        (self.starts.len() * self.queries * self.keys * (self.features + self.values)) as u64
    }

    pub(super) fn run(&self, context: &Context, inputs: &[&[f32]], out: &mut [f32]) {
        let threads = rayon::current_num_threads();
        let wanted = if threads == 1 { 1 } else { 4 * threads };
        let parts = wanted.div_ceil(self.starts.len().max(1)).min(self.queries.div_ceil(QUERIES)).max(1);
        let shared = Shared::new(out);
        let each = |task: usize| {
            let (outer, part) = (task / parts, task % parts);
            let rows = part * self.queries / parts..(part + 1) * self.queries / parts;
            context.scratch.with(self.scratch(context.isa.lanes()), |scratch| {
                context.isa.run(Head { attention: self, inputs, outer, rows, scratch, out: shared });
            });
        };
        let work = self.queries * self.keys * (self.features + self.values) / parts;
        let least = (TASK / work.max(1)).max(1);
        (0..self.starts.len() * parts).into_par_iter().with_min_len(least).for_each(each);
    }

    /// Returns the scratch elements that a task needs: packed keys and values, columns, scores.
    fn scratch(&self, lanes: usize) -> usize {
        let keys = self.keys.next_multiple_of(lanes);
        let values = self.values.next_multiple_of(lanes);
        self.features * keys + self.keys * values + ROWS * self.features.max(self.keys) + ROWS * keys
    }
}

/// A range of queries at one index of the outer axes.
struct Head<'a> {
    attention: &'a Attention,
    inputs: &'a [&'a [f32]],
    outer: usize,
    rows: std::ops::Range<usize>,
    scratch: &'a mut [f32],
    out: Shared<'a>,
}

/// Iterates over the panels that cover `count` columns: the first column of each and its number of vectors.
fn panels(count: usize, lanes: usize) -> impl Iterator<Item = (usize, usize)> {
    let width = VECTORS * lanes;
    (0..count).step_by(width).map(move |start| (start, (count - start).min(width).div_ceil(lanes)))
}

impl WithSimd for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { attention, inputs, outer, rows, scratch, out } = self;
        let &Attention { queries, keys, features, values, scale, ref terms, ref starts } = attention;
        let (starts, lanes) = (&starts[outer], S::F32_LANES);
        let (wide_keys, wide_values) = (keys.next_multiple_of(lanes), values.next_multiple_of(lanes));
        let (packed_keys, rest) = scratch.split_at_mut(features * wide_keys);
        let (packed_values, rest) = rest.split_at_mut(keys * wide_values);
        let (columns, rest) = rest.split_at_mut(ROWS * features.max(keys));
        let scores = &mut rest[..ROWS * wide_keys];

        let source = &inputs[1][starts[1]..][..keys * features];
        for (start, vectors) in panels(keys, lanes) {
            let width = vectors * lanes;
            let count = width.min(keys - start);
            let panel = &mut packed_keys[start * features..][..width * features];
            transpose(&source[start * features..], features, panel, (width, count));
            panel.chunks_exact_mut(width).for_each(|row| row[count..].fill(0.0));
        }
        let source = &inputs[2][starts[2]..][..keys * values];
        for (start, vectors) in panels(values, lanes) {
            let width = vectors * lanes;
            let count = width.min(values - start);
            let panel = &mut packed_values[start * keys..][..width * keys];
            for (row, value) in panel.chunks_exact_mut(width).zip(source.chunks_exact(values)) {
                row[..count].copy_from_slice(&value[start..start + count]);
                row[count..].fill(0.0);
            }
        }

        let query = &inputs[0][starts[0]..][..queries * features];
        for (first, height) in heights(rows.len()) {
            let first = rows.start + first;
            let rows = &query[first * features..];
            transpose(rows, features, &mut columns[..features * height], (height, height));
            for (start, vectors) in panels(keys, lanes) {
                let panel = &packed_keys[start * features..][..vectors * lanes * features];
                let mut store = ToScores { scores, stride: wide_keys, start };
                multiply(simd, (height, vectors), &columns[..features * height], panel, &mut store);
            }
            for row in 0..height {
                let scores = &mut scores[row * wide_keys..][..keys];
                if scale != 1.0 {
                    scores.iter_mut().for_each(|score| *score *= scale);
                }
                for (index, term) in terms.iter().enumerate() {
                    let data = term.own.as_ref().map_or_else(
                        || inputs.get(OPERANDS + index).copied().unwrap_or_default(),
                        |own| own.data(),
                    );
                    let data = &data[starts[OPERANDS + index] + (first + row) * term.steps[0]..];
                    match term.steps[1] {
                        0 => scores.iter_mut().for_each(|score| *score += data[0]),
                        _ => scores.iter_mut().zip(data).for_each(|(score, &term)| *score += term),
                    }
                }
                simd.vectorize(Softmax(scores));
            }
            transpose(scores, wide_keys, &mut columns[..keys * height], (height, height));
            for (start, vectors) in panels(values, lanes) {
                let panel = &packed_values[start * keys..][..vectors * lanes * keys];
                let at = (outer * queries + first) * values + start;
                let mut store = ToOut { out, at, stride: values, count: values - start };
                multiply(simd, (height, vectors), &columns[..keys * height], panel, &mut store);
            }
        }
    }
}

/// Stores the rows of a tile as scores.
struct ToScores<'a> {
    scores: &'a mut [f32],
    stride: usize,
    start: usize,
}

impl<S: Simd> Store<S> for ToScores<'_> {
    #[inline(always)]
    fn row(&mut self, _: S, row: usize, sums: &[S::f32s]) {
        let target = &mut self.scores[row * self.stride + self.start..][..sums.len() * S::F32_LANES];
        S::as_mut_simd_f32s(target).0.copy_from_slice(sums);
    }
}

/// Stores the rows of a tile as outputs.
struct ToOut<'a> {
    out: Shared<'a>,
    at: usize,
    stride: usize,
    /// Outputs left in a row.
    count: usize,
}

impl<S: Simd> Store<S> for ToOut<'_> {
    #[inline(always)]
    fn row(&mut self, _: S, row: usize, sums: &[S::f32s]) {
        let mut elements = [0.0; VECTORS * super::isa::WIDEST];
        S::as_mut_simd_f32s(&mut elements).0[..sums.len()].copy_from_slice(sums);
        let count = self.count.min(sums.len() * S::F32_LANES);
        #[expect(unsafe_code, reason = "see `Shared`")]
        // SAFETY: each task writes rows of its own.
        let out = unsafe { self.out.part(self.at + row * self.stride, count) };
        out.copy_from_slice(&elements[..count]);
    }
}
