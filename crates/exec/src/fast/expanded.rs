//! A convolution and the depthwise convolution that reads it, strip by strip of rows: the map between them is never
//! stored (Alwani et al. 2016, "Fused-Layer CNN Accelerators").
//!
//! In an inverted residual (Sandler et al. 2018, "MobileNetV2") that map is the largest of the network: 96 channels of
//! 112 x 112 are 4.8 MB, which would be written to memory and read back.
//!
//! A task computes a range of channels. For each strip of output rows it gathers the columns of those rows of the map
//! that the strip reads and no earlier one did, multiplies them by one panel of weights, and passes these channels on
//! while they are in the cache. Rows that the next strip reads again are kept, per channel. A sum is added up in the
//! same order whatever the strips and tasks are.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Context;
use super::activations;
use super::conv::{Convolution, gather};
use super::depthwise::{Depthwise, Reduction, Shape};
use super::depthwise_sums::Sums;
use super::disjoint_slices::Shared;
use super::epilogue::{Finish, straight};
use super::isa::WIDEST;
use super::microkernel::{ROWS, Store, VECTORS, multiply};
use super::packing::Panel;
use super::padded_input::{Frame, Run};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::activation::Activation;
use cnnkit_core::layers::conv::PaddingMode;
use cnnkit_core::layers::window::Window;

/// Positions of the map between the convolutions that a strip reads, about: with them, the columns of 24 channels and the
/// rows of a panel stay in an L2 cache of 512 KiB.
const POSITIONS: usize = 2048;
/// Least rows of outputs of a strip: as many as the depthwise kernel computes together.
const OUTPUTS: usize = super::depthwise_strips::STRIP;
/// Elements of one image of the map from which on strips are faster: a smaller map stays in the L2 cache.
const LEAST: usize = 1 << 16;

/// The two convolutions.
#[derive(Debug)]
pub(super) struct Expanded {
    /// The first convolution, often 1 x 1.
    pub convolution: Convolution,
    /// Its bias.
    bias: Option<Vec<f32>>,
    /// Applied between the two.
    curve: Option<Activation>,
    /// The weights of the second, per channel one factor per tap.
    factors: Vec<f32>,
    /// Columns of the map between.
    width: usize,
    /// Outputs of one channel.
    positions: usize,
    strips: Vec<Strip>,
}

/// A range of rows of outputs.
#[derive(Debug)]
pub(super) struct Strip {
    /// The rows of the map between that it reads.
    reads: Range<usize>,
    /// Its first output in each channel.
    first: usize,
    /// The windows on the rows that it reads.
    frame: Frame,
    shape: Shape,
}

impl Expanded {
    /// Combines `convolution`, with its bias and activation, and `depthwise`, which goes by these [strips](Strip::all).
    pub(super) fn new(
        convolution: Convolution,
        (bias, curve): (Option<Vec<f32>>, Option<Activation>),
        depthwise: &Depthwise,
        strips: Vec<Strip>,
    ) -> Self {
        let factors = match &depthwise.reduction {
            Reduction::Weights(factors) => factors.clone(),
            Reduction::Largest | Reduction::Mean(_) => vec![],
        };
        let width = convolution.frame.outputs.last().copied().unwrap_or(1);
        Self { convolution, bias, curve, factors, width, positions: depthwise.frame.positions(), strips }
    }

    /// Returns the multiply-adds of one image, padding included.
    pub(super) fn macs(&self) -> u64 {
        self.convolution.macs() + (self.factors.len() * self.positions) as u64
    }

    /// Returns the number of channels of the map between and of the outputs.
    fn channels(&self) -> usize {
        self.convolution.weights.rows
    }

