//! Winograd's way to 3 x 3 convolutions of stride 1: 2 x 2 outputs from a 4 x 4 patch with 16 products instead of 36
//! (Lavin & Gray 2016, "Fast Algorithms for Convolutional Neural Networks", section 4.1: F(2x2, 3x3)).
//!
//! Of the larger forms F(4x4, 3x3) would spare half as many products again. It is not used: there an output depends, by
//! rounding, on inputs outside its window, and loses a digit more. Here each output is made of sums over its own window
//! alone, and the transforms hold only 0, 1 and 1/2, all exact.
//!
//! A block of patches is transformed into 16 matrices (input channels x patches), each is multiplied by the matrix of
//! transformed weights that belongs to it, and the 16 products are transformed back while they are in the cache.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Context;
use super::disjoint_slices::Shared;
use super::epilogue::Finish;
use super::isa::WIDEST;
use super::microkernel::{ROWS, Store, VECTORS, heights, multiply};
use super::padded_input::{Frame, Run};
use super::scratch::Aligned;
use crate::tensor::Tensor;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::conv::PaddingMode;
use cnnkit_core::layers::window::Window;

/// Products of a patch.
const PRODUCTS: usize = 16;
/// Panels of output channels whose products are kept until they are transformed back. For so many the transformed
/// patches are read once from the second level of cache, and the products stay in it.
const CHUNK: usize = 8;
/// Fewer channels are not worth the transforms.
const CHANNELS: usize = 16;

/// A 3 x 3 convolution of stride 1 whose weights are transformed.
#[derive(Debug)]
pub(super) struct Winograd {
    /// The patches: windows of 4 x 4 at stride 2.
    frame: Frame,
    /// Height and width of the output.
    outputs: [usize; 2],
    /// Channels of the input.
    channels: usize,
    /// Output channels.
    rows: usize,
    /// The first output channel and the height of each tile.
    panels: Vec<(usize, usize)>,
    /// In the order in which they are read: for each chunk of panels, for each product of a patch, for each panel, for
    /// each input channel its output channels.
    weights: Aligned,
}

/// Some output channels of some patches.
#[derive(Clone, Copy)]
struct Task {
    first: usize,
    end: usize,
    /// Chunks of panels.
    chunks: (usize, usize),
}

