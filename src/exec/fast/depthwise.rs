//! Windows over single channels: depthwise convolutions and pools, a row of outputs at a time.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Context;
use super::finish::{Channel, Finish, clipped};
use super::frame::Frame;
use super::isa::{WIDEST, multiply_add};
use super::shared::Shared;

/// Vectors of a row that are computed together.
const ACROSS: usize = 4;

/// What a window does with what it reads.
#[derive(Debug, Clone)]
pub(super) enum Reduction {
    /// A weighted sum: for each output channel, a factor for each tap.
    Weights(Vec<f32>),
    /// The largest; not-a-number wins.
    Largest,
    /// The sum, divided at each position.
    Mean(Vec<f32>),
}

/// Windows that each read one channel.
#[derive(Debug, Clone)]
pub(super) struct Depthwise {
    pub frame: Frame,
    /// Channels of the input.
    pub channels: usize,
    /// Output channels for each of them.
    pub multiplier: usize,
    pub reduction: Reduction,
}

impl Depthwise {
    /// Multiply-adds for one image, padding included.
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
        // Loads go beyond the last row by less than the vectors computed together.
        let slack = (ACROSS + 1) * WIDEST;
        let maps = input.len() / plane.max(1);
        let row = self.frame.plane.max(self.frame.outputs.last().copied().unwrap_or(1)) + slack;
        // Some maps at a time: enough work for a thread to be worth waking.
        let taps = self.frame.taps.len() * block + self.frame.plane;
        let some = (200_000 / taps.max(1)).max(1);
        let each = |task: usize| {
            context.scratch.with(self.frame.plane + slack + row, |scratch| {
                let (frame, row) = scratch.split_at_mut(self.frame.plane + slack);
                for map in task * some..maps.min((task + 1) * some) {
                    let source = &input[map * plane..(map + 1) * plane];
                    #[expect(unsafe_code, reason = "see `Shared`")]
                    // SAFETY: each map has a block of the output of its own.
                    let out = unsafe { out.part(map * block, block) };
                    let first = map == task * some;
                    context.isa.run(Map { depthwise: self, map, first, source, frame, row, out, finish });
                }
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

/// One channel of one image.
struct Map<'a> {
    depthwise: &'a Depthwise,
    map: usize,
    /// Whether the frame held no map before.
    first: bool,
    source: &'a [f32],
    frame: &'a mut [f32],
    row: &'a mut [f32],
    out: &'a mut [f32],
    finish: Finish<'a>,
}

impl WithSimd for Map<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            depthwise: Depthwise { frame: windows, channels, multiplier, reduction }, map, out, ..
        } = self;
        if windows.direct {
            self.frame[..self.source.len()].copy_from_slice(self.source);
        } else if self.first {
            windows.write(self.source, &mut self.frame[..windows.plane]);
        } else {
            windows.rewrite(self.source, &mut self.frame[..windows.plane]);
        }
        let frame = &*self.frame;
        let width = windows.outputs.last().copied().unwrap_or(1);
        let taps = windows.taps.as_slice();
        for extra in 0..*multiplier {
            let channel = map % channels * multiplier + extra;
            let first = map * multiplier + extra;
            let target = &mut out[extra * windows.positions()..(extra + 1) * windows.positions()];
            if let Reduction::Weights(weights) = reduction {
                let factors = &weights[channel * taps.len()..(channel + 1) * taps.len()];
                let at = first * windows.positions();
                let sums = Sums { windows, frame, factors, finish: self.finish.of(channel, at) };
                sums.map(simd, self.row, target);
                continue;
            }
            for (r, target) in target.chunks_exact_mut(width.max(1)).enumerate() {
                let start = windows.row(r);
                match reduction {
                    Reduction::Weights(_) => {}
                    Reduction::Largest => {
                        row(
                            simd,
                            frame,
                            start,
                            taps,
                            self.row,
                            width,
                            f32::NEG_INFINITY,
                            |simd, most, element, _| {
                                let larger = simd.greater_than_f32s(element, most);
                                let number = simd.equal_f32s(element, element);
                                let found = simd.select_f32s(larger, element, most);
                                simd.select_f32s(number, found, element)
                            },
                        );
                        target.copy_from_slice(&self.row[..width]);
                    }
                    Reduction::Mean(divisors) => {
                        row(simd, frame, start, taps, self.row, width, 0.0, |simd, sum, element, _| {
                            simd.add_f32s(sum, element)
                        });
                        let divisors = &divisors[r * width..(r + 1) * width];
                        for ((target, &sum), &divisor) in target.iter_mut().zip(&*self.row).zip(divisors) {
                            *target = sum / divisor;
                        }
                    }
                }
            }
        }
    }
}

/// Weighted sums over one channel.
struct Sums<'a> {
    windows: &'a Frame,
    frame: &'a [f32],
    /// One a tap.
    factors: &'a [f32],
    finish: Channel<'a>,
}

