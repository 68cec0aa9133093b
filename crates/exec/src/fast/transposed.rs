//! Transposed convolution: a matrix product computes what each input element contributes to each tap; the
//! contributions are then scattered into the output (col2im).

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Context;
use super::conv::gather;
use super::epilogue::Finish;
use super::isa::WIDEST;
use super::microkernel::{Store, VECTORS, multiply};
use super::packing::Packed;
use super::padded_input::Run;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::window::Window;

/// One axis: where the taps of each input element's window write.
#[derive(Debug, Clone)]
struct Axis {
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    before: i64,
}

impl Axis {
    /// Returns the output index of a tap of the first input element's window.
    fn tap(&self, tap: usize) -> i64 {
        (tap * self.dilation) as i64 - self.before
    }

    /// Returns the range of input elements whose window has `tap` inside the output.
    fn inside(&self, tap: usize) -> (usize, usize) {
        let (first, stride) = (self.tap(tap), self.stride as i64);
        let lowest = (-first).max(0) as u64;
        let low = lowest.div_ceil(self.stride as u64) as usize;
        let high = (self.output as i64 - 1 - first).div_euclid(stride) + 1;
        (low.min(self.input), high.clamp(0, self.input as i64) as usize)
    }
}

/// A transposed convolution, prepared.
#[derive(Debug)]
pub(super) struct Transposed {
    axes: Vec<Axis>,
    /// Per output channel: taps x input channels of its group.
    weights: Packed,
    groups: usize,
    /// Input channels per group.
    members: usize,
}

impl Transposed {
    /// Prepares the kernel. `weights` has one row per output channel and tap; `image` and `output` are spatial sizes.
    pub(super) fn new(
        windows: &[Window],
        image: &[usize],
        output: &[usize],
        groups: usize,
        weights: Packed,
    ) -> Result<Self, Problem> {
        let size = |value: u64| usize::try_from(value).map_err(|_| Problem::overflow("a window"));
        let axis = |((window, &input), &output): ((&Window, &usize), &usize)| {
            Ok(Axis {
                input,
                output,
                kernel: size(window.kernel)?,
                stride: size(window.stride)?,
                dilation: size(window.dilation)?,
                before: window.before,
            })
        };
        let axes = windows.iter().zip(image).zip(output).map(axis).collect::<Result<_, Problem>>()?;
        let members = weights.depth;
        Ok(Self { axes, weights, groups, members })
    }

    fn positions(&self) -> usize {
        self.axes.iter().map(|axis| axis.input).product()
    }

    fn plane(&self) -> usize {
        self.axes.iter().map(|axis| axis.output).product()
    }

    /// Returns the multiply-adds of one image, including those on outputs that the padding removes.
    pub(super) fn macs(&self) -> u64 {
        (self.weights.groups * self.weights.rows * self.weights.depth * self.positions()) as u64
    }

    pub(super) fn bytes(&self) -> u64 {
        self.weights.bytes()
    }

    pub(super) fn run(&self, context: &Context, input: &[f32], out: &mut [f32], finish: Finish<'_>) {
        let (plane, channels) = (self.plane(), self.weights.groups);
        let per_group = channels / self.groups;
        let image = self.groups * self.members * self.positions();
        // Channels of one group share the gathered columns.
        let threads = 4 * rayon::current_num_threads();
        let chunk = (per_group * self.groups).div_ceil(threads).clamp(1, per_group);
        let chunk = (1..=chunk).rev().find(|&chunk| per_group.is_multiple_of(chunk)).unwrap_or(1);
        let width = context.isa.lanes() * VECTORS;
        let scratch = self.members * width + WIDEST;
        out.par_chunks_exact_mut((chunk * plane).max(1)).enumerate().for_each(|(task, out)| {
            let (n, first) = (task * chunk / channels, task * chunk % channels);
            let group = first / per_group;
            let start = n * image + group * self.members * self.positions();
            let source = &input[start..start + self.members * self.positions()];
            context.scratch.with(scratch, |columns| {
                context.isa.run(Chunk { transposed: self, source, columns, first, out });
            });
            for (i, out) in out.chunks_exact_mut(plane.max(1)).enumerate() {
                finish.in_place(context, first + i, (task * chunk + i) * plane, out);
            }
        });
    }
}