impl Winograd {
    /// For `windows` on an image of these sizes, without groups; each output channel times its `scale`. None where the plain product is
    /// better or needed.
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
        let plain = |window: &Window| window.kernel == 3 && window.stride == 1 && window.dilation == 1;
        let enough = rows.min(channels) >= CHANNELS && height.min(width) >= 4;
        if !windows.iter().all(plain) || mode != PaddingMode::Zeros || !enough {
            return Ok(None);
        }
        let patches: Vec<Window> =
            windows.iter().map(|window| Window { kernel: 4, stride: 2, ..*window }).collect();
        let tiles = [height.div_ceil(2), width.div_ceil(2)];
        let Some(frame) = Frame::new(image, &tiles, &patches, mode, 0.0)? else { return Ok(None) };
        let transformed: Vec<[f32; PRODUCTS]> = weight
            .data()
            .par_chunks_exact(9)
            .enumerate()
            .map(|(i, taps)| transform_weights(taps, scale.map_or(1.0, |scale| scale[i / channels])))
            .collect();
        let panels: Vec<(usize, usize)> = heights(rows).collect();
        let mut weights = Aligned::new(PRODUCTS * channels * rows);
        let mut order = (panels.chunks(CHUNK))
            .flat_map(|chunk| (0..PRODUCTS).flat_map(move |p| chunk.iter().map(move |panel| (p, *panel))))
            .flat_map(|(p, (first, height))| {
                (0..channels)
                    .flat_map(move |k| (first..first + height).map(move |row| (p, row * channels + k)))
            });
        for weight in weights.elements_mut() {
            let Some((p, place)) = order.next() else { break };
            *weight = transformed[place][p];
        }
        Ok(Some(Self { frame, outputs: [height, width], channels, rows, panels, weights }))
    }

    /// Multiply-adds of the convolution for one image, padding included, as a plain product does them; here there are
    /// 4/9 as many.
    pub(super) fn macs(&self) -> u64 {
        (9 * self.channels * self.rows * self.positions()) as u64
    }

    pub(super) fn bytes(&self) -> u64 {
        4 * self.weights.len() as u64
    }

    fn positions(&self) -> usize {
        self.outputs[0] * self.outputs[1]
    }

    /// Computes a batch.
    pub(super) fn run(&self, context: &Context, input: &[f32], out: &mut [f32], finish: Finish<'_>) {
        let outputs = self.rows * self.positions();
        let image = input.len() / (out.len() / outputs.max(1)).max(1);
        let tasks = self.tasks(context.isa.lanes());
        let out = Shared::new(out);
        // Whole vectors are read, beyond the last element too.
        let elements = self.frame.elements(self.channels);
        for (n, source) in input.chunks_exact(image.max(1)).enumerate() {
            context.scratch.with(elements + WIDEST, |frame| {
                self.frame.write_all(source, &mut frame[..elements]);
                let frame = &*frame;
                let run = |task: &Task| {
                    let width = (task.end - task.first).next_multiple_of(context.isa.lanes());
                    let part = self.channels * width + WIDEST;
                    let sums = CHUNK * ROWS * PRODUCTS * width;
                    context.scratch.with(PRODUCTS * part + sums, |scratch| {
                        let (columns, sums) = scratch.split_at_mut(PRODUCTS * part);
                        let place = Place { out, image: n * outputs, finish };
                        context.isa.run(Block { of: self, task: *task, frame, columns, sums, place });
                    });
                };
                if tasks.len() == 1 {
                    tasks.iter().for_each(run);
                } else {
                    tasks.par_iter().for_each(run);
                }
            });
        }
    }

    /// Blocks of patches, as equal as possible; where these are few for the threads, each with a part of the channels.
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

/// `G g G'` for 3 x 3 taps `g`, rounded once.
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

/// Where outputs go.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// The whole batch.
    out: Shared<'a>,
    /// Where the image starts in it.
    image: usize,
    finish: Finish<'a>,
}

/// A task with what it needs.
struct Block<'a> {
    of: &'a Winograd,
    task: Task,
    frame: &'a [f32],
    columns: &'a mut [f32],
    sums: &'a mut [f32],
    place: Place<'a>,
}

/// Where the products of a tile go: each row to its channel, whose 16 products lie together.
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

/// `B' d B` of every patch `d` of a block: for each product a row of `width` elements a channel.
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
            // Whole vectors: what goes beyond a run is overwritten by the next run, or the next row, or not used.
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

// Functions, not closures: only these are compiled for the vectors wherever they are called from.

/// A line of `B' d`.
#[inline(always)]
fn spread<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 4] {
    [simd.sub_f32s(a, c), simd.add_f32s(b, c), simd.sub_f32s(c, b), simd.sub_f32s(b, d)]
}

/// A line of `A' m`.
#[inline(always)]
fn gathered<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 2] {
    [simd.add_f32s(simd.add_f32s(a, b), c), simd.sub_f32s(simd.sub_f32s(b, c), d)]
}

impl Winograd {
    /// `A' m A` of the products `m` of one channel, finished and written.
    #[inline(always)]
    fn outputs<S: Simd>(&self, simd: S, sums: &[f32], channel: usize, task: Task, place: Place<'_>) {
        const MOST: usize = VECTORS * WIDEST;
        let width = sums.len() / PRODUCTS;
        // Top left, top right, bottom left, bottom right of every patch.
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
                // SAFETY: tasks differ in their image, their patches or their chunks: no two write one element.
                let out = unsafe { place.out.part(at, len) };
                place.finish.row(channel, at, &line[2 * (tile - task.first)..], out);
            }
            tile += count;
        }
    }
}
