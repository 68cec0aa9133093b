//! Winograd convolution with 3 x 3 taps and stride 1: 2 x 2 outputs from a 4 x 4 patch with 16 products instead of 36
//! (Lavin & Gray 2016, "Fast Algorithms for Convolutional Neural Networks", section 4.1: F(2x2, 3x3)).
//!
//! The larger F(4x4, 3x3) would need 2.25 instead of 4 products per output. It is not used: its outputs depend, by
//! rounding, on inputs outside their window, and it loses one more digit. With F(2x2, 3x3) each output is a sum over
//! its own window alone, and the transforms contain only 0, 1 and 1/2, all exact.
//!
//! A dilated convolution is computed on its [phases](Phases), where it has no dilation.
//!
//! A block of patches is transformed into 16 matrices (input channels x patches), each is multiplied by the
//! corresponding matrix of transformed weights, and the 16 products are transformed back while they are in the cache.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Context;
use super::disjoint_slices::Shared;
use super::epilogue::Finish;
use super::isa::WIDEST;
use super::microkernel::{ROWS, Store, VECTORS, heights, multiply};
use super::padded_input::{Frame, Run};
use super::phases::{Apart, Phases};
use super::scratch::Aligned;
use crate::tensor::Tensor;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::conv::PaddingMode;
use cnnkit_core::layers::window::Window;

/// Products per patch.
const PRODUCTS: usize = 16;
/// Panels of output channels whose products are kept until they are transformed back. With this number, the
/// transformed patches are read once from the L2 cache and the products stay in it.
const CHUNK: usize = 8;
/// With fewer channels the transforms cost more than they save.
const CHANNELS: usize = 16;

/// A 3 x 3 convolution of stride 1 with transformed weights.
#[derive(Debug)]
pub(super) struct Winograd {
    /// The patches: windows of 4 x 4 at stride 2.
    frame: Frame,
    /// Height and width of the output, or of its mosaic.
    outputs: [usize; 2],
    /// Of a dilated convolution.
    phases: Option<Phases>,
    /// Number of input channels.
    channels: usize,
    /// Number of output channels.
    rows: usize,
    /// The first output channel and the height of each tile.
    panels: Vec<(usize, usize)>,
    /// The weights in reading order: per chunk of panels, per product of a patch, per panel, per input channel: the
    /// output channels.
    weights: Aligned,
}

/// A range of output channels of a range of patches.
#[derive(Clone, Copy)]
struct Task {
    first: usize,
    end: usize,
    /// Range of chunks of panels.
    chunks: (usize, usize),
}

impl Winograd {
    /// Prepares the kernel for `windows` on an image of these sizes, without groups; each output channel is
    /// multiplied by its `scale`. `None` where the plain product is faster or required.
    pub(super) fn new(
        image: &[usize],
        outputs: &[usize],
        (windows, mode): (&[Window], PaddingMode),
        weight: &Tensor<f32>,
        scale: Option<&[f32]>,
    ) -> Result<Option<Self>, Problem> {
        let (&[height, width], &[rows, channels, 3, 3]) = (outputs, weight.sizes()) else {
            return Ok(None);
        };
        let plain = |window: &Window| window.kernel == 3 && window.stride == 1;
        if !windows.iter().all(plain) || mode != PaddingMode::Zeros || rows.min(channels) < CHANNELS {
            return Ok(None);
        }
        let phases = if windows.iter().all(|window| window.dilation == 1) {
            None
        } else {
            let Some(phases) = phases(image, outputs, windows) else { return Ok(None) };
            Some(phases)
        };
        let [height, width] = phases.map_or([height, width], |phases| phases.mosaic());
        if height.min(width) < 4 {
            return Ok(None);
        }
        let tiles = [height.div_ceil(2), width.div_ceil(2)];
        let before = |window: &Window| if phases.is_some() { 1 } else { window.before };
        let patches: Vec<Window> = windows
            .iter()
            .map(|window| Window { kernel: 4, stride: 2, dilation: 1, before: before(window), ..*window })
            .collect();
        let frame = match phases {
            None => Frame::new(image, &tiles, &patches, mode, 0.0)?,
            Some(phases) => {
                Frame::rearranged((image, &|axis, at| phases.source(axis, at)), &tiles, &patches)?
            }
        };
        let Some(frame) = frame else { return Ok(None) };
        let panels: Vec<(usize, usize)> = heights(rows).collect();
        let mut weights = Aligned::new(PRODUCTS * channels * rows);
        let mut parts = Vec::new();
        let mut rest = weights.elements_mut();
        for chunk in panels.chunks(CHUNK) {
            let rows: usize = chunk.iter().map(|(_, height)| height).sum();
            let (part, after) = rest.split_at_mut(PRODUCTS * channels * rows);
            parts.push((part, chunk));
            rest = after;
        }
        parts.into_par_iter().for_each(|(part, chunk)| {
            let product = part.len() / PRODUCTS;
            for &(first, height) in chunk {
                let start = channels * (first - chunk[0].0);
                for (k, row) in (0..channels).flat_map(|k| (0..height).map(move |row| (k, row))) {
                    let channel = first + row;
                    let taps = &weight.data()[9 * (channel * channels + k)..][..9];
                    let products = transform_weights(taps, scale.map_or(1.0, |scale| scale[channel]));
                    let targets = part[start + k * height + row..].iter_mut().step_by(product);
                    targets.zip(products).for_each(|(target, product)| *target = product);
                }
            }
        });
        Ok(Some(Self { frame, outputs: [height, width], phases, channels, rows, panels, weights }))
    }