/// A range of output channels of one image.
struct Chunk<'a> {
    transposed: &'a Transposed,
    source: &'a [f32],
    columns: &'a mut [f32],
    first: usize,
    out: &'a mut [f32],
}

/// Adds each row of a tile, which is one tap of the input elements from `start` on, to the output.
struct Taps<'a> {
    transposed: &'a Transposed,
    first: usize,
    start: usize,
    count: usize,
    out: &'a mut [f32],
}

impl<S: Simd> Store<S> for Taps<'_> {
    #[inline(always)]
    fn row(&mut self, _: S, row: usize, sums: &[S::f32s]) {
        let mut elements = [0.0; VECTORS * WIDEST];
        S::as_mut_simd_f32s(&mut elements).0[..sums.len()].copy_from_slice(sums);
        self.transposed.scatter(self.first + row, self.start, &elements[..self.count], self.out);
    }
}

impl WithSimd for Chunk<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { transposed, source, columns, first, out } = self;
        let (positions, plane) = (transposed.positions(), transposed.plane());
        out.fill(0.0);
        let step = S::F32_LANES * VECTORS;
        for start in (0..positions).step_by(step) {
            let count = step.min(positions - start);
            let vectors = count.div_ceil(S::F32_LANES);
            let width = vectors * S::F32_LANES;
            let run = |to: usize| Run { to, len: WIDEST.min(count - to), from: start + to };
            let runs: Vec<Run> = (0..count).step_by(WIDEST).map(run).collect();
            gather(source, positions, transposed.members, &[0], &runs, width, columns);
            let columns = &columns[..transposed.members * width];
            let weights = &transposed.weights;
            for (group, out) in (first..weights.groups).zip(out.chunks_exact_mut(plane.max(1))) {
                for &panel in &weights.panels {
                    let mut store = Taps { transposed, first: panel.first, start, count, out };
                    multiply(simd, (panel.rows, vectors), weights.panel(group, panel), columns, &mut store);
                }
            }
        }
    }
}

impl Transposed {
    /// Adds what the input elements from `start` on contribute to `tap`.
    #[inline(always)]
    fn scatter(&self, tap: usize, start: usize, sums: &[f32], out: &mut [f32]) {
        let Some((last, outer)) = self.axes.split_last() else { return };
        let (low, high) = last.inside(tap % last.kernel);
        let shift = last.tap(tap % last.kernel);
        let mut at = 0;
        while at < sums.len() {
            let (mut row, column) = ((start + at) / last.input, (start + at) % last.input);
            let len = (last.input - column).min(sums.len() - at);
            // The output row, if it exists.
            let (mut taps, mut stride, mut base) = (tap / last.kernel, last.output, Some(0));
            for axis in outer.iter().rev() {
                let index = (row % axis.input * axis.stride) as i64 + axis.tap(taps % axis.kernel);
                let inside = usize::try_from(index).ok().filter(|&index| index < axis.output);
                base = base.zip(inside).map(|(base, index)| base + index * stride);
                row /= axis.input;
                taps /= axis.kernel;
                stride *= axis.output;
            }
            let (first, end) = (low.max(column), high.min(column + len));
            if let Some(base) = base.filter(|_| first < end) {
                let to = base + (first * last.stride).wrapping_add_signed(shift as isize);
                let sums = &sums[at + first - column..at + end - column];
                for (i, sum) in sums.iter().enumerate() {
                    out[to + i * last.stride] += sum;
                }
            }
            at += len;
        }
    }
}
