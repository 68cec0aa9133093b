//! An inverted residual in one step (Sandler et al. 2018, "MobileNetV2"): a convolution, the depthwise convolution that reads
//! it, optionally squeeze and excitation, and the 1 x 1 convolution that reads that, with the sum and activation after it. The
//! convolution in the middle may have groups instead (ResNeXt, RegNet).
//!
//! The two maps between them, the largest of such networks, are [blocked]: the first convolution writes it so, with zeros around
//! it, so that the depthwise one reads it without a padded copy, and the last one writes plain channels again. Where neither map
//! fits into the cache, all three are computed strip by strip of rows (Alwani et al. 2016, "Fused-Layer CNN Accelerators");
//! rows that two strips read are kept. A sum is added up in the same order whatever the strips and tasks are.
//!
//! [blocked]: super::blocked

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Context;
use super::activations;
use super::blocked::{ACROSS, Blocks, Matrix, Planes, Side, expand, project, split, tallest};
use super::blocked_gates;
use super::conv::gather;
use super::disjoint_slices::Shared;
use super::epilogue::Finish;
use super::inverted_geometry::Geometry;
use super::inverted_middle::Middle;
use super::inverted_weights::{Stage, Weights};
use super::isa::{Isa, WIDEST};
use super::padded_input::{Frame, Run};
use super::squeeze_excite::Gates;
use cnnkit_core::layers::conv::PaddingMode;
use cnnkit_core::layers::window::Window;

/// The three convolutions.
#[derive(Debug)]
pub(super) struct Inverted {
    /// The windows of the first convolution, and the number of channels that they read.
    pub frame: Frame,
    pub channels: usize,
    pub expansion: Stage,
    /// Its weights.
    pub factors: Matrix,
    pub middle: Middle,
    pub geometry: Geometry,
    pub gates: Option<Box<Gates>>,
    /// The weights of the last convolution.
    pub projection: Matrix,
    /// The instructions: those of the machine, or narrower ones of which a group fills whole vectors.
    pub isa: Isa,
}

/// The scratch memory of a task, in elements.
#[derive(Debug, Clone, Copy)]
struct Room {
    /// The gathered columns of a strip.
    columns: usize,
    /// One block of the rows that a strip reads.
    block: usize,
    /// One block of those that the next strip reads again.
    kept: usize,
}

impl Inverted {
    /// Combines a convolution with these windows on `channels` channels, one that is depthwise or has groups ([`Middle`]), with
    /// `outputs` rows and columns, and one of 1 x 1. `None` where that is not supported.
    pub(super) fn new(
        isa: Isa,
        (frame, channels): (&Frame, usize),
        (first, second): ((Weights<'_>, Stage), (Weights<'_>, Stage)),
        (windows, mode, outputs): (&[Window], PaddingMode, &[usize]),
        last: Weights<'_>,
    ) -> Option<Self> {
        let (&[height, width], &[rows, columns], &[down, across]) = (&frame.outputs[..], outputs, windows)
        else {
            return None;
        };
        let size = |value: u64| usize::try_from(value).ok();
        let side = Side { taps: size(down.kernel)?, stride: size(down.stride)? };
        let same = down.kernel == across.kernel && down.stride == across.stride;
        let dense = down.dilation == 1 && across.dilation == 1;
        let before = [usize::try_from(down.before).ok()?, usize::try_from(across.before).ok()?];
        let inside = before.iter().all(|&before| before < side.taps);
        let zeros = mode == PaddingMode::Zeros;
        let lanes = isa.lanes();
        let equal = first.0.tensor.sizes()[0] == second.0.tensor.sizes()[0];
        if lanes == 1 || !(same && dense && inside && zeros && equal) || rows * columns == 0 {
            return None;
        }
        let middle = Middle::new(lanes, side, second.0, second.1)?;
        let factors = first.0.packed(lanes, None);
        let blocks = factors.blocks();
        Some(Self {
            frame: frame.clone(),
            channels,
            factors,
            expansion: first.1.whole(blocks * lanes),
            middle,
            geometry: Geometry { map: [height, width], outputs: [rows, columns], side, before },
            gates: None,
            projection: last.packed(lanes, Some(blocks * lanes)),
            isa,
        })
    }