    /// Computes a batch; `finish` is the epilogue of the depthwise convolution.
    pub(super) fn run(&self, context: &Context, input: &[f32], out: &mut [f32], finish: Finish<'_>) {
        let outputs = self.channels() * self.positions;
        let image = input.len() / (out.len() / outputs.max(1)).max(1);
        let room = Room::of(self, context.isa.lanes());
        let tasks = self.tasks();
        let out = Shared::new(out);
        for (n, source) in input.chunks_exact(image.max(1)).enumerate() {
            self.convolution.padded(context, source, |frame| {
                let run = |panels: &Range<usize>| {
                    let panels = &self.convolution.weights.panels[panels.clone()];
                    let channels: usize = panels.iter().map(|panel| panel.rows).sum();
                    context.scratch.with(room.elements(channels), |scratch| {
                        let (at, out) = (n * outputs, out);
                        context.isa.run(Channels { of: self, panels, frame, room, scratch, out, at, finish });
                    });
                };
                match &tasks[..] {
                    [only] => run(only),
                    tasks => tasks.par_iter().for_each(run),
                }
            });
        }
    }

    /// Splits the panels of weights into enough tasks for all threads. Each gathers all columns again.
    fn tasks(&self) -> Vec<Range<usize>> {
        let (panels, threads) = (self.convolution.weights.panels.len(), rayon::current_num_threads());
        let worth = usize::try_from(self.macs() / 500_000).unwrap_or(usize::MAX);
        let wanted = if threads == 1 { 1 } else { threads * (panels / (8 * threads)).max(1) };
        let parts = wanted.min(worth).min(panels).max(1);
        (0..parts).map(|part| part * panels / parts..(part + 1) * panels / parts).collect()
    }
}

impl Strip {
    /// Cuts the outputs of `depthwise`, whose `windows` slide over the outputs of `convolution`, into strips. `None` where
    /// strips are not supported or not faster.
    pub(super) fn all(
        convolution: &Convolution,
        depthwise: &Depthwise,
        (windows, mode): (&[Window], PaddingMode),
    ) -> Result<Option<Vec<Self>>, Problem> {
        let single = matches!(depthwise.reduction, Reduction::Weights(_)) && depthwise.multiplier == 1;
        let plain =
            convolution.weights.groups == 1 && convolution.live.is_none() && convolution.front.is_none();
        let (&[height, width], &[rows, columns], &[down, across]) =
            (&convolution.frame.outputs[..], &depthwise.frame.outputs[..], windows)
        else {
            return Ok(None);
        };
        if !single || !plain || mode != PaddingMode::Zeros || convolution.outputs() < LEAST {
            return Ok(None);
        }
        let (stride, extent) = (i128::from(down.stride), i128::from(down.extent()?));
        let fresh = width.saturating_mul(usize::try_from(down.stride).unwrap_or(usize::MAX));
        let each = (POSITIONS / fresh.max(1)).max(OUTPUTS);
        let mut strips = Vec::new();
        for first in (0..rows).step_by(each) {
            let end = rows.min(first + each);
            // May lie in the padding above.
            let start = first as i128 * stride - i128::from(down.before);
            let stop = (end as i128 - 1) * stride - i128::from(down.before) + extent;
            let inside = |row: i128| usize::try_from(row.max(0)).map_or(height, |row| row.min(height));
            let reads = inside(start)..inside(stop);
            let before = i64::try_from(reads.start as i128 - start);
            let (false, Ok(before)) = (reads.is_empty(), before) else { return Ok(None) };
            let windows = [Window { before, after: 0, ..down }, across];
            let (image, outputs) = ([reads.len(), width], [end - first, columns]);
            let Some(frame) = Frame::new(&image, &outputs, &windows, mode, 0.0)? else { return Ok(None) };
            let shape = Shape::of(&frame);
            strips.push(Self { reads, first: first * columns, frame, shape });
        }
        Ok(Some(strips))
    }
}

/// The scratch memory of a task, in elements.
#[derive(Debug, Clone, Copy)]
struct Room {
    /// The gathered columns of a strip.
    columns: usize,
    /// The rows that a strip reads of one channel.
    rows: usize,
    /// Those that the next strip reads again.
    kept: usize,
    /// A padded copy of them.
    padded: usize,
    /// A row of outputs, or all of a strip where they are narrow.
    row: usize,
}

