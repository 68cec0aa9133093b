//! The convolution in the middle of an inverted residual: depthwise, or in groups that are one block of channels, two or a half
//! (ResNeXt, RegNet). Of two groups in a block, each multiplies the other's channels by zeros.

use pulp::{Simd, WithSimd};

use super::activations;
use super::blocked::{ACROSS, Side, Windows, split};
use super::epilogue::clipped;
use super::inverted_weights::{Stage, Weights};
use super::isa::{Isa, multiply_add};
use cnnkit_core::layers::activation::Activation;

/// Neighbouring windows of a group that are computed together: their sums, a weight and an input fill 16 registers.
const WINDOWS: usize = 14;

/// Its weights and what follows it.
#[derive(Debug)]
pub(super) struct Middle {
    /// Per block of outputs, for each input that it reads and each tap one vector; a depthwise block reads itself.
    factors: Vec<f32>,
    /// Channels of a group.
    members: usize,
    side: Side,
    stage: Stage,
}

/// Returns the instructions for groups of so many channels: the widest that `isa` includes of which a group is one block or
/// [`ACROSS`] of them, or else half a block. A depthwise convolution has groups of one channel.
pub(super) fn isa_of(isa: Isa, members: usize) -> Option<Isa> {
    let isa = if members == 1 {
        Some(isa)
    } else {
        let of = |blocks: usize, half: usize| isa.parts().find(|isa| members * half == isa.lanes() * blocks);
        of(1, 1).or_else(|| of(ACROSS, 1)).or_else(|| of(1, 2))
    };
    isa.filter(|isa| isa.lanes() > 1)
}

impl Middle {
    /// Packs a convolution with as many outputs as inputs; `None` where that is not supported.
    pub(super) fn new(lanes: usize, side: Side, weights: Weights<'_>, stage: Stage) -> Option<Self> {
        let &[channels, members, ..] = weights.tensor.sizes() else { return None };
        let blocks = members.div_ceil(lanes);
        let whole = members == blocks * lanes || members * 2 == lanes;
        if !side.supported() || (members > 1 && !(whole && blocks <= ACROSS && side.taps == 3)) {
            return None;
        }
        let stage = stage.whole(channels.div_ceil(lanes) * lanes);
        let mut middle = Self { factors: vec![], members, side, stage };
        let (count, vectors) = (side.taps * side.taps, middle.vectors(lanes));
        let mut factors = vec![0.0; channels.div_ceil(lanes) * vectors * lanes];
        for channel in 0..channels {
            for member in 0..members {
                // Where the input is in the blocks of its group, or in the block of two groups.
                let input = (channel / members * members + member) % (blocks * lanes);
                for tap in 0..count {
                    // The inputs of a tap in one block lie side by side in memory: they are multiplied one after the other.
                    let vector = match members {
                        1 => tap,
                        _ => (input / lanes * count + tap) * lanes + input % lanes,
                    };
                    let to = (channel / lanes * vectors + vector) * lanes + channel % lanes;
                    factors[to] = weights.at(channel, member * count + tap);
                }
            }
        }
        middle.factors = factors;
        Some(middle)
    }

    /// Returns the multiply-adds of one output.
    pub(super) fn macs(&self) -> usize {
        self.members * self.side.taps.pow(2)
    }

    /// Returns the vectors of factors of a block of outputs.
    fn vectors(&self, lanes: usize) -> usize {
        let inputs = if self.members == 1 { 1 } else { self.members.div_ceil(lanes) * lanes };
        inputs * self.side.taps.pow(2)
    }

    /// Returns the bytes of its own copy of the weights.
    pub(super) fn bytes(&self) -> u64 {
        4 * self.factors.len() as u64
    }

    /// Computes outputs of block `v` of a panel, whose blocks of inputs begin `room` elements apart; rows of inputs are `down`
    /// vectors wide, and those of outputs `across`.
    #[inline(always)]
    pub(super) fn outputs<S: Simd>(
        &self,
        simd: S,
        (panel, v): (usize, usize),
        (rows, room): (&[f32], usize),
        (down, across): (usize, usize),
        out: &mut [f32],
    ) {
        let (clip, curve) = self.stage.split();
        let (side, block) = (self.side, panel * ACROSS + v);
        let bias = &self.stage.bias[block * S::F32_LANES..][..S::F32_LANES];
        let size = self.vectors(S::F32_LANES) * S::F32_LANES;
        let factors = &self.factors[block * size..][..size];
        // A group of several blocks begins with the panel.
        let rows = if self.members > S::F32_LANES { rows } else { &rows[v * room..] };
        // Functions of their own: they are large.
        if self.members == 1 {
            simd.vectorize(Windows { side, rows, down, factors, bias, clip, out: &mut *out, across });
        } else {
            let (stride, out) = (side.stride, &mut *out);
            simd.vectorize(Grouped { stride, rows, room, down, factors, bias, clip, out, across });
        }
        if let Some(curve) = curve {
            activations::apply(simd, curve, out);
        }
    }
}