    /// Returns the multiply-adds of one image as a plain product counts them, padding included; this kernel does 4/9
    /// of them.
    pub(super) fn macs(&self) -> u64 {
        (9 * self.channels * self.rows * self.positions()) as u64
    }

    pub(super) fn bytes(&self) -> u64 {
        4 * self.weights.len() as u64
    }

    /// Returns the output positions, which are not those of a mosaic.
    fn positions(&self) -> usize {
        self.phases.map_or(self.outputs, |phases| phases.size).iter().product()
    }

    /// Computes the convolution of a batch.
    pub(super) fn run(&self, context: &Context, input: &[f32], out: &mut [f32], finish: Finish<'_>) {
        let outputs = self.rows * self.positions();
        let image = input.len() / (out.len() / outputs.max(1)).max(1);
        let tasks = self.tasks(context.isa.lanes());
        let out = Shared::new(out);
        // Whole vectors are read, also past the last element.
        let elements = self.frame.elements(self.channels);
        for (n, source) in input.chunks_exact(image.max(1)).enumerate() {
            context.scratch.with(elements + WIDEST, |frame| {
                self.frame.write_all(source, &mut frame[..elements]);
                let place = Place { out, image: n * outputs, finish };
                match &self.phases {
                    None => self.image(context, &tasks, frame, place),
                    Some(phases) => self.mosaic(context, &tasks, frame, (phases, place)),
                }
            });
        }
    }

