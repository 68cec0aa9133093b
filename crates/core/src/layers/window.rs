//! Sliding windows: the only copy of kernel, stride, padding and dilation arithmetic.

use num_integer::Integer as _;
use serde::Serialize;

use crate::diagnostic::Problem;

/// A window along one axis: it reads `kernel` elements, `dilation` apart, and moves by `stride`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Window {
    /// Taps; at least 1.
    pub kernel: u64,
    /// Step between neighbouring outputs; at least 1.
    pub stride: u64,
    /// Distance between taps; at least 1.
    pub dilation: u64,
    /// Elements added before the first; negative for a crop.
    pub before: i64,
    /// Elements added after the last; negative for a crop.
    pub after: i64,
}

impl Window {
    /// The window that reads the element at its own position.
    pub const POINT: Self = Self { kernel: 1, stride: 1, dilation: 1, before: 0, after: 0 };

    /// Computes the distance from the first to the last tap, plus one: `dilation * (kernel - 1) + 1`.
    pub fn extent(&self) -> Result<u64, Problem> {
        self.dilation
            .checked_mul(self.kernel.saturating_sub(1))
            .and_then(|reach| reach.checked_add(1))
            .filter(|&extent| i64::try_from(extent).is_ok())
            .ok_or_else(|| Problem::overflow("the extent of the dilated kernel"))
    }

    /// Computes the outputs on an axis of `size` elements:
    /// `floor((size + before + after - extent) / stride) + 1`.
    pub fn output(&self, size: u64) -> Result<u64, Problem> {
        one_more(self.slots(size)? / self.stride)
    }

    /// Computes the outputs when the last, incomplete window counts (`ceil_mode`), provided that it starts
    /// inside the input or the padding before it. PyTorch's rule (`pooling_output_shape`): with a stride
    /// above 1 the only window may be incomplete, too, so an axis shorter than the kernel can have one
    /// output.
    pub fn output_ceil(&self, size: u64) -> Result<u64, Problem> {
        let stride = i128::from(self.stride);
        let room =
            i128::from(size) + i128::from(self.before) + i128::from(self.after) - i128::from(self.extent()?);
        let outputs = (room + stride - 1).div_euclid(stride) + 1;
        let inside = (outputs - 1) * stride < i128::from(size) + i128::from(self.before);
        match u64::try_from(if inside { outputs } else { outputs - 1 }) {
            Ok(outputs @ 1..) => Ok(outputs),
            // The ordinary case returns the right error.
            _ => self.output(size),
        }
    }

    /// Computes how far the window can move: `size + before + after - extent`.
    fn slots(&self, size: u64) -> Result<u64, Problem> {
        let padded = i128::from(size) + i128::from(self.before) + i128::from(self.after);
        let extent = self.extent()?;
        u64::try_from(padded - i128::from(extent)).map_err(|_| {
            let dilated = match self.dilation {
                1 => format!("the kernel of {}", self.kernel),
                rate => format!("the kernel of {} with dilation {rate} spans {extent}, which", self.kernel),
            };
            let padding = self.before + self.after;
            let padding = if padding == 0 { String::new() } else { format!(" (padding {padding} included)") };
            Problem::shape(format!("{dilated} is larger than the {padded} elements of the axis{padding}"))
                .help("use a smaller kernel, more padding, or a larger input")
        })
    }

    /// Computes the outputs of the transposed convolution:
    /// `(size - 1) * stride - before - after + extent + output_padding`.
    pub fn transposed_output(&self, size: u64, output_padding: u64) -> Result<u64, Problem> {
        let grown = i128::from(size.saturating_sub(1)) * i128::from(self.stride);
        let total = grown - i128::from(self.before) - i128::from(self.after)
            + i128::from(self.extent()?)
            + i128::from(output_padding);
        if total < 1 {
            return Err(Problem::shape(format!(
                "the padding leaves {total} elements of the transposed convolution"
            ))
            .help("use less padding"));
        }
        u64::try_from(total).map_err(|_| Problem::overflow("the output size"))
    }

    /// Returns the fewest and the most taps that contribute to an output of the transposed convolution, away
    /// from the borders. Tap `t` contributes to the outputs `dilation * t` modulo the stride, so to each
    /// contribute `kernel / stride` taps if the dilation and the stride are coprime.
    pub fn overlap(&self) -> (u64, u64) {
        // Only every gcd-th phase has taps, and consecutive taps go round these phases in turn.
        let common = self.dilation.gcd(&self.stride);
        let phases = self.stride / common;
        let fewest = if common == 1 { self.kernel / phases } else { 0 };
        (fewest, self.kernel.div_ceil(phases))
    }
}

fn one_more(steps: u64) -> Result<u64, Problem> {
    steps.checked_add(1).ok_or_else(|| Problem::overflow("the output size"))
}

/// Returns the padding before and after that keeps `ceil(size / stride)` outputs (TensorFlow's and ONNX's
/// `SAME_UPPER`; at stride 1 it is PyTorch's `same`): an odd element goes after, or before with `lower`.
pub fn same_padding(size: u64, extent: u64, stride: u64, lower: bool) -> (u64, u64) {
    let outputs = size.div_ceil(stride);
    let needed = u128::from(outputs.saturating_sub(1)) * u128::from(stride) + u128::from(extent);
    let total = u64::try_from(needed.saturating_sub(u128::from(size))).unwrap_or(u64::MAX);
    let less = total / 2;
    if lower { (total - less, less) } else { (less, total - less) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceil_mode_drops_a_window_that_starts_in_the_padding_after() {
        // PyTorch: MaxPool2d(2, stride=2, padding=1, ceil_mode=True) on 5 -> 3, MaxPool2d(3, 2, ceil_mode=True) on 112 -> 56
        let window = Window { kernel: 2, stride: 2, dilation: 1, before: 1, after: 1 };
        assert_eq!(window.output_ceil(5).ok(), Some(3));
        let window = Window { kernel: 3, stride: 2, dilation: 1, before: 0, after: 0 };
        assert_eq!(window.output_ceil(112).ok(), Some(56));
        // SqueezeNet 1.1 runs at 17 x 17 (torchvision's min_size): its last pool has 2 elements under a
        // kernel of 3.
        assert_eq!(window.output_ceil(2).ok(), Some(1));
        assert!(window.output_ceil(1).is_err());
        assert_eq!(window.output(112).ok(), Some(55));
    }

    #[test]
    fn overlap_counts_what_marking_every_tap_counts() {
        for kernel in 1..9 {
            for stride in 1..7 {
                for dilation in 1..7 {
                    let mut met = vec![0u64; stride as usize];
                    (0..kernel).for_each(|t| met[(dilation * t % stride) as usize] += 1);
                    let window = Window { kernel, stride, dilation, before: 0, after: 0 };
                    let expected = (met.iter().min().copied(), met.iter().max().copied());
                    let (fewest, most) = window.overlap();
                    assert_eq!((Some(fewest), Some(most)), expected, "{window:?}");
                }
            }
        }
    }

    #[test]
    fn same_padding_puts_the_odd_element_after() {
        assert_eq!(same_padding(8, 4, 1, false), (1, 2));
        assert_eq!(same_padding(8, 4, 1, true), (2, 1));
        assert_eq!(same_padding(224, 3, 2, false), (0, 1));
        assert_eq!(same_padding(321, 3, 2, false), (1, 1));
        assert_eq!(same_padding(7, 1, 2, false), (0, 0));
    }
}
