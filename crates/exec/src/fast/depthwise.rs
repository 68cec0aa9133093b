//! Windows over single channels: depthwise convolutions and pools, one row of outputs at a time.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Context;
use super::depthwise_strips;
use super::depthwise_sums::{ACROSS, Sums};
use super::disjoint_slices::Shared;
use super::epilogue::Finish;
use super::isa::WIDEST;
use super::padded_input::{Frame, Square, Three};

/// Largest padded channel, in elements, that is written ahead of its use: 14 x 14 positions. The parts of a larger one have long
/// left the store buffer when they are read.
const AHEAD: usize = 512;

/// How a window reduces the elements it reads.
#[derive(Debug, Clone)]
pub(super) enum Reduction {
    /// A weighted sum: per output channel, one factor per tap.
    Weights(Vec<f32>),
    /// The maximum; NaN wins.
    Largest,
    /// The sum, divided by a divisor per position.
    Mean(Vec<f32>),
}

/// Windows that each read a single channel.
#[derive(Debug, Clone)]
pub(super) struct Depthwise {
    pub frame: Frame,
    /// Number of input channels.
    pub channels: usize,
    /// Output channels per input channel.
    pub multiplier: usize,
    pub reduction: Reduction,
}

impl Depthwise {
    /// Returns the multiply-adds of one image, padding included.
    pub(super) fn macs(&self) -> u64 {
        match self.reduction {
            Reduction::Weights(_) => {
                (self.channels * self.multiplier * self.frame.positions() * self.frame.taps.len()) as u64
            }
            _ => 0,
        }
    }

    /// Computes a batch.
    pub(super) fn run(&self, context: &Context, input: &[f32], out: &mut [f32], finish: Finish<'_>) {
        let positions = self.frame.positions();
        let block = self.multiplier * positions;
        let plane = input.len() / (out.len() / block.max(1)).max(1);
        let out = Shared::new(out);
        let shape = Shape::of(&self.frame);
        let maps = input.len() / plane.max(1);
        let (row, slack) = (shape.row(&self.frame), shape.slack);
        let (three, square) = (shape.three, shape.square.as_ref());
        // Several maps per task, so that the work is worth waking a thread.
        let taps = self.frame.taps.len() * block + self.frame.plane;
        let some = (200_000 / taps.max(1)).max(1);
        let each = |task: usize| {
            let padded = self.frame.plane + slack;
            context.scratch.with(2 * padded + row, |scratch| {
                let (frames, row) = scratch.split_at_mut(2 * padded);
                let frames = frames.split_at_mut(padded).into();
                let maps = task * some..maps.min((task + 1) * some);
                context.isa.run(Maps {
                    depthwise: self,
                    three,
                    square,
                    maps,
                    plane,
                    input,
                    frames,
                    row,
                    out,
                    finish,
                });
            });
        };
        let tasks = maps.div_ceil(some);
        if tasks < 2 {
            (0..tasks).for_each(each);
        } else {
            (0..tasks).into_par_iter().for_each(each);
        }
    }
}

/// What the kernels need to know about windows.
#[derive(Debug)]
pub(super) struct Shape {
    /// The geometry if they have 3 x 3 taps.
    pub three: Option<Three>,
    /// The geometry if they can be computed in strips of rows.
    pub square: Option<Square>,
    /// Elements after a padded channel that loads may reach: less than the vectors computed together.
    pub slack: usize,
}

impl Shape {
    pub(super) fn of(frame: &Frame) -> Self {
        let square = depthwise_strips::supported(frame);
        let rows = frame.outputs.first().copied().unwrap_or(1);
        let excess = square.as_ref().map_or(0, |square| depthwise_strips::excess(square, rows));
        Self { three: frame.three(), square, slack: (ACROSS + 1) * WIDEST + excess }
    }

    /// Returns the elements of a buffer for one row of outputs, or for all rows where they are narrow.
    pub(super) fn row(&self, frame: &Frame) -> usize {
        frame.plane.max(frame.outputs.last().copied().unwrap_or(1)) + self.slack
    }
}