    /// Returns the multiply-adds of one image, padding included.
    pub(super) fn macs(&self) -> u64 {
        let middle = self.factors.rows;
        let expansion = middle * self.factors.depth * self.frame.positions();
        let outputs = self.geometry.positions();
        let taps = self.middle.macs();
        let gates = self.gates.as_ref().map_or(0, |gates| gates.macs());
        gates + (expansion + outputs * middle * (taps + self.projection.rows)) as u64
    }

    /// Returns the bytes of its own copy of the weights.
    pub(super) fn bytes(&self) -> u64 {
        self.factors.bytes() + self.projection.bytes() + self.middle.bytes()
    }

    /// Computes a batch; `finish` is the epilogue of the last convolution.
    pub(super) fn run(&self, context: &Context, input: &[f32], out: &mut [f32], finish: Finish<'_>) {
        let outputs = self.projection.rows * self.geometry.positions();
        let image = input.len() / (out.len() / outputs.max(1)).max(1);
        let out = Shared::new(out);
        for (n, source) in input.chunks_exact(image.max(1)).enumerate() {
            let to = (out, n * outputs, finish);
            if self.frame.direct {
                self.image(context, source, to);
            } else {
                context.scratch.with(self.frame.elements(self.channels), |frame| {
                    self.frame.write_all(source, frame);
                    self.image(context, frame, to);
                });
            }
        }
    }

    fn image(&self, context: &Context, frame: &[f32], to: (Shared<'_>, usize, Finish<'_>)) {
        let strips = self.geometry.strips();
        let threads = rayon::current_num_threads();
        let worth = usize::try_from(self.macs() / 500_000).unwrap_or(usize::MAX).max(1);
        // Each task begins with rows that another one computes as well.
        let parts = if strips.len() < 4 * threads { threads } else { 2 * threads };
        let parts = if threads == 1 { 1 } else { parts.min(worth) };
        if self.gates.is_none() && strips.len() >= parts {
            self.by_rows(context, frame, &strips, parts, to);
        } else {
            self.by_channels(context, frame, &strips, threads.min(worth), to);
        }
    }

    /// Computes all channels strip by strip.
    fn by_rows(
        &self,
        context: &Context,
        frame: &[f32],
        strips: &[Range<usize>],
        parts: usize,
        to: (Shared<'_>, usize, Finish<'_>),
    ) {
        let blocks = self.factors.blocks();
        let room = self.room(strips);
        let most = strips.iter().map(Range::len).max().unwrap_or(0) * self.geometry.outputs[1];
        let map = blocks * most * self.isa.lanes();
        let run = |(first, count): (usize, usize)| {
            context.scratch.with(map + room.elements(blocks), |scratch| {
                let (map, scratch) = scratch.split_at_mut(map);
                let strips = &strips[first..first + count];
                let panels = 0..self.factors.panels();
                let (block, to) = (most * self.isa.lanes(), Some(to));
                self.isa.run(Strips { of: self, frame, strips, panels, room, scratch, map, block, to });
            });
        };
        let tasks: Vec<(usize, usize)> = split(strips.len(), strips.len().div_ceil(parts)).collect();
        match &tasks[..] {
            [only] => run(*only),
            tasks => tasks.par_iter().copied().for_each(run),
        }
    }

    /// Computes the first two convolutions channel by channel, then the last one.
    fn by_channels(
        &self,
        context: &Context,
        frame: &[f32],
        strips: &[Range<usize>],
        threads: usize,
        to: (Shared<'_>, usize, Finish<'_>),
    ) {
        let blocks = self.factors.blocks();
        let room = self.room(strips);
        let block = self.geometry.positions() * self.isa.lanes();
        context.scratch.with(blocks * block, |map| {
            // Each task gathers all columns again: they should serve at least 8 panels.
            let panels = self.factors.panels();
            let tasks = if threads == 1 { 1 } else { threads * (panels / (8 * threads)).max(1) };
            let each = panels.div_ceil(tasks);
            let run = |(number, map): (usize, &mut [f32])| {
                let panels = number * each..((number + 1) * each).min(panels);
                context.scratch.with(room.elements(panels.len() * ACROSS), |scratch| {
                    self.isa.run(Strips {
                        of: self,
                        frame,
                        strips,
                        panels,
                        room,
                        scratch,
                        map,
                        block,
                        to: None,
                    });
                });
            };
            let size = each * ACROSS * block;
            if map.len() <= size {
                run((0, &mut *map));
            } else {
                map.par_chunks_mut(size).enumerate().for_each(run);
            }
            if let Some(gates) = &self.gates {
                blocked_gates::apply((context, self.isa), gates, (map, block), self.factors.rows);
            }
            self.project(map, threads, to);
        });
    }

