//! The phases of a dilated convolution, side by side.
//!
//! With dilation `d` along an axis, an output reads only pixels of its own phase, which is its position modulo `d`: the
//! sub-grids that gridding is named after. Each phase is a map of its own, on which the convolution has no dilation. Here
//! all of them lie in one map, the mosaic, with one line of zeros between neighbours: the padding of both. A kernel of
//! three taps without dilation then computes all phases at once.

use pulp::{Simd, WithSimd};

use super::disjoint_slices::Shared;
use super::epilogue::Finish;

/// The mosaic of a map of two axes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Phases {
    /// Height and width of the map.
    pub size: [usize; 2],
    /// Number of phases of each axis.
    dilation: [usize; 2],
    /// Distance between the beginnings of neighbouring phases in the mosaic: the longest phase, and the line of zeros.
    pitch: [usize; 2],
}

impl Phases {
    pub(super) fn new(size: [usize; 2], dilation: [usize; 2]) -> Self {
        let pitch = std::array::from_fn(|axis| size[axis].div_ceil(dilation[axis]) + 1);
        Self { size, dilation, pitch }
    }

    /// Returns the height and the width of the mosaic.
    pub(super) fn mosaic(&self) -> [usize; 2] {
        std::array::from_fn(|axis| self.dilation[axis] * self.pitch[axis] - 1)
    }

    /// Returns the position in the map of position `at` of the mosaic, if it is none of zeros.
    pub(super) fn source(&self, axis: usize, at: i128) -> Option<usize> {
        let at = usize::try_from(at).ok()?;
        let (phase, at) = (at / self.pitch[axis], at % self.pitch[axis]);
        let inside = phase < self.dilation[axis] && at + 1 < self.pitch[axis];
        Some(at * self.dilation[axis] + phase).filter(|&source| inside && source < self.size[axis])
    }

    /// Returns the share of three taps that read no padding, on average over the positions of an axis of the map.
    pub(super) fn live(&self) -> f64 {
        let share = |axis: usize| {
            let (size, outside) = (self.size[axis], self.dilation[axis].min(self.size[axis]));
            1.0 - 2.0 * outside as f64 / (3 * size.max(1)) as f64
        };
        share(0) * share(1)
    }

    /// Writes row `y` of the map.
    fn row(&self, mosaic: &[f32], y: usize, row: &mut [f32]) {
        let [_, width] = self.mosaic();
        let from = (y % self.dilation[0] * self.pitch[0] + y / self.dilation[0]) * width;
        for phase in 0..self.dilation[1].min(row.len()) {
            let from = &mosaic[from + phase * self.pitch[1]..];
            row[phase..].iter_mut().step_by(self.dilation[1]).zip(from).for_each(|(to, &from)| *to = from);
        }
    }
}

/// Takes the mosaic of one channel apart, and applies the epilogue.
pub(super) struct Apart<'a> {
    pub phases: &'a Phases,
    /// The channel's mosaic.
    pub mosaic: &'a [f32],
    pub channel: usize,
    /// The output of the whole batch, in which no other task writes this channel, and where the channel begins.
    pub out: Shared<'a>,
    pub at: usize,
    pub finish: Finish<'a>,
}

impl WithSimd for Apart<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [height, width] = self.phases.size;
        let mut row = vec![0.0; width];
        for y in 0..height {
            self.phases.row(self.mosaic, y, &mut row);
            let at = self.at + y * width;
            #[expect(unsafe_code, reason = "see `Shared`")]
            // SAFETY: tasks differ in image or channel, so no two write the same element.
            let out = unsafe { self.out.part(at, width) };
            self.finish.row(simd, self.channel, at, &row, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mosaic_has_every_position_once_and_is_taken_apart_again() {
        for (size, dilation) in
            [([7, 5], [2, 3]), ([4, 4], [4, 4]), ([5, 6], [1, 2]), ([3, 2], [5, 4]), ([1, 9], [3, 1])]
        {
            let phases = Phases::new(size, dilation);
            let [height, width] = phases.mosaic();
            let mut mosaic = vec![f32::NAN; height * width];
            let mut seen = vec![0; size[0] * size[1]];
            for (at, element) in mosaic.iter_mut().enumerate() {
                let place = |axis, at: usize| phases.source(axis, at as i128);
                if let (Some(y), Some(x)) = (place(0, at / width), place(1, at % width)) {
                    seen[y * size[1] + x] += 1;
                    *element = (y * size[1] + x) as f32;
                }
            }
            assert!(seen.iter().all(|&times| times == 1), "{size:?} {dilation:?}: {seen:?}");
            assert_eq!((phases.source(0, -1), phases.source(1, width as i128)), (None, None));
            let mut row = vec![0.0; size[1]];
            for y in 0..size[0] {
                phases.row(&mosaic, y, &mut row);
                assert!(row.iter().enumerate().all(|(x, &element)| element == (y * size[1] + x) as f32));
            }
        }
    }
}
