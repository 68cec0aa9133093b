//! A coverage map as data: one line per axis, whose product is the map, and the resolution of each line.

/// Maps that are shown together, on one scale.
#[derive(Debug, Clone, Default)]
pub struct Map {
    /// The maps, in order.
    pub panels: Vec<Panel>,
}

/// One map: the product of a vertical and a horizontal line.
#[derive(Debug, Clone)]
pub struct Panel {
    /// What it shows.
    pub title: String,
    /// The vertical line; `None` for a map of one axis.
    pub rows: Option<Line>,
    /// The horizontal line.
    pub columns: Line,
}

/// The multiplicities of one axis; neighbouring positions share a bin where there are very many.
#[derive(Debug, Clone)]
pub struct Line {
    /// Positions of the axis.
    pub size: u64,
    /// The bins, in order.
    pub bins: Vec<Bin>,
}

/// Neighbouring positions of an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// Number of its positions.
    pub positions: u64,
    /// Number of its positions that are read.
    pub covered: u64,
    /// Natural logarithm of its largest multiplicity; 0 where multiplicities were not counted.
    pub log: f64,
}

impl Map {
    /// Returns the logarithm of the largest multiplicity of all panels.
    pub fn hottest(&self) -> f64 {
        let of = |line: &Line| line.bins.iter().map(|bin| bin.log).fold(0.0, f64::max);
        let panels = self.panels.iter().map(|panel| of(&panel.columns) + panel.rows.as_ref().map_or(0.0, of));
        panels.fold(0.0, f64::max)
    }

    /// Returns whether some position is never read.
    pub fn has_holes(&self) -> bool {
        let lines = self.panels.iter().flat_map(|panel| panel.rows.iter().chain([&panel.columns]));
        lines.flat_map(|line| &line.bins).any(|bin| bin.covered < bin.positions)
    }

    /// Returns the width of the widest and the height of the highest panel, in bins.
    pub fn extent(&self) -> (usize, usize) {
        let widest = self.panels.iter().map(|panel| panel.columns.bins.len()).max().unwrap_or(0);
        let rows = self.panels.iter().map(|panel| panel.rows.as_ref().map_or(1, |line| line.bins.len()));
        (widest, rows.max().unwrap_or(0))
    }
}

impl Panel {
    /// Returns the cell where the bins `row` and `column` meet.
    pub fn cell(&self, row: Bin, column: Bin) -> Bin {
        Bin {
            positions: row.positions.saturating_mul(column.positions),
            covered: row.covered.saturating_mul(column.covered),
            log: row.log + column.log,
        }
    }

    /// Returns the vertical line of the map; a single position for a map of one axis.
    pub fn down(&self) -> Vec<Bin> {
        let single = || vec![Bin { positions: 1, covered: 1, log: 0.0 }];
        self.rows.as_ref().map_or_else(single, |line| line.bins.clone())
    }
}

impl Line {
    /// Returns the line with `count` neighbouring bins joined into one.
    #[must_use]
    pub fn joined(&self, count: usize) -> Self {
        let bins = self.bins.chunks(count.max(1)).map(|chunk| {
            let zero = Bin { positions: 0, covered: 0, log: 0.0 };
            chunk.iter().fold(zero, |sum, bin| Bin {
                positions: sum.positions + bin.positions,
                covered: sum.covered + bin.covered,
                log: sum.log.max(bin.log),
            })
        });
        Self { size: self.size, bins: bins.collect() }
    }
}
