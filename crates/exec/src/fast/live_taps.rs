//! Which taps of a dilated window read anything but padding: the product skips the others.
//!
//! With a dilation as large as the map, as in atrous spatial pyramid pooling, most taps of most windows lie in the padding.

use std::ops::Range;

use cnnkit_core::layers::window::Window;

/// The taps of a window on a map of two axes, row by row.
#[derive(Debug, Clone)]
pub(super) struct LiveTaps {
    /// Output positions of a row.
    width: usize,
    /// For each tap, the rows of outputs for which it reads input elements; empty if it never does.
    rows: Vec<Range<usize>>,
}

impl LiveTaps {
    /// Returns the taps of zero-padded `windows` on an image of these sizes; `None` unless skipping saves a quarter of the
    /// work.
    pub(super) fn new(image: &[usize], outputs: &[usize], windows: &[Window]) -> Option<Self> {
        let (&[height, width], [vertical, horizontal]) = (outputs, windows) else { return None };
        let columns: Vec<_> =
            (0..horizontal.kernel).map(|tap| inside(horizontal, tap, image[1], width)).collect();
        let mut rows = Vec::new();
        for tap in 0..vertical.kernel {
            let range = inside(vertical, tap, image[0], height);
            rows.extend(columns.iter().map(|columns| if columns.is_empty() { 0..0 } else { range.clone() }));
        }
        let live: usize = rows.iter().map(ExactSizeIterator::len).sum();
        (4 * live <= 3 * height * rows.len()).then_some(Self { width, rows })
    }

    /// Iterates over the runs of taps that the outputs from `first` to `end` (exclusive) need.
    pub(super) fn runs(&self, first: usize, end: usize) -> impl Iterator<Item = Range<usize>> {
        let (top, bottom) = (first / self.width, end.div_ceil(self.width));
        let live = move |tap: usize| self.rows[tap].start < bottom && top < self.rows[tap].end;
        let mut next = 0;
        std::iter::from_fn(move || {
            let start = (next..self.rows.len()).find(|&tap| live(tap))?;
            next = (start..self.rows.len()).find(|&tap| !live(tap)).unwrap_or(self.rows.len());
            Some(start..next)
        })
    }
}

/// Returns the outputs for which a tap reads an element of an axis with `size` elements.
fn inside(window: &Window, tap: u64, size: usize, outputs: usize) -> Range<usize> {
    let reads = |output: &usize| {
        let at = *output as i128 * i128::from(window.stride) + i128::from(tap * window.dilation);
        (0..size as i128).contains(&(at - i128::from(window.before)))
    };
    // The outputs that read an element lie together.
    let first = (0..outputs).find(reads).unwrap_or(0);
    first..first + (first..outputs).take_while(reads).count()
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "a list of one run of taps is meant")]
mod tests {
    use super::*;

    #[test]
    fn a_rate_beyond_the_map_leaves_the_middle_tap() {
        let window = Window { kernel: 3, dilation: 36, before: 36, after: 36, ..Window::POINT };
        let taps = LiveTaps::new(&[28, 28], &[28, 28], &[window, window]).expect("it saves most");
        assert_eq!(taps.runs(0, 48).collect::<Vec<_>>(), [4..5]);
    }

    #[test]
    fn taps_count_only_for_rows_that_reach_the_map() {
        let window = Window { kernel: 3, dilation: 8, before: 8, after: 8, ..Window::POINT };
        let taps = LiveTaps::new(&[10, 10], &[10, 10], &[window, window]).expect("it saves a third");
        // Rows 0 and 1 read two rows of taps, rows 2 to 7 one, rows 8 and 9 two.
        assert_eq!(taps.runs(0, 20).collect::<Vec<_>>(), [3..9]);
        assert_eq!(taps.runs(20, 80).collect::<Vec<_>>(), [3..6]);
        assert_eq!(taps.runs(70, 90).collect::<Vec<_>>(), [0..6]);
    }

    #[test]
    fn small_rates_skip_nothing() {
        let window = Window { kernel: 3, dilation: 2, before: 2, after: 2, ..Window::POINT };
        assert!(LiveTaps::new(&[28, 28], &[28, 28], &[window, window]).is_none());
    }
}