impl Room {
    fn of(of: &Expanded, lanes: usize) -> Self {
        let strips = || of.strips.iter();
        let most = |of: &mut dyn Iterator<Item = usize>| of.max().unwrap_or(0);
        let rows = of.width * most(&mut strips().map(|strip| strip.reads.len()));
        let width = lanes * VECTORS;
        let again = strips().zip(strips().skip(1));
        let again = again.map(|(strip, next)| strip.reads.end.saturating_sub(next.reads.start));
        Self {
            columns: rows.div_ceil(width) * width * of.convolution.weights.depth + WIDEST,
            rows,
            kept: of.width * most(&mut { again }),
            padded: most(&mut strips().map(|strip| strip.frame.plane + strip.shape.slack)),
            row: most(&mut strips().map(|strip| strip.shape.row(&strip.frame))),
        }
    }

    /// Returns the elements that a task of this many channels needs.
    fn elements(&self, channels: usize) -> usize {
        self.columns + ROWS * self.rows + channels * self.kept + 2 * self.padded + self.row
    }
}

/// A range of channels of one image.
struct Channels<'a> {
    of: &'a Expanded,
    panels: &'a [Panel],
    /// The padded input of the first convolution.
    frame: &'a [f32],
    room: Room,
    scratch: &'a mut [f32],
    out: Shared<'a>,
    /// Offset of the image in the output.
    at: usize,
    finish: Finish<'a>,
}

impl WithSimd for Channels<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { of, panels, frame, room, scratch, out, at, finish } = self;
        let (columns, rest) = scratch.split_at_mut(room.columns);
        let (rows, rest) = rest.split_at_mut(ROWS * room.rows);
        let (padded, rest) = rest.split_at_mut(2 * room.padded);
        let (row, kept) = rest.split_at_mut(room.row);
        let base = panels.first().map_or(0, |panel| panel.first);
        let mut runs = Vec::new();
        let mut done = 0;
        for (number, strip) in of.strips.iter().enumerate() {
            let fresh = strip.reads.start.max(done)..strip.reads.end;
            done = fresh.end;
            let positions = fresh.start * of.width..fresh.end * of.width;
            of.gather::<S>(frame, positions.clone(), &mut runs, columns);
            // What earlier strips have computed, and what the next one reads again.
            let old = (fresh.start - strip.reads.start) * of.width;
            let next = of.strips.get(number + 1).map_or(done, |next| next.reads.start.min(done));
            let again = (next - strip.reads.start) * of.width..strip.reads.len() * of.width;
            let mut between = Between { rows: &mut *rows, stride: room.rows, old, len: positions.len() };
            let mut windows = Windows { of, strip, padded: padded.split_at_mut(room.padded).into(), used: 0 };
            for panel in panels {
                let channels = panel.first..panel.first + panel.rows;
                let keep = |channel: usize| (channel - base) * room.kept;
                for (channel, rows) in channels.clone().zip(between.rows.chunks_exact_mut(room.rows)) {
                    rows[..old].copy_from_slice(&kept[keep(channel)..][..old]);
                }
                of.multiply(simd, *panel, columns, &mut between);
                for (channel, rows) in channels.clone().zip(between.rows.chunks_exact(room.rows)) {
                    kept[keep(channel)..][..again.len()].copy_from_slice(&rows[again.clone()]);
                }
                windows.outputs(simd, channels, between.rows.chunks_exact(room.rows), row, (out, at, finish));
            }
        }
    }
}

/// The rows that a strip reads of one panel's channels.
struct Between<'a> {
    rows: &'a mut [f32],
    /// Distance from one channel to the next.
    stride: usize,
    /// Elements that earlier strips have computed, and that this one computes.
    old: usize,
    len: usize,
}

impl Expanded {
    /// Gathers the columns of a range of positions, block by block.
    #[inline(always)]
    fn gather<S: Simd>(
        &self,
        frame: &[f32],
        positions: Range<usize>,
        runs: &mut Vec<Run>,
        columns: &mut [f32],
    ) {
        let Convolution { frame: windows, weights, channels, .. } = &self.convolution;
        let mut columns = columns;
        for (first, vectors) in blocks::<S>(positions.clone()) {
            let width = vectors * S::F32_LANES;
            windows.runs(first, positions.end.min(first + width), runs);
            gather(frame, windows.plane, *channels, &windows.taps, runs, width, columns);
            columns = columns.split_at_mut(weights.depth * width).1;
        }
    }