/// A range of channels of the images of a batch.
struct Maps<'a> {
    depthwise: &'a Depthwise,
    three: Option<Three>,
    square: Option<&'a Square>,
    maps: Range<usize>,
    /// Elements of one input channel.
    plane: usize,
    input: &'a [f32],
    /// Buffers for padded channels, used in turn where they are small.
    frames: [&'a mut [f32]; 2],
    /// Buffer for one row of outputs; for all rows where they are narrow.
    row: &'a mut [f32],
    out: Shared<'a>,
    finish: Finish<'a>,
}

impl WithSimd for Maps<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let windows = &self.depthwise.frame;
        let block = self.depthwise.multiplier * windows.positions();
        // A small map is padded one step ahead: wide loads of what was just written in parts would wait for it.
        let ahead = windows.plane <= AHEAD;
        let maps = self.maps.clone();
        for (i, map) in maps.clone().enumerate() {
            if i == 0 || !ahead {
                self.pad(i, ahead);
            }
            if ahead && map + 1 < maps.end {
                self.pad(i + 1, ahead);
            }
            #[expect(unsafe_code, reason = "see `Shared`")]
            // SAFETY: each map writes a block of the output of its own.
            let out = unsafe { self.out.part(map * block, block) };
            self.map(simd, map, if ahead { i % 2 } else { 0 }, out);
        }
    }
}

impl Maps<'_> {
    /// Writes the `i`-th channel of the range, padded, into its buffer.
    #[inline(always)]
    fn pad(&mut self, i: usize, ahead: bool) {
        let windows = &self.depthwise.frame;
        let map = self.maps.start + i;
        let source = &self.input[map * self.plane..(map + 1) * self.plane];
        let buffers = if ahead { 2 } else { 1 };
        let frame = &mut self.frames[i % buffers][..windows.plane];
        if windows.direct {
            frame[..source.len()].copy_from_slice(source);
        } else if i < buffers {
            windows.write(source, frame);
        } else {
            windows.rewrite(source, frame);
        }
    }

    /// Returns whether [`strips`] supports the windows.
    fn pools_in_strips(&self) -> bool {
        self.square.is_some_and(|square| square.columns.len() == 3)
    }

    /// Computes the outputs of the channel in a padded buffer.
    #[inline(always)]
    fn map<S: Simd>(&mut self, simd: S, map: usize, buffer: usize, out: &mut [f32]) {
        let Depthwise { frame: windows, channels, multiplier, reduction } = self.depthwise;
        let frame = &*self.frames[buffer];
        let width = windows.outputs.last().copied().unwrap_or(1);
        let taps = windows.taps.as_slice();
        for extra in 0..*multiplier {
            let channel = map % channels * multiplier + extra;
            let first = map * multiplier + extra;
            let target = &mut out[extra * windows.positions()..(extra + 1) * windows.positions()];
            match reduction {
                Reduction::Weights(weights) => {
                    let factors = &weights[channel * taps.len()..(channel + 1) * taps.len()];
                    let finish = self.finish.of(channel, first * windows.positions());
                    let (three, square) = (self.three, self.square);
                    Sums { windows, three, square, frame, factors, finish }.map(simd, self.row, target);
                }
                Reduction::Largest if self.pools_in_strips() => {
                    let reduce = (f32::NEG_INFINITY, larger);
                    strips(simd, self.square, (frame, width), self.row, target, reduce);
                }
                Reduction::Mean(divisors) if self.pools_in_strips() => {
                    strips(simd, self.square, (frame, width), self.row, target, (0.0, S::add_f32s));
                    target.iter_mut().zip(divisors).for_each(|(sum, &divisor)| *sum /= divisor);
                }
                Reduction::Largest => {
                    for (r, target) in target.chunks_exact_mut(width.max(1)).enumerate() {
                        let from = &frame[windows.row(r)..];
                        row(simd, from, taps, &mut self.row[..], width, f32::NEG_INFINITY, larger);
                        target.copy_from_slice(&self.row[..width]);
                    }
                }
                Reduction::Mean(divisors) => {
                    let rows = target.chunks_exact_mut(width.max(1)).zip(divisors.chunks_exact(width.max(1)));
                    for (r, (target, divisors)) in rows.enumerate() {
                        let from = &frame[windows.row(r)..];
                        row(simd, from, taps, &mut self.row[..], width, 0.0, S::add_f32s);
                        for ((target, &sum), &divisor) in target.iter_mut().zip(&*self.row).zip(divisors) {
                            *target = sum / divisor;
                        }
                    }
                }
            }
        }
    }
}