    /// Computes the mosaic of one image, and takes it apart.
    fn mosaic(&self, context: &Context, tasks: &[Task], frame: &[f32], to: (&Phases, Place<'_>)) {
        let (phases, Place { out, image, finish }) = to;
        let (positions, plane) = (self.positions(), self.outputs.iter().product::<usize>());
        context.scratch.with(self.rows * plane, |mosaic| {
            let place = Place { out: Shared::new(mosaic), image: 0, finish: Finish::default() };
            self.image(context, tasks, frame, place);
            let run = |(channel, mosaic): (usize, &[f32])| {
                let at = image + channel * positions;
                context.isa.run(Apart { phases, mosaic, channel, out, at, finish });
            };
            // Enough work to be worth waking a thread.
            let least = (65_536 / plane.max(1)).max(1);
            mosaic.par_chunks_exact(plane.max(1)).with_min_len(least).enumerate().for_each(run);
        });
    }

    fn image(&self, context: &Context, tasks: &[Task], frame: &[f32], place: Place<'_>) {
        let run = |task: &Task| {
            let width = (task.end - task.first).next_multiple_of(context.isa.lanes());
            let part = self.channels * width + WIDEST;
            let sums = CHUNK * ROWS * PRODUCTS * width;
            context.scratch.with(PRODUCTS * part + sums, |scratch| {
                let (columns, sums) = scratch.split_at_mut(PRODUCTS * part);
                context.isa.run(Block { of: self, task: *task, frame, columns, sums, place });
            });
        };
        if tasks.len() == 1 {
            tasks.iter().for_each(run);
        } else {
            tasks.par_iter().for_each(run);
        }
    }

    /// Splits the patches into blocks of sizes as equal as possible; if there are too few blocks for the threads, the
    /// channels are split too.
    fn tasks(&self, lanes: usize) -> Vec<Task> {
        let tiles = self.frame.positions();
        let vectors = tiles.div_ceil(lanes);
        let blocks = vectors.div_ceil(VECTORS);
        let chunks = self.panels.len().div_ceil(CHUNK);
        let threads = rayon::current_num_threads();
        let wanted = if threads == 1 { 1 } else { 4 * threads };
        let parts = wanted.div_ceil(blocks.max(1)).min(chunks).max(1);
        let cut = |part: usize| part * chunks / parts;
        (0..blocks)
            .flat_map(|block| (0..parts).map(move |part| (block, part)))
            .map(|(block, part)| Task {
                first: block * vectors / blocks * lanes,
                end: ((block + 1) * vectors / blocks * lanes).min(tiles),
                chunks: (cut(part), cut(part + 1)),
            })
            .collect()
    }
}

/// Returns the phases of a dilated convolution that keeps the size of its image, if they make less work than its live taps.
fn phases(image: &[usize], outputs: &[usize], windows: &[Window]) -> Option<Phases> {
    let (&[height, width], [down, across]) = (outputs, windows) else { return None };
    let same =
        |window: &Window| i64::try_from(window.dilation).is_ok_and(|dilation| dilation == window.before);
    if image != outputs || !windows.iter().all(same) {
        return None;
    }
    let dilation = |window: &Window, size| usize::try_from(window.dilation).ok().filter(|&own| own <= size);
    let phases = Phases::new([height, width], [dilation(down, height)?, dilation(across, width)?]);
    let patches: f64 = phases.mosaic().iter().map(|size| size.div_ceil(2) as f64).product();
    // A product of a patch costs 1.25 times one of a plain product: the transforms, and the mosaic.
    let worth = 1.25 * PRODUCTS as f64 * patches <= 9.0 * phases.live() * (height * width) as f64;
    worth.then_some(phases)
}

/// Computes `G g G'` for 3 x 3 taps `g`, rounded once.
fn transform_weights(taps: &[f32], scale: f32) -> [f32; PRODUCTS] {
    let line = |[a, b, c]: [f64; 3]| [a, f64::midpoint(a + c, b), f64::midpoint(a + c, -b), c];
    let tap = |row: usize, column: usize| f64::from(taps[3 * row + column] * scale);
    let columns: [[f64; 4]; 3] =
        std::array::from_fn(|column| line([tap(0, column), tap(1, column), tap(2, column)]));
    let mut products = [0.0; PRODUCTS];
    for (row, products) in products.chunks_exact_mut(4).enumerate() {
        let row = line([columns[0][row], columns[1][row], columns[2][row]]);
        #[expect(clippy::cast_possible_truncation, reason = "what the kernels compute in")]
        products.iter_mut().zip(row).for_each(|(to, value)| *to = value as f32);
    }
    products
}

/// Destination of the outputs.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// The output of the whole batch.
    out: Shared<'a>,
    /// Offset of the image in it.
    image: usize,
    finish: Finish<'a>,
}

/// A task with its data.
struct Block<'a> {
    of: &'a Winograd,
    task: Task,
    frame: &'a [f32],
    columns: &'a mut [f32],
    sums: &'a mut [f32],
    place: Place<'a>,
}

/// Stores each row of a tile in its channel; the 16 products of a channel lie together.
struct Products<'a> {
    sums: &'a mut [f32],
    width: usize,
}

impl<S: Simd> Store<S> for Products<'_> {
    #[inline(always)]
    fn row(&mut self, _: S, row: usize, sums: &[S::f32s]) {
        let start = row * PRODUCTS * self.width;
        S::as_mut_simd_f32s(&mut self.sums[start..start + self.width]).0.copy_from_slice(sums);
    }
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            of: Winograd { frame: windows, channels, panels, weights, .. }, task, columns, sums, ..
        } = self;
        let vectors = (task.end - task.first).div_ceil(S::F32_LANES);
        let width = vectors * S::F32_LANES;
        let part = channels * width + WIDEST;
        let mut runs = Vec::new();
        windows.runs(task.first, task.end, &mut runs);
        patches(simd, (self.frame, *channels), windows, &runs, width, columns);
        let (from, to) = task.chunks;
        for chunk in panels.chunks(CHUNK).skip(from).take(to - from) {
            let (channel, (last, height)) = (chunk[0].0, chunk[chunk.len() - 1]);
            let mut weights = &weights.elements()[PRODUCTS * channels * channel..];
            for p in 0..PRODUCTS {
                let columns = &columns[p * part..p * part + channels * width];
                for &(first, rows) in chunk {
                    let (panel, rest) = weights.split_at(channels * rows);
                    weights = rest;
                    let start = ((first - channel) * PRODUCTS + p) * width;
                    let mut store = Products { sums: &mut sums[start..], width };
                    multiply(simd, (rows, vectors), panel, columns, &mut store);
                }
            }
            for (sums, channel) in sums.chunks_exact(PRODUCTS * width).zip(channel..last + height) {
                self.of.outputs(simd, sums, channel, task, self.place);
            }
        }
    }
}

