//! Linear maps of the last axis: few rows as dot products, many rows as tiles with the outputs across the lanes.

use std::ops::Range;
use std::sync::Arc;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Context;
use super::data_movement::transpose;
use super::disjoint_slices::Shared;
use super::epilogue::Finish;
use super::isa::multiply_add;
use super::microkernel::{ROWS, Store, VECTORS, balanced, multiply};
use super::scratch::Aligned;
use crate::tensor::Tensor;

/// Up to this many rows are computed as dot products: each weight is then read once, in its original order.
pub(super) const FEW: usize = 4;
/// Dot products that are computed together: one row of weights at a time does not keep the memory busy.
const TOGETHER: usize = 4;
/// Elements of packed rows that stay in the L2 cache while the weights pass: 768 KiB.
const CACHED: usize = 192 << 10;

/// A linear map whose weights are prepared for the number of rows.
#[derive(Debug)]
pub(super) struct Linear {
    pub features: usize,
    pub outputs: usize,
    pub weights: Weights,
}

/// The weights, in the order in which the kernel reads them.
#[derive(Debug)]
pub(super) enum Weights {
    /// One row per output.
    Rows(Arc<Tensor<f32>>),
    /// Panels of outputs, as wide as tiles, with one row per feature. The last panel is padded with zeros.
    Panels(Aligned),
}

impl Linear {
    pub(super) fn new(context: &Context, weight: &Arc<Tensor<f32>>, rows: usize) -> Self {
        let (outputs, features) = (weight.sizes()[0], weight.sizes()[1]);
        if rows <= FEW {
            return Self { features, outputs, weights: Weights::Rows(Arc::clone(weight)) };
        }
        let width = context.isa.lanes() * VECTORS;
        let mut panels = Aligned::new(outputs.div_ceil(width) * width * features);
        panels.elements_mut().par_chunks_exact_mut((width * features).max(1)).enumerate().for_each(
            |(panel, target)| {
                let first = panel * width;
                transpose(
                    &weight.data()[first * features..],
                    features,
                    target,
                    (width, width.min(outputs - first)),
                );
            },
        );
        Self { features, outputs, weights: Weights::Panels(panels) }
    }

    /// Returns the bytes of the kernel's own copy of the weights.
    pub(super) fn bytes(&self) -> u64 {
        match &self.weights {
            Weights::Rows(_) => 0,
            Weights::Panels(panels) => 4 * panels.len() as u64,
        }
    }

    pub(super) fn run(&self, context: &Context, input: &[f32], out: &mut [f32], finish: Finish<'_>) {
        let rows = out.len() / self.outputs.max(1);
        let out = Shared::new(out);
        match &self.weights {
            Weights::Rows(weights) => {
                let each = |(block, weights): (usize, &[f32])| {
                    let first = block * TOGETHER;
                    context.isa.run(Dots { linear: self, weights, first, input, out, finish });
                };
                let least = (100_000 / (TOGETHER * self.features * rows).max(1)).max(1);
                weights
                    .data()
                    .par_chunks((TOGETHER * self.features).max(1))
                    .enumerate()
                    .with_min_len(least)
                    .for_each(each);
            }
            Weights::Panels(panels) => {
                let tiles: Vec<(usize, usize)> = balanced(rows).collect();
                let each = |task: &Task| {
                    let tiles = &tiles[task.tiles.clone()];
                    let rows = tiles.iter().map(|(_, height)| height).sum::<usize>();
                    context.scratch.with(self.features * rows, |columns| {
                        let mut rest = &mut columns[..];
                        for &(first, height) in tiles {
                            let (own, after) = rest.split_at_mut(self.features * height);
                            transpose(&input[first * self.features..], self.features, own, (height, height));
                            rest = after;
                        }
                        let panels = (task.panels.start, self.panels(context, panels, &task.panels));
                        context.isa.run(Block { linear: self, panels, tiles, columns, out, finish });
                    });
                };
                self.tasks(context, rows, tiles.len()).par_iter().for_each(each);
            }
        }
    }

    /// Returns the weights of a range of panels.
    fn panels<'a>(&self, context: &Context, all: &'a Aligned, range: &Range<usize>) -> &'a [f32] {
        let panel = context.isa.lanes() * VECTORS * self.features;
        &all.elements()[range.start * panel..range.end * panel]
    }

    /// Splits the work into tasks that read each panel of weights once for many rows. The split changes no sum.
    fn tasks(&self, context: &Context, rows: usize, tiles: usize) -> Vec<Task> {
        let panels = self.outputs.div_ceil(context.isa.lanes() * VECTORS);
        let threads = rayon::current_num_threads();
        let worth = self.features * self.outputs * rows / 500_000;
        let wanted = if threads == 1 { 1 } else { (4 * threads).min(worth).max(1) };
        // Each part packs the rows again, so at least 8 panels should share them.
        let parts = wanted.min(panels / 8).max(1);
        let kept = (CACHED / (ROWS * self.features).max(1)).max(1);
        let blocks = tiles.div_ceil(kept).max(wanted.div_ceil(parts)).min(tiles).max(1);
        let cut = |of: usize, i: usize, count: usize| i * of / count..(i + 1) * of / count;
        let task =
            |i: usize| Task { tiles: cut(tiles, i / parts, blocks), panels: cut(panels, i % parts, parts) };
        (0..blocks * parts).map(task).collect()
    }
}

