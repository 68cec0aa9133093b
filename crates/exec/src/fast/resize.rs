//! Linear interpolation: rows are interpolated first, then columns.

use rayon::prelude::*;

use super::Context;
use super::elementwise::Vectors;

/// For each output index of an axis: two input indices with their weights.
pub(super) type Pairs = Vec<[(usize, f32); 2]>;

/// Linear interpolation on all spatial axes.
#[derive(Debug, Clone)]
pub(super) struct Resize {
    pub image: Vec<usize>,
    pub axes: Vec<Pairs>,
}

impl Resize {
    pub(super) fn run(&self, context: &Context, input: &[f32], out: &mut [f32]) {
        let plane: usize = self.image.iter().product();
        let target: usize = self.axes.iter().map(Vec::len).product();
        let width = self.image.last().copied().unwrap_or(1);
        let each = |(source, target): (&[f32], &mut [f32])| {
            context.scratch.with(width, |row| self.channel(context, source, target, row));
        };
        input.par_chunks_exact(plane.max(1)).zip(out.par_chunks_exact_mut(target.max(1))).for_each(each);
    }

    fn channel(&self, context: &Context, source: &[f32], target: &mut [f32], mixed: &mut [f32]) {
        let Some((columns, outer)) = self.axes.split_last() else { return };
        let width = mixed.len();
        let mut rows = Vec::new();
        for (position, target) in target.chunks_exact_mut(columns.len().max(1)).enumerate() {
            // Input rows with their weights.
            rows.clear();
            rows.push((0, 1.0f32));
            let mut rest = position;
            let mut stride = source.len() / self.image[0];
            let mut left: usize = outer.iter().map(Vec::len).product();
            for (axis, pairs) in outer.iter().enumerate() {
                left /= pairs.len();
                let pair = pairs[rest / left];
                rest %= left;
                rows = rows
                    .iter()
                    .flat_map(|&(base, share)| {
                        pair.map(|(index, part)| (base + index * stride, share * part))
                    })
                    .collect();
                stride /= self.image[axis + 1];
            }
            context.isa.run(Vectors(
                #[inline(always)]
                || {
                    mixed.fill(0.0);
                    for &(start, share) in rows.iter().filter(|&&(_, share)| share != 0.0) {
                        for (mixed, &x) in mixed.iter_mut().zip(&source[start..start + width]) {
                            *mixed += share * x;
                        }
                    }
                    for (target, &[(a, first), (b, second)]) in target.iter_mut().zip(columns) {
                        let far = if second == 0.0 { 0.0 } else { second * mixed[b] };
                        *target = first * mixed[a] + far;
                    }
                },
            ));
        }
    }
}
