//! The inner loop of all matrix products: one tile of the result, held in registers.

use pulp::Simd;

use super::isa::{WIDEST, multiply_add};

/// Most rows of a tile.
pub(super) const ROWS: usize = 8;
/// Most vectors across a tile. 8 x 3 sums keep the multiply-add units of current machines busy (they need at least 8 in
/// flight) and fit, with what is multiplied, into 32 registers.
pub(super) const VECTORS: usize = 3;
/// Elements of the largest tile.
pub(super) const TILE: usize = ROWS * VECTORS * WIDEST;

/// Rows of the tiles that cover `rows` rows: eights, and then the powers of two that the rest is made of.
pub(super) fn heights(rows: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut first = 0;
    std::iter::from_fn(move || {
        let left = rows - first;
        let height = if left >= ROWS { ROWS } else { (left + 1).next_power_of_two() / 2 };
        let tile = (first, height);
        first += height;
        (height > 0).then_some(tile)
    })
}

/// `out[i][j] = sum over k of a[k][i] * b[k][j]`, `k` ascending, for `rows` x (`vectors` vectors).
///
/// `a` holds `depth` columns of `rows` elements, `b` as many rows of `vectors` vectors, `out` gets the rows one after
/// another. `rows` is 8, 4, 2 or 1 and `vectors` at most 3; `out` has room for [`TILE`] elements.
#[inline(always)]
pub(super) fn multiply<S: Simd>(
    simd: S,
    (rows, vectors): (usize, usize),
    a: &[f32],
    b: &[f32],
    out: &mut [f32],
) {
    match (rows, vectors) {
        (8, 3) => tile::<S, 8, 3>(simd, a, b, out),
        (8, 2) => tile::<S, 8, 2>(simd, a, b, out),
        (8, 1) => tile::<S, 8, 1>(simd, a, b, out),
        (4, 3) => tile::<S, 4, 3>(simd, a, b, out),
        (4, 2) => tile::<S, 4, 2>(simd, a, b, out),
        (4, 1) => tile::<S, 4, 1>(simd, a, b, out),
        (2, 3) => tile::<S, 2, 3>(simd, a, b, out),
        (2, 2) => tile::<S, 2, 2>(simd, a, b, out),
        (2, 1) => tile::<S, 2, 1>(simd, a, b, out),
        (1, 3) => tile::<S, 1, 3>(simd, a, b, out),
        (1, 2) => tile::<S, 1, 2>(simd, a, b, out),
        _ => tile::<S, 1, 1>(simd, a, b, out),
    }
}

#[inline(always)]
fn tile<S: Simd, const R: usize, const V: usize>(simd: S, a: &[f32], b: &[f32], out: &mut [f32]) {
    let columns = a.as_chunks::<R>().0;
    let rows = S::as_simd_f32s(b).0.as_chunks::<V>().0;
    let mut sums = [[simd.splat_f32s(0.0); V]; R];
    for (column, row) in columns.iter().zip(rows) {
        for (sums, &factor) in sums.iter_mut().zip(column) {
            let factor = simd.splat_f32s(factor);
            for (sum, &element) in sums.iter_mut().zip(row) {
                *sum = multiply_add(simd, factor, element, *sum);
            }
        }
    }
    let out = S::as_mut_simd_f32s(out).0.as_chunks_mut::<V>().0;
    for (out, sums) in out.iter_mut().zip(sums) {
        *out = sums;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_all_rows_once() {
        for rows in 0..40 {
            let mut next = 0;
            for (first, height) in heights(rows) {
                assert_eq!(first, next);
                assert!([8, 4, 2, 1].contains(&height));
                next += height;
            }
            assert_eq!(next, rows);
        }
    }
}