/// Reduces windows of 3 x 3 elements in strips of rows; `row` has room for a vector.
#[inline(always)]
fn strips<S: Simd>(
    simd: S,
    square: Option<&Square>,
    (frame, width): (&[f32], usize),
    row: &mut [f32],
    out: &mut [f32],
    reduce: (f32, impl Fn(S, S::f32s, S::f32s) -> S::f32s + Copy),
) {
    let (Some(square), rows) = (square, out.len() / width.max(1)) else { return };
    for (at, first) in depthwise_strips::places(width, rows, S::F32_LANES) {
        let frame = &frame[first * square.rows * square.down + at..];
        let results = match square.rows {
            1 => depthwise_strips::reduced::<S, 3, 1>(simd, square, frame, reduce),
            _ => depthwise_strips::reduced::<S, 3, 2>(simd, square, frame, reduce),
        };
        for (r, &result) in (first..rows).zip(&results) {
            let to = r * width + at;
            if let Some(out) = out.get_mut(to..to + S::F32_LANES) {
                S::as_mut_simd_f32s(out).0[0] = result;
            } else {
                let count = (width - at).min(S::F32_LANES);
                S::as_mut_simd_f32s(&mut *row).0[0] = result;
                out[to..to + count].copy_from_slice(&row[..count]);
            }
        }
    }
}

/// Returns the larger of two; NaN wins.
#[inline(always)]
fn larger<S: Simd>(simd: S, most: S::f32s, element: S::f32s) -> S::f32s {
    let larger = simd.greater_than_f32s(element, most);
    let number = simd.equal_f32s(element, element);
    let found = simd.select_f32s(larger, element, most);
    simd.select_f32s(number, found, element)
}

/// Reduces all taps of `width` neighbouring windows, the first of which starts at the beginning of `frame`, into
/// `out`, which has room for whole vectors.
#[inline(always)]
fn row<S: Simd>(
    simd: S,
    frame: &[f32],
    taps: &[usize],
    out: &mut [f32],
    width: usize,
    initial: f32,
    reduce: impl Fn(S, S::f32s, S::f32s) -> S::f32s + Copy,
) {
    let mut at = 0;
    while at < width {
        let vectors = (width - at).div_ceil(S::F32_LANES);
        let (from, to) = (&frame[at..], &mut out[at..]);
        at += S::F32_LANES
            * match vectors {
                1 => vectors_of::<S, 1>(simd, from, taps, to, initial, reduce),
                2 => vectors_of::<S, 2>(simd, from, taps, to, initial, reduce),
                3 => vectors_of::<S, 3>(simd, from, taps, to, initial, reduce),
                _ => vectors_of::<S, ACROSS>(simd, from, taps, to, initial, reduce),
            };
    }
}

#[inline(always)]
fn vectors_of<S: Simd, const V: usize>(
    simd: S,
    frame: &[f32],
    taps: &[usize],
    out: &mut [f32],
    initial: f32,
    reduce: impl Fn(S, S::f32s, S::f32s) -> S::f32s,
) -> usize {
    let mut results = [simd.splat_f32s(initial); V];
    for &tap in taps {
        let elements = &S::as_simd_f32s(&frame[tap..tap + V * S::F32_LANES]).0.as_chunks::<V>().0[0];
        for (result, &element) in results.iter_mut().zip(elements) {
            *result = reduce(simd, *result, element);
        }
    }
    let out = S::as_mut_simd_f32s(out).0;
    out[..V].copy_from_slice(&results);
    V
}