    /// Computes the channels of one panel of weights.
    #[inline(always)]
    fn multiply<S: Simd>(&self, simd: S, panel: Panel, columns: &[f32], between: &mut Between<'_>) {
        let weights = &self.convolution.weights;
        let straight = straight(self.curve);
        let finish = Finish { bias: self.bias.as_deref(), add: None, curve: self.curve.filter(|_| straight) };
        let mut columns = columns;
        let (old, len) = (between.old, between.len);
        for (first, vectors) in blocks::<S>(0..len) {
            let width = vectors * S::F32_LANES;
            let (own, rest) = columns.split_at(weights.depth * width);
            columns = rest;
            let at = old + first..old + len.min(first + width);
            let mut store =
                Rows { rows: between.rows, stride: between.stride, at, channel: panel.first, finish };
            multiply(simd, (panel.rows, vectors), weights.panel(0, panel), own, &mut store);
        }
        if let Some(curve) = self.curve.filter(|_| !straight) {
            // One call for all rows, not one for every row of a tile.
            for rows in between.rows.chunks_exact_mut(between.stride).take(panel.rows) {
                activations::apply(simd, curve, &mut rows[old..old + len]);
            }
        }
    }
}

/// Iterates over the blocks of a range of positions: the first position of each and its number of vectors.
#[inline(always)]
fn blocks<S: Simd>(positions: Range<usize>) -> impl Iterator<Item = (usize, usize)> {
    let width = VECTORS * S::F32_LANES;
    let end = positions.end;
    positions.step_by(width).map(move |first| (first, (end - first).div_ceil(S::F32_LANES).min(VECTORS)))
}

/// Stores each row of a tile in its channel.
struct Rows<'a> {
    rows: &'a mut [f32],
    stride: usize,
    at: Range<usize>,
    /// Channel of the first row.
    channel: usize,
    finish: Finish<'a>,
}

impl<S: Simd> Store<S> for Rows<'_> {
    #[inline(always)]
    fn row(&mut self, simd: S, row: usize, sums: &[S::f32s]) {
        let start = row * self.stride;
        let out = &mut self.rows[start + self.at.start..start + self.at.end];
        self.finish.vectors(simd, self.channel + row, 0, sums, out);
    }
}

/// The windows of one strip.
struct Windows<'a> {
    of: &'a Expanded,
    strip: &'a Strip,
    /// Buffers for padded channels, used in turn: wide loads of what was just written in parts would wait for it.
    padded: [&'a mut [f32]; 2],
    /// How often they were used.
    used: usize,
}

impl Windows<'_> {
    /// Computes the strip's outputs of a range of channels.
    #[inline(always)]
    fn outputs<'r, S: Simd>(
        &mut self,
        simd: S,
        channels: Range<usize>,
        mut rows: impl Iterator<Item = &'r [f32]>,
        row: &mut [f32],
        (out, image, finish): (Shared<'_>, usize, Finish<'_>),
    ) {
        let &Strip { first, ref frame, ref shape, .. } = self.strip;
        let taps = frame.taps.len();
        let before = self.used;
        for (i, channel) in channels.clone().enumerate() {
            // One step ahead.
            while self.used < before + channels.len().min(i + 2) {
                let Some(source) = rows.next() else { break };
                self.pad(source);
            }
            let at = image + channel * self.of.positions + first;
            #[expect(unsafe_code, reason = "see `Shared`")]
            // SAFETY: each task writes channels of its own.
            let out = unsafe { out.part(at, frame.positions()) };
            let sums = Sums {
                windows: frame,
                three: shape.three,
                square: shape.square.as_ref(),
                frame: self.padded[(before + i) % 2],
                factors: &self.of.factors[channel * taps..(channel + 1) * taps],
                finish: finish.of(channel, at),
            };
            sums.map(simd, row, out);
        }
    }

    /// Writes the rows of a channel, padded, into the next buffer.
    #[inline(always)]
    fn pad(&mut self, source: &[f32]) {
        let frame = &self.strip.frame;
        let padded = &mut self.padded[self.used % 2][..frame.plane];
        let source = &source[..self.strip.reads.len() * self.of.width];
        if frame.direct {
            padded.copy_from_slice(source);
        } else if self.used < 2 {
            frame.write(source, padded);
        } else {
            frame.rewrite(source, padded);
        }
        self.used += 1;
    }
}
