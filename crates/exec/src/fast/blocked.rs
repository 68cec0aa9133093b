//! Products and windows over maps whose channels lie in blocks of one vector: `[blocks, positions, lanes]` (NCHWc).
//!
//! A vector holds neighbouring channels of one position, so windows read whole vectors, a depthwise convolution needs no copy
//! of its map but zeros around it, and a product loads weights as vectors and broadcasts inputs: neither gathers anything.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::activations;
use super::disjoint_slices::Shared;
use super::epilogue::{Finish, clipped, straight};
use super::isa::{Isa, WIDEST, multiply_add};
use super::scratch::Aligned;
use cnnkit_core::layers::activation::Activation;

/// Vectors of output channels of a tile.
pub(super) const ACROSS: usize = 2;
/// Neighbouring windows that are computed together.
const WINDOWS: usize = 7;

/// Returns the most positions of a tile: its sums, the weights and one input fill 16 registers, or most of 32.
pub(super) const fn tallest<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 12 } else { 6 }
}

/// As [`tallest`], for instructions selected at run time.
pub(super) fn tallest_of(isa: Isa) -> usize {
    struct Tallest;
    impl WithSimd for Tallest {
        type Output = usize;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            tallest::<S>()
        }
    }
    isa.run(Tallest)
}

/// Splits `count` into as few parts as possible of at most `most`, of sizes as equal as possible: first element and size.
#[inline(always)]
pub(super) fn split(count: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let parts = count.div_ceil(most);
    (0..parts).map(move |part| {
        let first = part * count / parts;
        (first, (part + 1) * count / parts - first)
    })
}

/// Calls a function for a tile of this height, at most [`tallest`], which is its first constant.
macro_rules! of_height {
    ($height:expr, $function:ident, $S:ident, $V:tt, $arguments:tt) => {
        match $height {
            1 => $function::<$S, 1, $V> $arguments,
            2 => $function::<$S, 2, $V> $arguments,
            3 => $function::<$S, 3, $V> $arguments,
            4 => $function::<$S, 4, $V> $arguments,
            5 => $function::<$S, 5, $V> $arguments,
            7 if $S::REGISTER_COUNT >= 32 => $function::<$S, 7, $V> $arguments,
            8 if $S::REGISTER_COUNT >= 32 => $function::<$S, 8, $V> $arguments,
            9 if $S::REGISTER_COUNT >= 32 => $function::<$S, 9, $V> $arguments,
            10 if $S::REGISTER_COUNT >= 32 => $function::<$S, 10, $V> $arguments,
            11 if $S::REGISTER_COUNT >= 32 => $function::<$S, 11, $V> $arguments,
            12 if $S::REGISTER_COUNT >= 32 => $function::<$S, 12, $V> $arguments,
            _ => $function::<$S, 6, $V> $arguments,
        }
    };
}

/// A matrix of weights, cut into panels of [`ACROSS`] vectors of output channels; the last one may have a single vector.
#[derive(Debug)]
pub(super) struct Matrix {
    /// Output channels.
    pub rows: usize,
    /// Input channels times taps; whole blocks if the input is blocked.
    pub depth: usize,
    lanes: usize,
    /// Panel after panel, each with one row of vectors per input.
    data: Aligned,
}

impl Matrix {
    /// Packs a matrix given by a function of row and column, with zeros up to whole vectors.
    pub(super) fn new(
        lanes: usize,
        rows: usize,
        depth: usize,
        element: impl Fn(usize, usize) -> f32 + Sync,
    ) -> Self {
        let mut data = Aligned::new(rows.div_ceil(lanes) * lanes * depth);
        let panel = ACROSS * lanes * depth;
        data.elements_mut().par_chunks_mut(panel.max(1)).enumerate().for_each(|(number, panel)| {
            let width = panel.len() / depth.max(1);
            for (k, row) in panel.chunks_exact_mut(width).enumerate() {
                let first = number * ACROSS * lanes;
                for (row, to) in (first..rows).zip(row) {
                    *to = element(row, k);
                }
            }
        });
        Self { rows, depth, lanes, data }
    }

    /// Returns the number of vectors of output channels.
    pub(super) fn blocks(&self) -> usize {
        self.rows.div_ceil(self.lanes)
    }

    pub(super) fn panels(&self) -> usize {
        self.blocks().div_ceil(ACROSS)
    }

    /// Returns the weights of a panel.
    #[inline(always)]
    pub(super) fn panel(&self, number: usize) -> &[f32] {
        let size = ACROSS * self.lanes * self.depth;
        let data = self.data.elements();
        &data[number * size..data.len().min((number + 1) * size)]
    }