impl Sums<'_> {
    /// All positions; `row` is room for whole vectors.
    #[inline(always)]
    fn map<S: Simd>(&self, simd: S, row: &mut [f32], out: &mut [f32]) {
        let width = self.windows.outputs.last().copied().unwrap_or(1).max(1);
        // Rows that do not fill a vector are computed as one, with what lies between them.
        if let Some(distance) = self.windows.follow().filter(|_| width < S::F32_LANES) {
            let rows = out.len() / width;
            let all = (rows.max(1) - 1) * distance + width;
            let mut at = 0;
            while at < all {
                let vectors = (all - at).div_ceil(S::F32_LANES).min(ACROSS);
                let target = &mut row[at..at + vectors * S::F32_LANES];
                match vectors {
                    1 => self.vectors::<S, 1>(simd, at, target, None),
                    2 => self.vectors::<S, 2>(simd, at, target, None),
                    3 => self.vectors::<S, 3>(simd, at, target, None),
                    _ => self.vectors::<S, ACROSS>(simd, at, target, None),
                }
                at += vectors * S::F32_LANES;
            }
            for (r, (out, row)) in out.chunks_exact_mut(width).zip(row.chunks(distance)).enumerate() {
                self.finish.rest(r * width, &row[..width], out);
            }
            return;
        }
        for r in 0..out.len() / width {
            let (start, first) = (self.windows.row(r), r * width);
            let mut at = 0;
            while at < width {
                let (from, to) = (start + at, first + at);
                let vectors = (width - at).div_ceil(S::F32_LANES).min(ACROSS);
                let end = to + vectors * S::F32_LANES;
                // Whole vectors, of which the next row overwrites what is beyond this one; at the end of the channel a
                // detour.
                let add = self.finish.add.map(|add| &add[to..]);
                let whole = end <= out.len() && self.finish.straight();
                let target = if whole { &mut out[to..end] } else { &mut row[..vectors * S::F32_LANES] };
                let add = add.filter(|_| whole);
                match vectors {
                    1 => self.vectors::<S, 1>(simd, from, target, add),
                    2 => self.vectors::<S, 2>(simd, from, target, add),
                    3 => self.vectors::<S, 3>(simd, from, target, add),
                    _ => self.vectors::<S, ACROSS>(simd, from, target, add),
                }
                if !whole {
                    let count = (width - at).min(vectors * S::F32_LANES);
                    self.finish.rest(to, &row[..count], &mut out[to..to + count]);
                }
                at += vectors * S::F32_LANES;
            }
        }
    }

    /// `V` vectors of neighbouring windows, the first of which starts at `start`. Finished, if that is simple and what is
    /// to be added is given or nothing is.
    #[inline(always)]
    fn vectors<S: Simd, const V: usize>(&self, simd: S, start: usize, out: &mut [f32], add: Option<&[f32]>) {
        let mut sums = [simd.splat_f32s(0.0); V];
        for (&tap, &factor) in self.windows.taps.iter().zip(self.factors) {
            let factor = simd.splat_f32s(factor);
            let from = start + tap;
            // Of a length that the compiler knows.
            let elements =
                &S::as_simd_f32s(&self.frame[from..from + V * S::F32_LANES]).0.as_chunks::<V>().0[0];
            for (sum, &element) in sums.iter_mut().zip(elements) {
                *sum = multiply_add(simd, factor, element, *sum);
            }
        }
        let bias = simd.splat_f32s(self.finish.bias);
        let complete = self.finish.straight() && (add.is_some() || self.finish.add.is_none());
        let curve = self.finish.curve.filter(|_| complete);
        let out = &mut S::as_mut_simd_f32s(out).0.as_chunks_mut::<V>().0[0];
        for (i, (to, &sum)) in out.iter_mut().zip(&sums).enumerate() {
            let mut value = simd.add_f32s(sum, bias);
            if let Some(add) = add {
                let add = &add[i * S::F32_LANES..(i + 1) * S::F32_LANES];
                value = simd.add_f32s(value, S::as_simd_f32s(add).0[0]);
            }
            *to = clipped(simd, curve, value);
        }
    }
}

/// Reduces all taps of `width` neighbouring windows, the first of which starts at `start`; into `out`, which has room
/// for whole vectors.
#[expect(clippy::too_many_arguments, reason = "one loop, used three times")]
#[inline(always)]
fn row<S: Simd>(
    simd: S,
    frame: &[f32],
    start: usize,
    taps: &[usize],
    out: &mut [f32],
    width: usize,
    initial: f32,
    reduce: impl Fn(S, S::f32s, S::f32s, usize) -> S::f32s + Copy,
) {
    let mut at = 0;
    while at < width {
        let vectors = (width - at).div_ceil(S::F32_LANES);
        let (from, to) = (&frame[start + at..], &mut out[at..]);
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
    reduce: impl Fn(S, S::f32s, S::f32s, usize) -> S::f32s,
) -> usize {
    let mut results = [simd.splat_f32s(initial); V];
    for (t, &tap) in taps.iter().enumerate() {
        let elements = &S::as_simd_f32s(&frame[tap..tap + V * S::F32_LANES]).0.as_chunks::<V>().0[0];
        for (result, &element) in results.iter_mut().zip(elements) {
            *result = reduce(simd, *result, element, t);
        }
    }
    let out = S::as_mut_simd_f32s(out).0;
    out[..V].copy_from_slice(&results);
    V
}
