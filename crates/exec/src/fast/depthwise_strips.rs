//! Strips of eight rows of outputs of a depthwise convolution or a pool: each element of the padded map is loaded once for all rows
//! whose windows contain it, and each factor once for all rows.

use pulp::Simd;

use super::isa::multiply_add;
use super::padded_input::{Frame, Square};

/// Rows of outputs that are computed together: as many sums as keep the multiply-add units of current machines busy.
pub(super) const STRIP: usize = 8;

/// Most rows that the windows of a strip read: eight windows of 5 rows at stride 2.
const MOST: usize = 2 * (STRIP - 1) + 5;

/// Returns the windows' geometry if [`sums`] supports it.
pub(super) fn supported(frame: &Frame) -> Option<Square> {
    frame.square().filter(|square| matches!((square.columns.len(), square.rows), (3 | 5, _) | (7, 1)))
}

/// Returns the elements after a padded map that a strip reads where there are fewer than [`STRIP`] rows of outputs.
pub(super) fn excess(square: &Square, rows: usize) -> usize {
    STRIP.saturating_sub(rows) * square.rows * square.down
}

/// Iterates over the strips of a map: the first column of a vector of outputs, and the first of [`STRIP`] rows.
///
/// Whole vectors can be stored: the excess at the end of a row is overwritten, by the next row or by the columns further left in
/// this one. The last strip may overlap the one before; it computes the same values again.
pub(super) fn places(width: usize, rows: usize, lanes: usize) -> impl Iterator<Item = (usize, usize)> {
    let last = rows.saturating_sub(STRIP);
    let columns = (0..width).step_by(lanes).rev();
    columns.flat_map(move |at| (0..rows).step_by(STRIP).map(move |first| (at, first.min(last))))
}

/// Computes one vector of weighted sums in [`STRIP`] rows; the first window starts at the beginning of `frame`.
///
/// Each sum goes through the taps column by column.
#[inline(always)]
pub(super) fn sums<S: Simd, const SIDE: usize, const STEP: usize>(
    simd: S,
    square: &Square,
    frame: &[f32],
    factors: &[f32],
) -> [S::f32s; STRIP] {
    let zero = simd.splat_f32s(0.0);
    let mut sums = [zero; STRIP];
    for (column, &tap) in square.columns.iter().enumerate() {
        let elements = elements::<S, SIDE, STEP>(simd, square, &frame[tap..]);
        let mut own = [zero; SIDE];
        for (row, factor) in own.iter_mut().enumerate() {
            *factor = simd.splat_f32s(factors[row * SIDE + column]);
        }
        for (i, sum) in sums.iter_mut().enumerate() {
            for (row, &factor) in own.iter().enumerate() {
                *sum = multiply_add(simd, factor, elements[i * STEP + row], *sum);
            }
        }
    }
    sums
}

/// As [`sums`], reduced from `initial` by another operation.
#[inline(always)]
pub(super) fn reduced<S: Simd, const SIDE: usize, const STEP: usize>(
    simd: S,
    square: &Square,
    frame: &[f32],
    (initial, reduce): (f32, impl Fn(S, S::f32s, S::f32s) -> S::f32s),
) -> [S::f32s; STRIP] {
    let mut results = [simd.splat_f32s(initial); STRIP];
    for &tap in &square.columns {
        let elements = elements::<S, SIDE, STEP>(simd, square, &frame[tap..]);
        for (i, result) in results.iter_mut().enumerate() {
            for &element in &elements[i * STEP..i * STEP + SIDE] {
                *result = reduce(simd, *result, element);
            }
        }
    }
    results
}

/// Loads what one column of taps reads in all rows of a strip.
#[inline(always)]
fn elements<S: Simd, const SIDE: usize, const STEP: usize>(
    simd: S,
    square: &Square,
    frame: &[f32],
) -> [S::f32s; MOST] {
    let read = (STRIP - 1) * STEP + SIDE;
    let frame = &frame[..(read - 1) * square.down + S::F32_LANES];
    let mut elements = [simd.splat_f32s(0.0); MOST];
    for (row, element) in elements.iter_mut().enumerate().take(read) {
        *element = S::as_simd_f32s(&frame[row * square.down..][..S::F32_LANES]).0[0];
    }
    elements
}