    /// Returns the bytes that it takes.
    pub(super) fn bytes(&self) -> u64 {
        4 * self.data.len() as u64
    }
}

/// The sums of `R` positions in `V` vectors of channels.
type Tile<V, const R: usize, const N: usize> = [[V; N]; R];

/// Multiplies columns, `R` positions for each row of `weights`.
#[inline(always)]
fn of_columns<S: Simd, const R: usize, const V: usize>(
    simd: S,
    columns: &[f32],
    weights: &[f32],
) -> Tile<S::f32s, R, V> {
    let weights = S::as_simd_f32s(weights).0.as_chunks::<V>().0;
    let mut sums = [[simd.splat_f32s(0.0); V]; R];
    for (column, weights) in columns.as_chunks::<R>().0.iter().zip(weights) {
        for (sums, &input) in sums.iter_mut().zip(column) {
            let input = simd.splat_f32s(input);
            for (sum, &weight) in sums.iter_mut().zip(weights) {
                *sum = multiply_add(simd, input, weight, *sum);
            }
        }
    }
    sums
}

/// Multiplies the first `R` positions of `map`, whose blocks begin `block` elements apart.
#[inline(always)]
fn of_blocks<S: Simd, const R: usize, const V: usize>(
    simd: S,
    (map, block): (&[f32], usize),
    weights: &[f32],
) -> Tile<S::f32s, R, V> {
    let weights = S::as_simd_f32s(weights).0.as_chunks::<V>().0;
    let mut sums = [[simd.splat_f32s(0.0); V]; R];
    for (number, weights) in weights.chunks_exact(S::F32_LANES).enumerate() {
        let inputs = &map[number * block..][..R * S::F32_LANES];
        for (lane, weights) in weights.iter().enumerate() {
            for (position, sums) in sums.iter_mut().enumerate() {
                let input = simd.splat_f32s(inputs[position * S::F32_LANES + lane]);
                for (sum, &weight) in sums.iter_mut().zip(weights) {
                    *sum = multiply_add(simd, input, weight, *sum);
                }
            }
        }
    }
    sums
}

/// The destination of products in a blocked map.
pub(super) struct Blocks<'a> {
    pub map: &'a mut [f32],
    /// Elements of a block.
    pub block: usize,
    /// Where each position goes.
    pub at: &'a [usize],
    /// One value per channel.
    pub bias: &'a [f32],
    /// An activation of few instructions.
    pub clip: Option<Activation>,
}

/// Multiplies columns, which lie tile by tile, by a panel of weights.
#[inline(always)]
pub(super) fn expand<S: Simd>(simd: S, columns: &[f32], weights: &[f32], depth: usize, to: &mut Blocks<'_>) {
    for (first, height) in split(to.at.len(), tallest::<S>()) {
        let columns = &columns[first * depth..(first + height) * depth];
        if weights.len() == depth * S::F32_LANES {
            of_height!(height, expand_tile, S, 1, (simd, columns, weights, first, to));
        } else {
            of_height!(height, expand_tile, S, ACROSS, (simd, columns, weights, first, to));
        }
    }
}

#[inline(always)]
fn expand_tile<S: Simd, const R: usize, const V: usize>(
    simd: S,
    columns: &[f32],
    weights: &[f32],
    first: usize,
    to: &mut Blocks<'_>,
) {
    let sums = of_columns::<S, R, V>(simd, columns, weights);
    let at = &to.at[first..first + R];
    let bias = &S::as_simd_f32s(to.bias).0[..V];
    for (v, &bias) in bias.iter().enumerate() {
        let map = &mut to.map[v * to.block..(v + 1) * to.block];
        for (&at, sums) in at.iter().zip(&sums) {
            let value = clipped(simd, to.clip, simd.add_f32s(sums[v], bias));
            S::as_mut_simd_f32s(&mut map[at..at + S::F32_LANES]).0[0] = value;
        }
    }
}

/// Windows of `side` x `side` taps over one block of channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Side {
    /// Taps on each axis.
    pub taps: usize,
    pub stride: usize,
}

impl Side {
    /// Returns whether [`Windows`] supports it.
    pub(super) fn supported(self) -> bool {
        matches!((self.taps, self.stride), (3 | 5, 1 | 2) | (7, 1))
    }
}

