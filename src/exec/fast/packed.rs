//! Matrices of weights in the order in which tiles read them, made once for a network.

use rayon::prelude::*;

use super::tile::heights;

/// Rows of a matrix that are multiplied together.
#[derive(Debug, Clone)]
pub(super) struct Panel {
    /// The first row.
    pub first: usize,
    /// How many: 8, 4, 2 or 1.
    pub rows: usize,
    /// Column by column.
    pub data: Vec<f32>,
}

/// A matrix for each group, cut into panels of rows.
#[derive(Debug, Clone)]
pub(super) struct Packed {
    /// Columns.
    pub depth: usize,
    /// Rows of one group.
    pub rows: usize,
    /// For each group, its panels; the rows count from the group's first.
    pub groups: Vec<Vec<Panel>>,
}

impl Packed {
    /// From an element at each row (counted over all groups) and column.
    pub(super) fn new(
        groups: usize,
        rows: usize,
        depth: usize,
        element: impl Fn(usize, usize) -> f32 + Sync,
    ) -> Self {
        let panel = |group: usize, (first, height): (usize, usize)| {
            let mut data = Vec::with_capacity(height * depth);
            for k in 0..depth {
                data.extend((first..first + height).map(|row| element(group * rows + row, k)));
            }
            Panel { first, rows: height, data }
        };
        let tiles: Vec<_> = heights(rows).collect();
        let groups = (0..groups)
            .into_par_iter()
            .map(|group| tiles.par_iter().map(|&tile| panel(group, tile)).collect())
            .collect();
        Self { depth, rows, groups }
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> u64 {
        4 * self.groups.iter().flatten().map(|panel| panel.data.len() as u64).sum::<u64>()
    }
}