    fn project(&self, map: &[f32], threads: usize, to: (Shared<'_>, usize, Finish<'_>)) {
        let (panels, positions) = (self.projection.panels(), self.geometry.positions());
        // Few panels are split by positions as well.
        let (each, rows) = if threads == 1 { (panels, 1) } else { (1, (4 * threads).div_ceil(panels)) };
        let tasks: Vec<((usize, usize), (usize, usize))> = split(panels, each)
            .flat_map(|panels| {
                split(positions, positions.div_ceil(rows)).map(move |positions| (panels, positions))
            })
            .collect();
        let run = |&((panel, panels), (first, count)): &((usize, usize), (usize, usize))| {
            let map = (&map[first * self.isa.lanes()..], positions * self.isa.lanes());
            let panels = panel..panel + panels;
            self.isa.run(Projection { of: self, map, panels, first, count, to });
        };
        match &tasks[..] {
            [only] => run(only),
            tasks => tasks.par_iter().for_each(run),
        }
    }

    fn room(&self, strips: &[Range<usize>]) -> Room {
        let geometry = &self.geometry;
        let reads = |strip: &Range<usize>| geometry.reads(strip);
        let rows = strips.iter().map(|strip| reads(strip).len()).max().unwrap_or(0);
        let inside = strips.iter().map(|strip| geometry.inside(&reads(strip)).len()).max().unwrap_or(0);
        let kept = if strips.len() > 1 { geometry.side.taps.saturating_sub(geometry.side.stride) } else { 0 };
        let row = geometry.width() * self.isa.lanes();
        Room {
            columns: inside * geometry.map[1] * self.factors.depth + WIDEST,
            block: rows * row,
            kept: kept * row,
        }
    }
}

impl Room {
    /// Returns the elements that a task of this many blocks needs.
    fn elements(&self, blocks: usize) -> usize {
        // The columns take whole cache lines, so that the vectors after them are aligned.
        self.columns.next_multiple_of(WIDEST)
            + ACROSS * self.block
            + blocks.next_multiple_of(ACROSS) * self.kept
    }
}

/// Strips of rows of one image, in a range of panels of channels.
struct Strips<'a> {
    of: &'a Inverted,
    /// The padded input of the first convolution.
    frame: &'a [f32],
    strips: &'a [Range<usize>],
    panels: Range<usize>,
    room: Room,
    scratch: &'a mut [f32],
    /// Where the depthwise outputs go: one strip if they are projected at once, otherwise all.
    map: &'a mut [f32],
    /// Elements of a block of `map`.
    block: usize,
    /// Where projected strips go: the output, the offset of the image, and the epilogue.
    to: Option<(Shared<'a>, usize, Finish<'a>)>,
}