/// Computes `B' d B` of every patch `d` of a block: per product and channel, one row of `width` elements.
#[inline(always)]
fn patches<S: Simd>(
    simd: S,
    (frame, channels): (&[f32], usize),
    windows: &Frame,
    runs: &[Run],
    width: usize,
    columns: &mut [f32],
) {
    let part = channels * width + WIDEST;
    for channel in 0..channels {
        let frame = &frame[channel * windows.plane..];
        for run in runs {
            // Copies whole vectors: elements past the end of a run are overwritten by the next run or row, or never
            // used.
            for step in (0..run.len).step_by(S::F32_LANES) {
                let from = run.from + step;
                let mut patch = [[simd.splat_f32s(0.0); 4]; 4];
                for (row, taps) in patch.iter_mut().zip(windows.taps.chunks_exact(4)) {
                    for (element, tap) in row.iter_mut().zip(taps) {
                        *element = S::as_simd_f32s(&frame[from + tap..from + tap + S::F32_LANES]).0[0];
                    }
                    *row = spread(simd, *row);
                }
                let at = channel * width + run.to + step;
                #[expect(clippy::needless_range_loop, reason = "a column of four rows")]
                for column in 0..4 {
                    let values = spread(
                        simd,
                        [patch[0][column], patch[1][column], patch[2][column], patch[3][column]],
                    );
                    for (row, value) in values.into_iter().enumerate() {
                        let start = (4 * row + column) * part + at;
                        S::as_mut_simd_f32s(&mut columns[start..start + S::F32_LANES]).0[0] = value;
                    }
                }
            }
        }
    }
}

// Functions, not closures: only functions inlined here are compiled for the vector instructions of the caller.

/// Computes one line of `B' d`.
#[inline(always)]
fn spread<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 4] {
    [simd.sub_f32s(a, c), simd.add_f32s(b, c), simd.sub_f32s(c, b), simd.sub_f32s(b, d)]
}

/// Computes one line of `A' m`.
#[inline(always)]
fn gathered<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 2] {
    [simd.add_f32s(simd.add_f32s(a, b), c), simd.sub_f32s(simd.sub_f32s(b, c), d)]
}

impl Winograd {
    /// Computes `A' m A` of the products `m` of one channel, applies the epilogue, and writes the result.
    #[inline(always)]
    fn outputs<S: Simd>(&self, simd: S, sums: &[f32], channel: usize, task: Task, place: Place<'_>) {
        const MOST: usize = VECTORS * WIDEST;
        let width = sums.len() / PRODUCTS;
        // Top left, top right, bottom left and bottom right output of every patch.
        let mut corners = [[0.0; MOST]; 4];
        for at in (0..width).step_by(S::F32_LANES) {
            let mut columns = [[simd.splat_f32s(0.0); 2]; 4];
            for (column, pair) in columns.iter_mut().enumerate() {
                let mut products = [simd.splat_f32s(0.0); 4];
                for (row, product) in products.iter_mut().enumerate() {
                    let start = (4 * row + column) * width + at;
                    *product = S::as_simd_f32s(&sums[start..start + S::F32_LANES]).0[0];
                }
                *pair = gathered(simd, products);
            }
            for row in 0..2 {
                let pair =
                    gathered(simd, [columns[0][row], columns[1][row], columns[2][row], columns[3][row]]);
                for (corner, value) in corners[2 * row..].iter_mut().zip(pair) {
                    S::as_mut_simd_f32s(&mut corner[at..at + S::F32_LANES]).0[0] = value;
                }
            }
        }
        let mut lines = [[0.0; 2 * MOST]; 2];
        for (line, corners) in lines.iter_mut().zip(corners.chunks_exact(2)) {
            for ((pair, &left), &right) in
                line.as_chunks_mut::<2>().0.iter_mut().zip(&corners[0]).zip(&corners[1])
            {
                *pair = [left, right];
            }
        }
        let ([height, across], tiles) = (self.outputs, self.outputs[1].div_ceil(2));
        let mut tile = task.first;
        while tile < task.end {
            let (row, column) = (tile / tiles, tile % tiles);
            let count = (tiles - column).min(task.end - tile);
            let len = (2 * count).min(across - 2 * column);
            for (y, line) in (2 * row..height).zip(&lines) {
                let at = place.image + (channel * height + y) * across + 2 * column;
                #[expect(unsafe_code, reason = "see `Shared`")]
                // SAFETY: tasks differ in image, patches or chunks, so no two write the same element.
                let out = unsafe { place.out.part(at, len) };
                place.finish.row(simd, channel, at, &line[2 * (tile - task.first)..], out);
            }
            tile += count;
        }
    }
}