/// A range of tiles of rows times a range of panels of outputs.
struct Task {
    tiles: Range<usize>,
    panels: Range<usize>,
}

/// Neighbouring outputs of all rows, as dot products.
struct Dots<'a> {
    linear: &'a Linear,
    /// The weights of up to [`TOGETHER`] outputs from `first` on.
    weights: &'a [f32],
    first: usize,
    input: &'a [f32],
    out: Shared<'a>,
    finish: Finish<'a>,
}

impl WithSimd for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { linear: &Linear { features, outputs, .. }, weights, first, input, out, finish } = self;
        for (row, input) in input.chunks_exact(features.max(1)).enumerate() {
            let mut sums = [0.0; TOGETHER];
            if let Some(all) = weights.get(..TOGETHER * features) {
                sums = dots(simd, std::array::from_fn(|i| &all[i * features..(i + 1) * features]), input);
            } else {
                for (sum, weights) in sums.iter_mut().zip(weights.chunks_exact(features.max(1))) {
                    [*sum] = dots(simd, [weights], input);
                }
            }
            let at = row * outputs + first;
            for (i, &sum) in sums[..TOGETHER.min(outputs - first)].iter().enumerate() {
                #[expect(unsafe_code, reason = "see `Shared`")]
                // SAFETY: each output belongs to one task.
                let out = unsafe { out.part(at + i, 1) };
                finish.row(simd, first + i, at + i, &[sum], out);
            }
        }
    }
}

/// Computes the dot products of `N` rows with one vector, each in the same order whatever `N` is.
#[inline(always)]
fn dots<S: Simd, const N: usize>(simd: S, rows: [&[f32]; N], other: &[f32]) -> [f32; N] {
    let (b, b_rest) = S::as_simd_f32s(other);
    let (b4, b1) = b.as_chunks::<4>();
    let mut sums = [[simd.splat_f32s(0.0); 4]; N];
    for (i, b) in b4.iter().enumerate() {
        for (sums, row) in sums.iter_mut().zip(rows) {
            let a = &row[4 * i * S::F32_LANES..][..4 * S::F32_LANES];
            for ((sum, &a), &b) in sums.iter_mut().zip(S::as_simd_f32s(a).0).zip(b) {
                *sum = multiply_add(simd, a, b, *sum);
            }
        }
    }
    let mut results = [0.0; N];
    for ((result, mut sums), row) in results.iter_mut().zip(sums).zip(rows) {
        let (a, a_rest) = S::as_simd_f32s(row);
        for (&a, &b) in a.as_chunks::<4>().1.iter().zip(b1) {
            sums[0] = multiply_add(simd, a, b, sums[0]);
        }
        let [a, b, c, d] = sums;
        let all = simd.reduce_sum_f32s(simd.add_f32s(simd.add_f32s(a, b), simd.add_f32s(c, d)));
        *result = a_rest.iter().zip(b_rest).fold(all, |sum, (&a, &b)| sum + a * b);
    }
    results
}

/// The data of a [`Task`].
struct Block<'a> {
    linear: &'a Linear,
    /// The number of the first panel, and the weights from it on.
    panels: (usize, &'a [f32]),
    /// First row and height of each tile.
    tiles: &'a [(usize, usize)],
    /// The rows of all tiles, packed.
    columns: &'a [f32],
    out: Shared<'a>,
    finish: Finish<'a>,
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { linear: &Linear { features, outputs, .. }, panels: (number, panels), out, finish, .. } =
            self;
        let width = S::F32_LANES * VECTORS;
        for (panel, weights) in panels.chunks_exact((width * features).max(1)).enumerate() {
            let start = (number + panel) * width;
            let count = width.min(outputs - start);
            let mut columns = self.columns;
            for &(first, height) in self.tiles {
                let (own, rest) = columns.split_at(features * height);
                columns = rest;
                let mut store = Across { out, finish, first, outputs, start, count };
                multiply(simd, (height, VECTORS), own, weights, &mut store);
            }
        }
    }
}

/// Stores each row of a tile in neighbouring outputs of its row.
struct Across<'a> {
    out: Shared<'a>,
    finish: Finish<'a>,
    first: usize,
    outputs: usize,
    start: usize,
    count: usize,
}

impl<S: Simd> Store<S> for Across<'_> {
    #[inline(always)]
    fn row(&mut self, simd: S, row: usize, sums: &[S::f32s]) {
        let at = (self.first + row) * self.outputs + self.start;
        #[expect(unsafe_code, reason = "see `Shared`")]
        // SAFETY: each task writes rows of its own.
        let out = unsafe { self.out.part(at, self.count) };
        self.finish.across(simd, self.start, at, sums, out);
    }
}
