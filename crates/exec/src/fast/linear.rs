//! Linear maps of the last axis: few rows as dot products, many rows as tiles with the outputs across the lanes.

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
use std::sync::Arc;

/// Up to this many rows are computed as dot products: each weight is then read once, in its original order.
pub(super) const FEW: usize = 4;

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
        let shared = Shared::new(out);
        match &self.weights {
            Weights::Rows(weights) => {
                let dot = |(o, weights): (usize, &[f32])| {
                    for (row, input) in input.chunks_exact(self.features.max(1)).enumerate() {
                        let sum = context.isa.run(Dot(weights, input));
                        let at = row * self.outputs + o;
                        #[expect(unsafe_code, reason = "see `Shared`")]
                        // SAFETY: each output belongs to one task.
                        let out = unsafe { shared.part(at, 1) };
                        context.isa.run(One { finish, output: o, at, sum, out });
                    }
                };
                let least = (100_000 / (self.features * rows).max(1)).max(1);
                weights
                    .data()
                    .par_chunks_exact(self.features.max(1))
                    .enumerate()
                    .with_min_len(least)
                    .for_each(dot);
            }
            Weights::Panels(panels) => {
                let panels = panels.elements();
                let blocks: Vec<(usize, usize)> = balanced(rows).collect();
                let each = |&(first, height): &(usize, usize)| {
                    context.scratch.with(self.features * ROWS, |columns| {
                        let columns = &mut columns[..self.features * height];
                        let rows = &input[first * self.features..];
                        transpose(rows, self.features, columns, (height, height));
                        context.isa.run(Block {
                            linear: self,
                            panels,
                            first,
                            height,
                            columns,
                            out: shared,
                            finish,
                        });
                    });
                };
                let least = (500_000 / (self.features * self.outputs * ROWS).max(1)).max(1);
                blocks.par_iter().with_min_len(least).for_each(each);
            }
        }
    }
}

/// A dot product.
struct Dot<'a>(&'a [f32], &'a [f32]);

impl WithSimd for Dot<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let ((a, a_rest), (b, b_rest)) = (S::as_simd_f32s(self.0), S::as_simd_f32s(self.1));
        let ((a4, a1), (b4, b1)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
        let mut sums = [simd.splat_f32s(0.0); 4];
        for (a, b) in a4.iter().zip(b4) {
            for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
                *sum = multiply_add(simd, a, b, *sum);
            }
        }
        for (&a, &b) in a1.iter().zip(b1) {
            sums[0] = multiply_add(simd, a, b, sums[0]);
        }
        let [a, b, c, d] = sums;
        let all = simd.reduce_sum_f32s(simd.add_f32s(simd.add_f32s(a, b), simd.add_f32s(c, d)));
        a_rest.iter().zip(b_rest).fold(all, |sum, (&a, &b)| sum + a * b)
    }
}

/// One output, without its epilogue.
struct One<'a> {
    finish: Finish<'a>,
    output: usize,
    at: usize,
    sum: f32,
    out: &'a mut [f32],
}

impl WithSimd for One<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.finish.row(simd, self.output, self.at, &[self.sum], self.out);
    }
}

/// A range of rows of the output.
struct Block<'a> {
    linear: &'a Linear,
    panels: &'a [f32],
    first: usize,
    height: usize,
    columns: &'a [f32],
    out: Shared<'a>,
    finish: Finish<'a>,
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { linear: Linear { features, outputs, .. }, first, height, .. } = self;
        let width = S::F32_LANES * VECTORS;
        for (panel, weights) in self.panels.chunks_exact((width * features).max(1)).enumerate() {
            let start = panel * width;
            let count = width.min(outputs - start);
            let mut store =
                Across { out: self.out, finish: self.finish, first, outputs: *outputs, start, count };
            multiply(simd, (height, VECTORS), self.columns, weights, &mut store);
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
