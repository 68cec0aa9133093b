//! Convolution as implicit GEMM: the weights times the columns that the windows read. The columns are
//! gathered panel by panel; the full im2col matrix is never built.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Context;
use super::disjoint_slices::Shared;
use super::epilogue::{Finish, clipped};
use super::isa::{WIDEST, multiply_add};
use super::live_taps::LiveTaps;
use super::microkernel::{Store, VECTORS, multiply, no_sums, product};
use super::packing::Packed;
use super::padded_input::{Frame, Run};
use cnnkit_core::layers::activation::Activation;

/// A convolution with prepared windows and packed weights.
#[derive(Debug)]
pub(super) struct Convolution {
    /// The padded input that the windows read.
    pub frame: Frame,
    /// The weights: per group, output channels x (input channels x taps).
    pub weights: Packed,
    /// Number of input channels.
    pub channels: usize,
    /// Applied to the input first (prologue); only for windows that read no padding.
    pub front: Option<Prologue>,
    /// The taps to multiply, if others lie in the padding; the weights are then in the order (taps x input channels).
    pub live: Option<LiveTaps>,
}

/// A norm, optionally followed by ReLU, applied to each channel of the gathered columns.
#[derive(Debug)]
pub(super) struct Prologue {
    pub scale: Vec<f32>,
    pub shift: Vec<f32>,
    pub relu: bool,
}

impl Prologue {
    /// Applies it to `columns`: one row of `width` elements per channel from `first` on and per tap of `taps`.
    #[inline(always)]
    fn apply<S: Simd>(&self, simd: S, (first, taps): (usize, usize), width: usize, columns: &mut [f32]) {
        let relu = self.relu.then_some(Activation::Ramp);
        for (row, columns) in columns.chunks_exact_mut(width).enumerate() {
            let channel = first + row / taps;
            let (scale, shift) = (simd.splat_f32s(self.scale[channel]), simd.splat_f32s(self.shift[channel]));
            for value in S::as_mut_simd_f32s(columns).0 {
                *value = clipped(simd, relu, multiply_add(simd, scale, *value, shift));
            }
        }
    }
}

/// One task of the product: a range of output channels at a range of positions.
#[derive(Clone, Copy)]
struct Task {
    group: usize,
    /// The first position.
    first: usize,
    end: usize,
    /// Range of weight panels.
    panels: (usize, usize),
}

impl Convolution {
    /// Returns the output elements of one image.
    pub(super) fn outputs(&self) -> usize {
        self.weights.groups * self.weights.rows * self.frame.positions()
    }

    /// Returns the multiply-adds of one image, padding included: what the tiles compute without the unused part of
    /// incomplete ones, and with the taps that they [skip](LiveTaps).
    pub(super) fn macs(&self) -> u64 {
        self.outputs() as u64 * self.weights.depth as u64
    }

    /// Computes the convolution of a batch.
    pub(super) fn run(&self, context: &Context, input: &[f32], out: &mut [f32], finish: Finish<'_>) {
        let image = input.len() / (out.len() / self.outputs().max(1)).max(1);
        let tasks = self.tasks(context.isa.lanes() * VECTORS);
        let out = Shared::new(out);
        for (n, source) in input.chunks_exact(image.max(1)).enumerate() {
            let out = (out, n * self.outputs());
            self.padded(context, source, |frame| self.image(context, &tasks, frame, out, finish));
        }
    }

    /// Runs `work` on one padded image.
    pub(super) fn padded(&self, context: &Context, source: &[f32], work: impl FnOnce(&[f32])) {
        if self.frame.direct {
            work(source);
            return;
        }
        context.scratch.with(self.frame.elements(self.channels), |frame| {
            self.frame.write_all(source, frame);
            work(frame);
        });
    }

    /// Splits the work into enough tasks for all threads. The split changes no sum, so results do not depend on the
    /// number of threads.
    fn tasks(&self, width: usize) -> Vec<Task> {
        let positions = self.frame.positions();
        let (groups, blocks) = (self.weights.groups, positions.div_ceil(width));
        let panels = self.weights.panels.len();
        let threads = rayon::current_num_threads();
        let wanted = if threads == 1 { 1 } else { 6 * threads };
        // Each part gathers the columns again, so at least 8 panels of rows should share them.
        let parts = wanted.div_ceil((groups * blocks).max(1)).min(panels / 8).max(1);
        let mut tasks = Vec::with_capacity(groups * blocks * parts);
        for group in 0..groups {
            for part in 0..parts {
                let panels = (part * panels / parts, (part + 1) * panels / parts);
                for block in 0..blocks {
                    let first = block * width;
                    tasks.push(Task { group, first, end: (first + width).min(positions), panels });
                }
            }
        }
        tasks
    }

    fn image(
        &self,
        context: &Context,
        tasks: &[Task],
        frame: &[f32],
        (out, first): (Shared<'_>, usize),
        finish: Finish<'_>,
    ) {
        let width = context.isa.lanes() * VECTORS;
        let scratch = self.weights.depth * width + WIDEST;
        let run = |task: &Task| {
            context.scratch.with(scratch, |columns| {
                context.isa.run(Block { convolution: self, task: *task, frame, columns, out, first, finish });
            });
        };
        // Waking a thread takes a while: a task should have at least some ten microseconds of work.
        let least = (500_000 * tasks.len() as u64).div_ceil(self.macs().max(1)).max(1);
        let least = usize::try_from(least).unwrap_or(usize::MAX);
        if tasks.len() <= least {
            tasks.iter().for_each(run);
        } else {
            tasks.par_iter().with_min_len(least).for_each(run);
        }
    }
}

/// A task with its data.
struct Block<'a> {
    convolution: &'a Convolution,
    task: Task,
    frame: &'a [f32],
    columns: &'a mut [f32],
    out: Shared<'a>,
    /// Offset of the image in the output of the batch.
    first: usize,
    finish: Finish<'a>,
}

