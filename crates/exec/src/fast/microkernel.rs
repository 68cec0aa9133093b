//! The inner loop of all matrix products: one tile of the result, held in registers.

use pulp::{Simd, WithSimd};

use super::isa::multiply_add;

/// Maximum rows of a tile.
pub(super) const ROWS: usize = 8;
/// Maximum vectors across a tile. 8 x 3 accumulators keep the multiply-add units of current machines busy (they need
/// at least 8 in flight) and fit, with the operands, into 32 registers. With 16 registers a [tile] is computed in parts.
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

/// The sums of a tile: rows of vectors, of which a smaller tile has the first ones.
pub(super) type Sums<V> = [[V; VECTORS]; ROWS];

/// Returns sums of zero.
#[inline(always)]
pub(super) fn no_sums<S: Simd>(simd: S) -> Sums<S::f32s> {
    [[simd.splat_f32s(0.0); VECTORS]; ROWS]
}

/// Computes a tile and stores its rows.
///
/// The tile is a function of its own: it is compiled once for each of its sizes, not again for every way to store it. Its
/// sums pass through the L1 cache, which takes as long as two or three columns of a product.
#[inline(always)]
pub(super) fn multiply<S: Simd>(
    simd: S,
    (rows, vectors): (usize, usize),
    a: &[f32],
    b: &[f32],
    store: &mut impl Store<S>,
) {
    let mut sums = no_sums(simd);
    product(simd, (rows, vectors), a, b, &mut sums);
    for (row, sums) in sums[..rows].iter().enumerate() {
        store.row(simd, row, &sums[..vectors]);
    }
}

/// Computes, for each row `i`, `sum over k of a[k][i] * b[k][j]`, `k` ascending, for `rows` x (`vectors` vectors).
///
/// `a` has `depth` columns of `rows` elements, `b` has `depth` rows of `vectors` vectors. There are at most [`ROWS`]
/// rows and [`VECTORS`] vectors; row counts other than 8, 4, 2 and 1 need all vectors. The result is written to `sums`, not
/// returned: a value of this size would be copied.
#[inline(always)]
pub(super) fn product<S: Simd>(
    simd: S,
    size: (usize, usize),
    a: &[f32],
    b: &[f32],
    sums: &mut Sums<S::f32s>,
) {
    simd.vectorize(Product { size, a, b, sums: bytemuck::cast_slice_mut(sums.as_flattened_mut()) });
}

/// A tile.
struct Product<'a> {
    size: (usize, usize),
    a: &'a [f32],
    b: &'a [f32],
    /// Where the sums go, row after row of all vectors.
    sums: &'a mut [f32],
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { size, a, b, sums } = self;
        match size {
            (8, 3) => tile::<S, 8, 3>(simd, a, b, sums),
            (8, 2) => tile::<S, 8, 2>(simd, a, b, sums),
            (8, 1) => tile::<S, 8, 1>(simd, a, b, sums),
            (7, _) => tile::<S, 7, 3>(simd, a, b, sums),
            (6, _) => tile::<S, 6, 3>(simd, a, b, sums),
            (5, _) => tile::<S, 5, 3>(simd, a, b, sums),
            (4, 3) => tile::<S, 4, 3>(simd, a, b, sums),
            (4, 2) => tile::<S, 4, 2>(simd, a, b, sums),
            (4, 1) => tile::<S, 4, 1>(simd, a, b, sums),
            (3, _) => tile::<S, 3, 3>(simd, a, b, sums),
            (2, 3) => tile::<S, 2, 3>(simd, a, b, sums),
            (2, 2) => tile::<S, 2, 2>(simd, a, b, sums),
            (2, 1) => tile::<S, 2, 1>(simd, a, b, sums),
            (1, 3) => tile::<S, 1, 3>(simd, a, b, sums),
            (1, 2) => tile::<S, 1, 2>(simd, a, b, sums),
            _ => tile::<S, 1, 1>(simd, a, b, sums),
        }
    }
}

/// Computes a tile.
///
/// With 16 registers (AVX2) it is computed in parts, each with at most nine sums: these, three vectors of operands and two
/// factors are all that fits. A single sum that is stored and loaded in every step would take twice the time, because the
/// next step waits for it; reading operands from the L1 cache again costs little. At least eight sums keep the
/// multiply-add units busy.
#[inline(always)]
fn tile<S: Simd, const R: usize, const V: usize>(simd: S, a: &[f32], b: &[f32], out: &mut [f32]) {
    if S::REGISTER_COUNT >= 32 {
        return part::<S, R, V, R, V>(simd, (0, 0), a, b, out);
    }
    match (R, V) {
        (8, 3) => {
            part::<S, R, V, 4, 2>(simd, (0, 0), a, b, out);
            part::<S, R, V, 4, 2>(simd, (4, 0), a, b, out);
            part::<S, R, V, 8, 1>(simd, (0, 2), a, b, out);
        }
        (8, 2) => {
            part::<S, R, V, 4, 2>(simd, (0, 0), a, b, out);
            part::<S, R, V, 4, 2>(simd, (4, 0), a, b, out);
        }
        (7, 3) => {
            part::<S, R, V, 4, 2>(simd, (0, 0), a, b, out);
            part::<S, R, V, 3, 2>(simd, (4, 0), a, b, out);
            part::<S, R, V, 7, 1>(simd, (0, 2), a, b, out);
        }
        (6, 3) => {
            part::<S, R, V, 3, 3>(simd, (0, 0), a, b, out);
            part::<S, R, V, 3, 3>(simd, (3, 0), a, b, out);
        }
        (5, 3) => {
            part::<S, R, V, 3, 3>(simd, (0, 0), a, b, out);
            part::<S, R, V, 2, 3>(simd, (3, 0), a, b, out);
        }
        (4, 3) => {
            part::<S, R, V, 4, 2>(simd, (0, 0), a, b, out);
            part::<S, R, V, 4, 1>(simd, (0, 2), a, b, out);
        }
        _ => part::<S, R, V, R, V>(simd, (0, 0), a, b, out),
    }
}

/// Computes the `H` rows of `W` vectors of a tile of `R` rows of `V` vectors that begin at this row and vector.
#[inline(always)]
fn part<S: Simd, const R: usize, const V: usize, const H: usize, const W: usize>(
    simd: S,
    (first, at): (usize, usize),
    a: &[f32],
    b: &[f32],
    out: &mut [f32],
) {
    let columns = a.as_chunks::<R>().0;
    let rows = S::as_simd_f32s(b).0.as_chunks::<V>().0;
    let mut sums = [[simd.splat_f32s(0.0); W]; H];
    for (column, row) in columns.iter().zip(rows) {
        for (sums, &factor) in sums.iter_mut().zip(&column[first..]) {
            let factor = simd.splat_f32s(factor);
            for (sum, &element) in sums.iter_mut().zip(&row[at..]) {
                *sum = multiply_add(simd, factor, element, *sum);
            }
        }
    }
    let out = &mut S::as_mut_simd_f32s(out).0.as_chunks_mut::<VECTORS>().0[first..];
    for (out, sums) in out.iter_mut().zip(sums) {
        out[at..at + W].copy_from_slice(&sums);
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