/// Rows of outputs of a convolution of 3 x 3 taps in one block of a group.
struct Grouped<'a> {
    stride: usize,
    /// The rows that they read, `down` vectors wide, of the first block of the group; the first window starts at the beginning.
    rows: &'a [f32],
    /// Elements from one block to the next.
    room: usize,
    down: usize,
    /// For each block of inputs, tap and input one vector.
    factors: &'a [f32],
    bias: &'a [f32],
    /// An activation of few instructions.
    clip: Option<Activation>,
    /// The outputs, `across` vectors wide.
    out: &'a mut [f32],
    across: usize,
}

/// What neighbouring windows read.
struct Inputs<'a, V> {
    rows: &'a [f32],
    room: usize,
    /// Elements of a row.
    line: usize,
    factors: &'a [V],
}

impl WithSimd for Grouped<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { stride, rows, room, down, factors, bias, clip, out, across } = self;
        let finish = (S::as_simd_f32s(bias).0[0], clip);
        let (line, factors) = (down * S::F32_LANES, S::as_simd_f32s(factors).0);
        for (number, out) in S::as_mut_simd_f32s(out).0.chunks_exact_mut(across).enumerate() {
            for (first, count) in split(across, WINDOWS) {
                let start = number * stride * line + first * stride * S::F32_LANES;
                let from = Inputs { rows: &rows[start..], room, line, factors };
                let out = &mut out[first..first + count];
                match stride {
                    1 => neighbours::<S, 1>(simd, &from, finish, out),
                    _ => neighbours::<S, 2>(simd, &from, finish, out),
                }
            }
        }
    }
}

/// Computes neighbouring windows, at most [`WINDOWS`].
#[inline(always)]
fn neighbours<S: Simd, const STEP: usize>(
    simd: S,
    from: &Inputs<'_, S::f32s>,
    finish: (S::f32s, Option<Activation>),
    out: &mut [S::f32s],
) {
    match out.len() {
        1 => together::<S, 1, STEP>(simd, from, finish, out),
        2 => together::<S, 2, STEP>(simd, from, finish, out),
        3 => together::<S, 3, STEP>(simd, from, finish, out),
        4 => together::<S, 4, STEP>(simd, from, finish, out),
        5 => together::<S, 5, STEP>(simd, from, finish, out),
        6 => together::<S, 6, STEP>(simd, from, finish, out),
        7 => together::<S, 7, STEP>(simd, from, finish, out),
        8 => together::<S, 8, STEP>(simd, from, finish, out),
        9 => together::<S, 9, STEP>(simd, from, finish, out),
        10 => together::<S, 10, STEP>(simd, from, finish, out),
        11 => together::<S, 11, STEP>(simd, from, finish, out),
        12 => together::<S, 12, STEP>(simd, from, finish, out),
        13 => together::<S, 13, STEP>(simd, from, finish, out),
        _ => together::<S, WINDOWS, STEP>(simd, from, finish, out),
    }
}

/// Computes `N` neighbouring windows.
#[inline(always)]
fn together<S: Simd, const N: usize, const STEP: usize>(
    simd: S,
    from: &Inputs<'_, S::f32s>,
    (bias, clip): (S::f32s, Option<Activation>),
    out: &mut [S::f32s],
) {
    let mut sums = [simd.splat_f32s(0.0); N];
    // Three taps of a row.
    for (number, factors) in from.factors.chunks_exact(3 * S::F32_LANES).enumerate() {
        let start = number / 3 * from.room + number % 3 * from.line;
        let elements = &from.rows[start..][..((N - 1) * STEP + 3) * S::F32_LANES];
        for (tap, factors) in factors.chunks_exact(S::F32_LANES).enumerate() {
            for (lane, &factor) in factors.iter().enumerate() {
                for (i, sum) in sums.iter_mut().enumerate() {
                    let input = simd.splat_f32s(elements[(i * STEP + tap) * S::F32_LANES + lane]);
                    *sum = multiply_add(simd, input, factor, *sum);
                }
            }
        }
    }
    for (out, &sum) in out.iter_mut().zip(&sums) {
        *out = clipped(simd, clip, simd.add_f32s(sum, bias));
    }
}