/// Rows of outputs of a depthwise convolution of one block.
pub(super) struct Windows<'a> {
    pub side: Side,
    /// The rows that they read, `down` vectors wide; the first window starts at the beginning.
    pub rows: &'a [f32],
    pub down: usize,
    /// One vector per tap.
    pub factors: &'a [f32],
    pub bias: &'a [f32],
    /// An activation of few instructions.
    pub clip: Option<Activation>,
    /// The outputs, `across` vectors wide.
    pub out: &'a mut [f32],
    pub across: usize,
}

impl WithSimd for Windows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { side, rows, down, factors, bias, clip, out, across } = self;
        let finish = (S::as_simd_f32s(bias).0[0], clip);
        let (rows, factors) = (S::as_simd_f32s(rows).0, S::as_simd_f32s(factors).0);
        for (number, out) in S::as_mut_simd_f32s(out).0.chunks_exact_mut(across).enumerate() {
            let from = Row { rows: &rows[number * side.stride * down..], down, factors };
            match (side.taps, side.stride) {
                (3, 1) => row::<S, 3, 1>(simd, &from, finish, out),
                (3, _) => row::<S, 3, 2>(simd, &from, finish, out),
                (5, 1) => row::<S, 5, 1>(simd, &from, finish, out),
                (5, _) => row::<S, 5, 2>(simd, &from, finish, out),
                _ => row::<S, 7, 1>(simd, &from, finish, out),
            }
        }
    }
}

/// What a row of windows reads.
struct Row<'a, V> {
    rows: &'a [V],
    /// Vectors from one row to the next.
    down: usize,
    /// One vector per tap.
    factors: &'a [V],
}

#[inline(always)]
fn row<S: Simd, const SIDE: usize, const STEP: usize>(
    simd: S,
    from: &Row<'_, S::f32s>,
    finish: (S::f32s, Option<Activation>),
    out: &mut [S::f32s],
) {
    for (first, count) in split(out.len(), WINDOWS) {
        let rows = Row { rows: &from.rows[first * STEP..], ..*from };
        let out = &mut out[first..first + count];
        match count {
            1 => some::<S, 1, SIDE, STEP>(simd, &rows, finish, out),
            2 => some::<S, 2, SIDE, STEP>(simd, &rows, finish, out),
            3 => some::<S, 3, SIDE, STEP>(simd, &rows, finish, out),
            4 => some::<S, 4, SIDE, STEP>(simd, &rows, finish, out),
            5 => some::<S, 5, SIDE, STEP>(simd, &rows, finish, out),
            6 => some::<S, 6, SIDE, STEP>(simd, &rows, finish, out),
            _ => some::<S, WINDOWS, SIDE, STEP>(simd, &rows, finish, out),
        }
    }
}

/// Computes `N` neighbouring windows.
#[inline(always)]
fn some<S: Simd, const N: usize, const SIDE: usize, const STEP: usize>(
    simd: S,
    from: &Row<'_, S::f32s>,
    (bias, clip): (S::f32s, Option<Activation>),
    out: &mut [S::f32s],
) {
    let mut sums = [simd.splat_f32s(0.0); N];
    for (row, factors) in from.factors.as_chunks::<SIDE>().0.iter().take(SIDE).enumerate() {
        let elements = &from.rows[row * from.down..][..(N - 1) * STEP + SIDE];
        for (tap, &factor) in factors.iter().enumerate() {
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = multiply_add(simd, factor, elements[i * STEP + tap], *sum);
            }
        }
    }
    for (out, &sum) in out.iter_mut().zip(&sums) {
        *out = clipped(simd, clip, simd.add_f32s(sum, bias));
    }
}

/// The destination of products in an output with one plane per channel.
#[derive(Clone, Copy)]
pub(super) struct Planes<'a> {
    pub out: Shared<'a>,
    /// Offset of the first channel's first position.
    pub at: usize,
    /// Elements of a channel.
    pub plane: usize,
    /// The first channel, and the number of channels.
    pub channel: usize,
    pub channels: usize,
    pub finish: Finish<'a>,
}

/// The biases of a panel, then zeros.
type Biases = [f32; ACROSS * WIDEST];

impl Planes<'_> {
    #[inline(always)]
    fn biases(&self) -> Biases {
        let mut bias = [0.0; ACROSS * WIDEST];
        if let Some(all) = self.finish.bias {
            bias[..self.channels].copy_from_slice(&all[self.channel..self.channel + self.channels]);
        }
        bias
    }
}

