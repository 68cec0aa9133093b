//! Weight matrices in the order in which tiles read them, packed once per network.

use rayon::prelude::*;

use super::microkernel::heights;
use super::scratch::Aligned;

/// Rows of a matrix that are multiplied together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panel {
    /// The first row.
    pub first: usize,
    /// Number of rows: 8, 4, 2 or 1.
    pub rows: usize,
}

/// One matrix per group, cut into panels of rows.
#[derive(Debug)]
pub(super) struct Packed {
    /// Number of columns.
    pub depth: usize,
    /// Rows of one group.
    pub rows: usize,
    /// Number of matrices.
    pub groups: usize,
    /// The panels of each matrix; row numbers are relative to the group.
    pub panels: Vec<Panel>,
    /// Panel after panel, each column by column.
    data: Aligned,
}

impl Packed {
    /// Packs the matrices given by a function of row (counted over all groups) and column.
    pub(super) fn new(
        groups: usize,
        rows: usize,
        depth: usize,
        element: impl Fn(usize, usize) -> f32 + Sync,
    ) -> Self {
        let panels: Vec<Panel> = heights(rows).map(|(first, rows)| Panel { first, rows }).collect();
        let mut data = Aligned::new(groups * rows * depth);
        let mut parts = Vec::with_capacity(groups * panels.len());
        let mut rest = data.elements_mut();
        for group in 0..groups {
            for &panel in &panels {
                let (part, after) = rest.split_at_mut(panel.rows * depth);
                parts.push((group * rows + panel.first, panel.rows, part));
                rest = after;
            }
        }
        parts.into_par_iter().for_each(|(first, height, part)| {
            for (k, column) in part.chunks_exact_mut(height).enumerate() {
                for (row, target) in (first..).zip(column) {
                    *target = element(row, k);
                }
            }
        });
        Self { depth, rows, groups, panels, data }
    }

    /// Returns the elements of one panel.
    #[inline(always)]
    pub(super) fn panel(&self, group: usize, panel: Panel) -> &[f32] {
        let start = (group * self.rows + panel.first) * self.depth;
        &self.data.elements()[start..start + panel.rows * self.depth]
    }

    /// Returns the bytes that it takes.
    pub(super) fn bytes(&self) -> u64 {
        4 * self.data.len() as u64
    }
}
