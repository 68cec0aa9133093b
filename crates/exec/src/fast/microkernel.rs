//! The inner loop of all matrix products: one tile of the result, held in registers.

use pulp::Simd;

use super::isa::multiply_add;

/// Maximum rows of a tile.
pub(super) const ROWS: usize = 8;
/// Maximum vectors across a tile. 8 x 3 accumulators keep the multiply-add units of current machines busy (they need
/// at least 8 in flight) and fit, with the operands, into 32 registers.
pub(super) const VECTORS: usize = 3;

/// Splits `rows` rows into as few tiles as possible, of heights as equal as possible.
pub(super) fn balanced(rows: usize) -> impl Iterator<Item = (usize, usize)> {
    let tiles = rows.div_ceil(ROWS);
    (0..tiles).map(move |tile| {
        let first = tile * rows / tiles;
        (first, (tile + 1) * rows / tiles - first)
    })
}

/// Splits `rows` rows into tiles of 8 rows, and the remainder into powers of two.
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

/// Stores the sums of a tile.
pub(super) trait Store<S: Simd> {
    /// Stores row `row` of the tile.
    fn row(&mut self, simd: S, row: usize, sums: &[S::f32s]);
}

/// Computes, for each row `i`, `sum over k of a[k][i] * b[k][j]`, `k` ascending, for `rows` x (`vectors` vectors).
///
/// `a` has `depth` columns of `rows` elements, `b` has `depth` rows of `vectors` vectors. There are at most [`ROWS`]
/// rows and [`VECTORS`] vectors; row counts other than 8, 4, 2 and 1 need all vectors.
#[inline(always)]
pub(super) fn multiply<S: Simd>(
    simd: S,
    (rows, vectors): (usize, usize),
    a: &[f32],
    b: &[f32],
    store: &mut impl Store<S>,
) {
    match (rows, vectors) {
        (8, 3) => tile::<S, 8, 3>(simd, a, b, store),
        (8, 2) => tile::<S, 8, 2>(simd, a, b, store),
        (8, 1) => tile::<S, 8, 1>(simd, a, b, store),
        (7, _) => tile::<S, 7, 3>(simd, a, b, store),
        (6, _) => tile::<S, 6, 3>(simd, a, b, store),
        (5, _) => tile::<S, 5, 3>(simd, a, b, store),
        (4, 3) => tile::<S, 4, 3>(simd, a, b, store),
        (4, 2) => tile::<S, 4, 2>(simd, a, b, store),
        (4, 1) => tile::<S, 4, 1>(simd, a, b, store),
        (3, _) => tile::<S, 3, 3>(simd, a, b, store),
        (2, 3) => tile::<S, 2, 3>(simd, a, b, store),
        (2, 2) => tile::<S, 2, 2>(simd, a, b, store),
        (2, 1) => tile::<S, 2, 1>(simd, a, b, store),
        (1, 3) => tile::<S, 1, 3>(simd, a, b, store),
        (1, 2) => tile::<S, 1, 2>(simd, a, b, store),
        _ => tile::<S, 1, 1>(simd, a, b, store),
    }
}

#[inline(always)]
fn tile<S: Simd, const R: usize, const V: usize>(simd: S, a: &[f32], b: &[f32], store: &mut impl Store<S>) {
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
    for (row, sums) in sums.iter().enumerate() {
        store.row(simd, row, sums);
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
            let mut next = 0;
            for (first, height) in balanced(rows) {
                assert_eq!(first, next);
                assert!((1..=ROWS).contains(&height));
                next += height;
            }
            assert_eq!(next, rows);
        }
    }
}