/// Stores each row of a tile in its output channel.
pub(super) struct Rows<'a> {
    /// The output of the whole batch; no other task writes these channels at these positions of this image.
    pub out: Shared<'a>,
    pub finish: Finish<'a>,
    /// Output channel of the first row.
    pub channel: usize,
    /// Positions per channel.
    pub positions: usize,
    /// Position of the first column, and number of columns.
    pub first: usize,
    pub count: usize,
    /// Offset of the image.
    pub image: usize,
}

impl<S: Simd> Store<S> for Rows<'_> {
    #[inline(always)]
    fn row(&mut self, simd: S, row: usize, sums: &[S::f32s]) {
        let channel = self.channel + row;
        let at = self.image + channel * self.positions + self.first;
        #[expect(unsafe_code, reason = "see `Shared`")]
        // SAFETY: tasks differ in image, positions, group or panels, so no two write the same element.
        let out = unsafe { self.out.part(at, self.count) };
        self.finish.vectors(simd, channel, at, sums, out);
    }
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if let Some(live) = &self.convolution.live {
            self.live(simd, live);
            return;
        }
        let Self {
            convolution: Convolution { frame, weights, channels, front, .. },
            task,
            columns,
            out,
            finish,
            ..
        } = self;
        let count = task.end - task.first;
        let vectors = count.div_ceil(S::F32_LANES);
        let width = vectors * S::F32_LANES;
        let members = channels / weights.groups;
        let group = &self.frame[task.group * members * frame.plane..];
        let mut runs = Vec::new();
        frame.runs(task.first, task.end, &mut runs);
        gather(group, frame.plane, members, &frame.taps, &runs, width, columns);
        let columns = &mut columns[..weights.depth * width];
        if let Some(front) = front {
            front.apply(simd, (task.group * members, frame.taps.len()), width, columns);
        }
        let columns = &*columns;
        let (positions, first, image) = (frame.positions(), task.first, self.first);
        for &panel in &weights.panels[task.panels.0..task.panels.1] {
            let channel = task.group * weights.rows + panel.first;
            let mut store = Rows { out, finish, channel, positions, first, count, image };
            multiply(simd, (panel.rows, vectors), weights.panel(task.group, panel), columns, &mut store);
        }
    }
}

impl Block<'_> {
    /// Multiplies by the live taps alone, which are gathered one after another.
    #[inline(always)]
    fn live<S: Simd>(self, simd: S, live: &LiveTaps) {
        let Self {
            convolution: Convolution { frame, weights, channels, .. },
            task,
            columns,
            out,
            finish,
            ..
        } = self;
        let members = channels / weights.groups;
        let count = task.end - task.first;
        let vectors = count.div_ceil(S::F32_LANES);
        let width = vectors * S::F32_LANES;
        let group = &self.frame[task.group * members * frame.plane..];
        let mut runs = Vec::new();
        frame.runs(task.first, task.end, &mut runs);
        let taps: Vec<Range<usize>> = live.runs(task.first, task.end).collect();
        let mut at = 0;
        for &tap in taps.iter().flat_map(|taps| &frame.taps[taps.clone()]) {
            gather(group, frame.plane, members, &[tap], &runs, width, &mut columns[at..]);
            at += members * width;
        }
        for &panel in &weights.panels[task.panels.0..task.panels.1] {
            let factors = weights.panel(task.group, panel);
            let (mut sums, mut part) = (no_sums(simd), no_sums(simd));
            let mut columns = &*columns;
            for taps in &taps {
                let (own, rest) = columns.split_at(taps.len() * members * width);
                columns = rest;
                let factors = &factors[panel.rows * members * taps.start..panel.rows * members * taps.end];
                product(simd, (panel.rows, vectors), factors, own, &mut part);
                for (sum, &part) in sums.as_flattened_mut().iter_mut().zip(part.as_flattened()) {
                    *sum = simd.add_f32s(*sum, part);
                }
            }
            let channel = task.group * weights.rows + panel.first;
            let (positions, first) = (frame.positions(), task.first);
            let mut store = Rows { out, finish, channel, positions, first, count, image: self.first };
            for (row, sums) in sums[..panel.rows].iter().enumerate() {
                store.row(simd, row, &sums[..vectors]);
            }
        }
    }
}

/// Gathers rows of `width` elements: per channel and tap, what the windows of the block read there.
#[inline(always)]
pub(super) fn gather(
    frame: &[f32],
    plane: usize,
    channels: usize,
    taps: &[usize],
    runs: &[Run],
    width: usize,
    columns: &mut [f32],
) {
    let mut row = 0;
    for channel in 0..channels {
        for tap in taps {
            let (source, target) = (&frame[channel * plane + tap..], &mut columns[row..]);
            // Copies whole vectors: elements past the end of a run are overwritten by the next run or row, or never
            // used.
            for run in runs {
                let (to, from) = (&mut target[run.to..], &source[run.from..]);
                match (to.first_chunk_mut::<WIDEST>(), from.first_chunk::<WIDEST>()) {
                    (Some(to), Some(from)) => *to = *from,
                    _ => to[..run.len].copy_from_slice(&from[..run.len]),
                }
            }
            row += width;
        }
    }
}