impl WithSimd for Strips<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        assert!(!S::IS_SCALAR, "`new` refuses plain code: this spares the compiler its tiles");
        let Self { of, frame, strips, panels, room, scratch, map, block, to } = self;
        let Geometry { map: [_, width], outputs: [_, across], before, .. } = of.geometry;
        let (columns, rest) = scratch.split_at_mut(room.columns.next_multiple_of(WIDEST));
        let (rows, kept) = rest.split_at_mut(ACROSS * room.block);
        let line = of.geometry.width() * S::F32_LANES;
        // The columns of zeros stay; everything else is written again for every panel.
        rows.fill(0.0);
        let (mut runs, mut at) = (Vec::new(), Vec::new());
        let mut done: Option<Range<usize>> = None;
        for (number, strip) in strips.iter().enumerate() {
            let reads = of.geometry.reads(strip);
            // Rows, zeros included, that the strip before has left, and that the next one reads again.
            let old = done.as_ref().map_or(0, |done: &Range<usize>| done.end.saturating_sub(reads.start));
            let again = strips
                .get(number + 1)
                .map_or(0, |next| reads.end.saturating_sub(of.geometry.reads(next).start));
            let fresh = reads.start + old..reads.end;
            let inside = of.geometry.inside(&fresh);
            of.gather::<S>(frame, inside.start * width..inside.end * width, &mut runs, columns);
            at.clear();
            for row in inside.clone() {
                let start = (row + before[0] - reads.start) * line + before[1] * S::F32_LANES;
                at.extend((0..width).map(|column| start + column * S::F32_LANES));
            }
            let offset = if to.is_some() { 0 } else { strip.start * across * S::F32_LANES };
            for (i, panel) in panels.clone().enumerate() {
                let count = ACROSS.min(of.factors.blocks() - panel * ACROSS);
                for (v, rows) in rows.chunks_exact_mut(room.block).enumerate().take(count) {
                    let kept = &kept[(i * ACROSS + v) * room.kept..];
                    rows[..old * line].copy_from_slice(&kept[..old * line]);
                    for row in
                        fresh.clone().filter(|&row| row < before[0] || row >= before[0] + of.geometry.map[0])
                    {
                        rows[(row - reads.start) * line..][..line].fill(0.0);
                    }
                }
                of.panel(simd, panel, columns, (&at, width), rows, room.block);
                let all = &*rows;
                for (v, rows) in all.chunks_exact(room.block).enumerate().take(count) {
                    let kept = &mut kept[(i * ACROSS + v) * room.kept..];
                    kept[..again * line]
                        .copy_from_slice(&rows[(reads.len() - again) * line..][..again * line]);
                    let map = &mut map[(i * ACROSS + v) * block + offset..];
                    let map = &mut map[..strip.len() * across * S::F32_LANES];
                    of.middle.outputs(
                        simd,
                        (panel, v),
                        (all, room.block),
                        (of.geometry.width(), across),
                        map,
                    );
                }
            }
            done = Some(reads);
            if let Some(to) = to {
                let (map, first) = ((&*map, block), strip.start * across);
                let (panels, count) = (0..of.projection.panels(), strip.len() * across);
                Projection { of, map, panels, first, count, to }.with_simd(simd);
            }
        }
    }
}

impl Inverted {
    /// Gathers the columns of a range of positions, tile by tile.
    #[inline(always)]
    fn gather<S: Simd>(
        &self,
        frame: &[f32],
        positions: Range<usize>,
        runs: &mut Vec<Run>,
        columns: &mut [f32],
    ) {
        let depth = self.factors.depth;
        for (first, height) in split(positions.len(), tallest::<S>()) {
            let start = positions.start + first;
            self.frame.runs(start, start + height, runs);
            let columns = &mut columns[first * depth..];
            gather(frame, self.frame.plane, self.channels, &self.frame.taps, runs, height, columns);
        }
    }

    /// Computes one panel of channels of the map between, whose rows are `width` positions wide.
    #[inline(always)]
    fn panel<S: Simd>(
        &self,
        simd: S,
        panel: usize,
        columns: &[f32],
        (at, width): (&[usize], usize),
        rows: &mut [f32],
        block: usize,
    ) {
        let weights = self.factors.panel(panel);
        let (clip, curve) = self.expansion.split();
        let bias = &self.expansion.bias[panel * ACROSS * S::F32_LANES..];
        let mut to = Blocks { map: rows, block, at, bias, clip };
        expand(simd, columns, weights, self.factors.depth, &mut to);
        let Some(curve) = curve else { return };
        let vectors = weights.len() / (self.factors.depth * S::F32_LANES).max(1);
        for rows in to.map.chunks_exact_mut(block).take(vectors) {
            for at in at.chunks_exact(width) {
                activations::apply(simd, curve, &mut rows[at[0]..at[0] + width * S::F32_LANES]);
            }
        }
    }
}

/// The last convolution at a range of positions, in a range of panels.
struct Projection<'a> {
    of: &'a Inverted,
    /// The blocked map from the first of the positions on, and the elements of a block.
    map: (&'a [f32], usize),
    panels: Range<usize>,
    first: usize,
    count: usize,
    /// The output, the offset of the image, and the epilogue.
    to: (Shared<'a>, usize, Finish<'a>),
}

impl WithSimd for Projection<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        assert!(!S::IS_SCALAR, "`new` refuses plain code: this spares the compiler its tiles");
        let Self { of, map, panels, first, count, to: (out, image, finish) } = self;
        let (weights, plane) = (&of.projection, of.geometry.positions());
        for panel in panels {
            let channel = panel * ACROSS * S::F32_LANES;
            let channels = (weights.rows - channel).min(ACROSS * S::F32_LANES);
            let at = image + channel * plane + first;
            let to = Planes { out, at, plane, channel, channels, finish };
            project(simd, map, (weights.panel(panel), weights.depth), count, to);
        }
    }
}
