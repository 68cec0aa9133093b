//! Weighted sums over one channel: the inner loops of depthwise convolution.

use pulp::Simd;

use super::depthwise_strips;
use super::epilogue::{Channel, clipped};
use super::isa::multiply_add;
use super::padded_input::{Frame, Square, Three};

/// Vectors of a row that are computed together.
pub(super) const ACROSS: usize = 4;

/// Weighted sums over one channel.
pub(super) struct Sums<'a> {
    pub windows: &'a Frame,
    /// The windows' geometry if they have 3 x 3 taps.
    pub three: Option<Three>,
    /// The windows' geometry if strips of rows are faster.
    pub square: Option<&'a Square>,
    /// The padded map; loads reach past its end by less than the vectors computed together.
    pub frame: &'a [f32],
    /// One per tap.
    pub factors: &'a [f32],
    pub finish: Channel<'a>,
}

impl Sums<'_> {
    /// Computes all positions; `row` is a buffer for one row, or for the whole map where rows are narrow.
    #[inline(always)]
    pub(super) fn map<S: Simd>(&self, simd: S, row: &mut [f32], out: &mut [f32]) {
        let width = self.windows.outputs.last().copied().unwrap_or(1).max(1);
        match self.square.map(|square| (square, square.columns.len(), square.rows)) {
            // With stride 1, short rows of 3 x 3 taps are faster as one long row.
            Some((square, 3, 2)) if width < S::F32_LANES => {
                return self.strips::<S, 3, 2>(simd, square, width, row, out);
            }
            Some((square, 5, 1)) => return self.strips::<S, 5, 1>(simd, square, width, row, out),
            Some((square, 5, 2)) => return self.strips::<S, 5, 2>(simd, square, width, row, out),
            Some((square, 7, 1)) => return self.strips::<S, 7, 1>(simd, square, width, row, out),
            _ => {}
        }
        if let Some(distance) = self.windows.follow().filter(|_| width < S::F32_LANES) {
            self.narrow(simd, (width, distance), row, out);
            return;
        }
        // Stores whole vectors. The excess at the end of a row is overwritten: by the next row, or by the columns
        // further left in this one.
        for at in (0..width).step_by(ACROSS * S::F32_LANES).rev() {
            match (width - at).div_ceil(S::F32_LANES).min(ACROSS) {
                1 => self.columns::<S, 1>(simd, at, width, row, out),
                2 => self.columns::<S, 2>(simd, at, width, row, out),
                3 => self.columns::<S, 3>(simd, at, width, row, out),
                _ => self.columns::<S, ACROSS>(simd, at, width, row, out),
            }
        }
        if !self.finish.straight() {
            self.finish.last(simd, out);
        }
    }

    /// Computes rows narrower than a vector, `distance` apart in the padded map, as one row, including the elements
    /// between them.
    #[inline(always)]
    fn narrow<S: Simd>(&self, simd: S, (width, distance): (usize, usize), row: &mut [f32], out: &mut [f32]) {
        let rows = out.len() / width;
        let all = (rows.max(1) - 1) * distance + width;
        let mut at = 0;
        while at < all {
            let target = &mut row[at..];
            let vectors = match (all - at).div_ceil(S::F32_LANES) {
                1 => self.few::<S, 1>(simd, at, target),
                2 => self.few::<S, 2>(simd, at, target),
                3 => self.few::<S, 3>(simd, at, target),
                4..8 => self.few::<S, ACROSS>(simd, at, target),
                _ => self.few::<S, { 2 * ACROSS }>(simd, at, target),
            };
            at += vectors * S::F32_LANES;
        }
        for (r, (out, row)) in out.chunks_exact_mut(width).zip(row.chunks(distance)).enumerate() {
            self.finish.straight_rest(simd, r * width, &row[..width], out);
        }
        // One call for the whole map, not one for every short row.
        if !self.finish.straight() {
            self.finish.last(simd, out);
        }
    }

    /// Computes square windows in strips of rows, one vector wide.
    #[inline(always)]
    fn strips<S: Simd, const SIDE: usize, const STEP: usize>(
        &self,
        simd: S,
        square: &Square,
        width: usize,
        row: &mut [f32],
        out: &mut [f32],
    ) {
        let rows = out.len() / width;
        // Stores whole vectors, as in `map`.
        for (at, first) in depthwise_strips::places(width, rows, S::F32_LANES) {
            let frame = &self.frame[first * STEP * square.down + at..];
            let sums = depthwise_strips::sums::<S, SIDE, STEP>(simd, square, frame, self.factors);
            for (r, &sum) in (first..rows).zip(&sums) {
                let to = r * width + at;
                if to + S::F32_LANES <= out.len() {
                    self.put(simd, &[sum], to, out);
                } else {
                    let end = to + (width - at).min(S::F32_LANES);
                    self.store(simd, &[sum], None, row);
                    self.finish.straight_rest(simd, to, &row[..end - to], &mut out[to..end]);
                }
            }
        }
        if !self.finish.straight() {
            self.finish.last(simd, out);
        }
    }

    /// Computes `V` vectors from `at` on and returns how many they are.
    #[inline(always)]
    fn few<S: Simd, const V: usize>(&self, simd: S, at: usize, target: &mut [f32]) -> usize {
        self.store(simd, &self.taps::<S, V>(simd, at), None, target);
        V
    }

    /// Computes `V` vectors of columns from `at` on, in all rows.
    #[inline(always)]
    fn columns<S: Simd, const V: usize>(
        &self,
        simd: S,
        at: usize,
        width: usize,
        row: &mut [f32],
        out: &mut [f32],
    ) {
        let rows = out.len() / width;
        // Rows whose whole vectors stay inside the channel.
        let room = (out.len() + width).saturating_sub(at + V * S::F32_LANES);
        let whole = (room / width).min(rows);
        match self.three {
            Some(three) if three.rows == 1 => self.down::<S, V>(simd, three, (at, width, whole), out),
            Some(three) => self.down_by_two::<S, V>(simd, three, (at, width, whole), out),
            None => {
                // Few vectors per row: several rows at a time keep the multiply-add units busy.
                let done = match V {
                    1 => self.rows::<S, V, 8>(simd, (at, width, whole), out),
                    2 => self.rows::<S, V, 4>(simd, (at, width, whole), out),
                    _ => self.rows::<S, V, 2>(simd, (at, width, whole), out),
                };
                for r in done..whole {
                    let sums = self.taps::<S, V>(simd, self.windows.row(r) + at);
                    self.put(simd, &sums, r * width + at, out);
                }
            }
        }
        let count = (width - at).min(V * S::F32_LANES);
        for r in whole..rows {
            let to = r * width + at;
            self.store(simd, &self.taps::<S, V>(simd, self.windows.row(r) + at), None, row);
            self.finish.straight_rest(simd, to, &row[..count], &mut out[to..to + count]);
        }
    }

    /// Computes `R` rows at a time and returns how many rows it computed.
    #[inline(always)]
    fn rows<S: Simd, const V: usize, const R: usize>(
        &self,
        simd: S,
        (at, width, rows): (usize, usize, usize),
        out: &mut [f32],
    ) -> usize {
        let whole = rows / R * R;
        for first in (0..whole).step_by(R) {
            let starts: [usize; R] = std::array::from_fn(|i| self.windows.row(first + i) + at);
            let mut sums = [[simd.splat_f32s(0.0); V]; R];
            for (&tap, &factor) in self.windows.taps.iter().zip(self.factors) {
                let factor = simd.splat_f32s(factor);
                for (sums, start) in sums.iter_mut().zip(starts) {
                    for (sum, &element) in sums.iter_mut().zip(self.read::<S, V>(start + tap)) {
                        *sum = multiply_add(simd, factor, element, *sum);
                    }
                }
            }
            for (i, sums) in sums.iter().enumerate() {
                self.put(simd, sums, (first + i) * width + at, out);
            }
        }
        whole
    }

    /// Computes 3 x 3 taps with row stride 1: each padded row is read once for three rows of outputs.
    #[inline(always)]
    fn down<S: Simd, const V: usize>(
        &self,
        simd: S,
        three: Three,
        (at, width, rows): (usize, usize, usize),
        out: &mut [f32],
    ) {
        if rows == 0 {
            return;
        }
        let factors = self.three_by_three(simd);
        let none = [simd.splat_f32s(0.0); V];
        let read = self.three_columns::<S, V>(three, at);
        let mut first = add::<S, V>(simd, &factors[0], &read, none);
        let read = self.three_columns::<S, V>(three, at + three.down);
        first = add::<S, V>(simd, &factors[1], &read, first);
        let mut second = add::<S, V>(simd, &factors[0], &read, none);
        for r in 0..rows {
            let read = self.three_columns::<S, V>(three, at + (r + 2) * three.down);
            let sums = add::<S, V>(simd, &factors[2], &read, first);
            first = add::<S, V>(simd, &factors[1], &read, second);
            second = add::<S, V>(simd, &factors[0], &read, none);
            self.put(simd, &sums, r * width + at, out);
        }
    }

    /// Computes 3 x 3 taps with row stride 2: every other padded row serves two rows of outputs.
    #[inline(always)]
    fn down_by_two<S: Simd, const V: usize>(
        &self,
        simd: S,
        three: Three,
        (at, width, rows): (usize, usize, usize),
        out: &mut [f32],
    ) {
        if rows == 0 {
            return;
        }
        let factors = self.three_by_three(simd);
        let none = [simd.splat_f32s(0.0); V];
        let read = self.three_columns::<S, V>(three, at);
        let mut first = add::<S, V>(simd, &factors[0], &read, none);
        for r in 0..rows {
            let read = self.three_columns::<S, V>(three, at + (2 * r + 1) * three.down);
            let sums = add::<S, V>(simd, &factors[1], &read, first);
            let read = self.three_columns::<S, V>(three, at + (2 * r + 2) * three.down);
            let sums = add::<S, V>(simd, &factors[2], &read, sums);
            first = add::<S, V>(simd, &factors[0], &read, none);
            self.put(simd, &sums, r * width + at, out);
        }
    }

    #[inline(always)]
    fn three_by_three<S: Simd>(&self, simd: S) -> [[S::f32s; 3]; 3] {
        let row = &self.factors[..9];
        [row_of_three(simd, &row[..3]), row_of_three(simd, &row[3..6]), row_of_three(simd, &row[6..])]
    }

    /// Loads what the three taps of a row read.
    #[inline(always)]
    fn three_columns<S: Simd, const V: usize>(&self, three: Three, start: usize) -> [&[S::f32s; V]; 3] {
        let [a, b, c] = three.columns;
        if [b, c] == [a + 1, a + 2] {
            // A slice whose length the compiler can derive needs a single bounds check.
            let all = &self.frame[start + a..][..V * S::F32_LANES + 2];
            return [vectors::<S, V>(all), vectors::<S, V>(&all[1..]), vectors::<S, V>(&all[2..])];
        }
        [self.read::<S, V>(start + a), self.read::<S, V>(start + b), self.read::<S, V>(start + c)]
    }

    /// Returns `V` vectors as a slice whose length the compiler can derive.
    #[inline(always)]
    fn read<S: Simd, const V: usize>(&self, from: usize) -> &[S::f32s; V] {
        vectors::<S, V>(&self.frame[from..])
    }

    /// Computes all taps of `V` vectors of neighbouring windows, the first of which starts at `start`.
    #[inline(always)]
    fn taps<S: Simd, const V: usize>(&self, simd: S, start: usize) -> [S::f32s; V] {
        let mut sums = [simd.splat_f32s(0.0); V];
        for (&tap, &factor) in self.windows.taps.iter().zip(self.factors) {
            let factor = simd.splat_f32s(factor);
            for (sum, &element) in sums.iter_mut().zip(self.read::<S, V>(start + tap)) {
                *sum = multiply_add(simd, factor, element, *sum);
            }
        }
        sums
    }

    /// Stores whole vectors, with the epilogue if it is straight. This function must not call any other: the
    /// loop would have to spill its registers around the call.
    #[inline(always)]
    fn put<S: Simd, const V: usize>(&self, simd: S, sums: &[S::f32s; V], to: usize, out: &mut [f32]) {
        let add = self.finish.add.filter(|_| self.finish.straight()).map(|add| &add[to..]);
        self.store(simd, sums, add, &mut out[to..to + V * S::F32_LANES]);
    }

    /// Stores sums plus their bias, with the epilogue if it is straight and the tensor to add is given or absent.
    #[inline(always)]
    fn store<S: Simd, const V: usize>(
        &self,
        simd: S,
        sums: &[S::f32s; V],
        add: Option<&[f32]>,
        out: &mut [f32],
    ) {
        let bias = simd.splat_f32s(self.finish.bias);
        let complete = self.finish.straight() && (add.is_some() || self.finish.add.is_none());
        let curve = self.finish.curve.filter(|_| complete);
        let out = &mut S::as_mut_simd_f32s(out).0.as_chunks_mut::<V>().0[0];
        for (i, (to, &sum)) in out.iter_mut().zip(sums).enumerate() {
            let mut value = simd.add_f32s(sum, bias);
            if let Some(add) = add {
                let add = &add[i * S::F32_LANES..(i + 1) * S::F32_LANES];
                value = simd.add_f32s(value, S::as_simd_f32s(add).0[0]);
            }
            *to = clipped(simd, curve, value);
        }
    }
}

/// Returns the first `V` vectors.
#[inline(always)]
fn vectors<S: Simd, const V: usize>(elements: &[f32]) -> &[S::f32s; V] {
    &S::as_simd_f32s(&elements[..V * S::F32_LANES]).0.as_chunks::<V>().0[0]
}

#[inline(always)]
fn row_of_three<S: Simd>(simd: S, row: &[f32]) -> [S::f32s; 3] {
    [simd.splat_f32s(row[0]), simd.splat_f32s(row[1]), simd.splat_f32s(row[2])]
}

/// Adds the products of three taps. Written out, because the compiler keeps arrays of so few elements in memory when
/// they are looped over.
#[inline(always)]
fn add<S: Simd, const V: usize>(
    simd: S,
    &[x, y, z]: &[S::f32s; 3],
    &[a, b, c]: &[&[S::f32s; V]; 3],
    mut sums: [S::f32s; V],
) -> [S::f32s; V] {
    for (i, sum) in sums.iter_mut().enumerate() {
        *sum = multiply_add(simd, x, a[i], *sum);
        *sum = multiply_add(simd, y, b[i], *sum);
        *sum = multiply_add(simd, z, c[i], *sum);
    }
    sums
}