/// Multiplies the first `positions` of a blocked map, whose blocks begin `block` elements apart, by a panel of weights.
#[inline(always)]
pub(super) fn project<S: Simd>(
    simd: S,
    (map, block): (&[f32], usize),
    (weights, depth): (&[f32], usize),
    positions: usize,
    to: Planes<'_>,
) {
    let bias = to.biases();
    for (first, height) in split(positions, tallest::<S>()) {
        let map = (&map[first * S::F32_LANES..], block);
        let to = (Planes { at: to.at + first, ..to }, &bias);
        if weights.len() == depth * S::F32_LANES {
            of_height!(height, project_tile, S, 1, (simd, map, weights, to));
        } else {
            of_height!(height, project_tile, S, ACROSS, (simd, map, weights, to));
        }
    }
}

#[inline(always)]
fn project_tile<S: Simd, const R: usize, const V: usize>(
    simd: S,
    map: (&[f32], usize),
    weights: &[f32],
    to: (Planes<'_>, &Biases),
) {
    turned::<S, R, V>(simd, &of_blocks::<S, R, V>(simd, map, weights), to);
}

/// Multiplies tiles of columns, each `room` elements after the one before, by a panel of weights.
#[inline(always)]
pub(super) fn multiply<S: Simd>(
    simd: S,
    (columns, room): (&[f32], usize),
    (weights, depth): (&[f32], usize),
    positions: usize,
    to: Planes<'_>,
) {
    let bias = to.biases();
    for (columns, (first, height)) in columns.chunks_exact(room).zip(split(positions, tallest::<S>())) {
        let columns = &columns[..height * depth];
        let to = (Planes { at: to.at + first, ..to }, &bias);
        if weights.len() == depth * S::F32_LANES {
            of_height!(height, multiply_tile, S, 1, (simd, columns, weights, to));
        } else {
            of_height!(height, multiply_tile, S, ACROSS, (simd, columns, weights, to));
        }
    }
}

#[inline(always)]
fn multiply_tile<S: Simd, const R: usize, const V: usize>(
    simd: S,
    columns: &[f32],
    weights: &[f32],
    to: (Planes<'_>, &Biases),
) {
    turned::<S, R, V>(simd, &of_columns::<S, R, V>(simd, columns, weights), to);
}

/// Stores a tile: each of its columns is one channel at `R` positions.
#[inline(always)]
fn turned<S: Simd, const R: usize, const V: usize>(
    simd: S,
    sums: &Tile<S::f32s, R, V>,
    (to, bias): (Planes<'_>, &Biases),
) {
    // Unless a tensor is added first, the activation is computed in whole vectors, before the tile is turned.
    let curve = to.finish.curve.filter(|_| to.finish.add.is_none());
    let clip = curve.filter(|_| straight(curve));
    let mut turned = [[0.0; ACROSS * WIDEST]; R];
    for (sums, turned) in sums.iter().zip(&mut turned) {
        let all = S::as_mut_simd_f32s(turned).0.iter_mut().zip(S::as_simd_f32s(bias).0);
        for ((to, &bias), &sum) in all.zip(sums) {
            *to = clipped(simd, clip, simd.add_f32s(sum, bias));
        }
    }
    if let Some(curve) = curve.filter(|_| clip.is_none()) {
        for turned in &mut turned {
            activations::apply(simd, curve, &mut turned[..V * S::F32_LANES]);
        }
    }
    let curve = to.finish.curve.filter(|_| straight(to.finish.curve));
    let limit = match curve {
        #[expect(clippy::cast_possible_truncation, reason = "as the definition does in f32")]
        Some(Activation::BoundedRamp(limit)) => limit as f32,
        _ => f32::INFINITY,
    };
    for channel in 0..to.channels {
        let at = to.at + channel * to.plane;
        #[expect(unsafe_code, reason = "see `Shared`")]
        // SAFETY: tasks differ in image, channels or positions, so no two write the same element.
        let Some(out) = unsafe { to.out.part(at, R) }.first_chunk_mut::<R>() else { return };
        // Straight to memory: wide loads of a row that was just put together would wait for its parts.
        let Some(add) = to.finish.add.and_then(|add| add[at..].first_chunk::<R>()) else {
            out.iter_mut().zip(&turned).for_each(|(out, turned)| *out = turned[channel]);
            continue;
        };
        for ((out, turned), other) in out.iter_mut().zip(&turned).zip(add) {
            let value = turned[channel] + other;
            // Comparisons as in the reference: NaN stays NaN.
            let value = if curve.is_some() && value <= 0.0 { 0.0 } else { value };
            *out = if value >= limit { limit } else { value };
        }
        if let Some(curve) = to.finish.curve.filter(|_| curve.is_none()) {
            activations::apply(simd, curve, out);
        }
    }
}
