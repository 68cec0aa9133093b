//! One axis of a layer's reach as an eventually periodic relation: which input indices does output index `u` read?
//!
//! Every window, transposed window, resize and adaptive pool is periodic: after `period` outputs, the same pattern
//! appears `advance` inputs further on. Within a period each output reads an arithmetic progression. The
//! receptive-field algebra needs nothing else, forwards (boxes, moments) and backwards (exact sets).

use num_integer::Integer as _;

use crate::diagnostic::{Code, Problem};
use crate::layers::upsample::{KEYS, cubic};
use crate::layers::window::Window;
use crate::layers::{AxisReach, Taps};

/// Maximum number of phases of one relation or family; beyond it, only the units of the real map are exact.
pub const MAX_PHASES: i128 = 4096;

/// How the index along one input axis depends on an output element.
#[derive(Debug, Clone, PartialEq)]
pub enum Link {
    /// Every index of the axis.
    All,
    /// Index 0, for every output.
    First,
    /// A periodic relation to the index along one output axis.
    By(Relation),
}

/// A periodic relation between an output axis and an input axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Relation {
    /// The output axis.
    pub by: usize,
    /// Number of outputs after which the pattern repeats; at least 1.
    pub period: i128,
    /// Inputs by which the pattern has moved after one period; at least 1.
    pub advance: i128,
    /// One entry per phase, `period` in total.
    pub reads: Vec<Reads>,
}

/// The indices that one output reads: `first + step * t` for `t` in `0..count`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reads {
    /// The smallest index.
    pub first: i128,
    /// Distance between neighbours; at least 1.
    pub step: i128,
    /// Number of indices; 0 in a gap of a transposed convolution.
    pub count: i128,
    /// Where between the two middle indices of an interpolation its output lies, from 0 to 1; none where all weights are
    /// equal.
    pub blend: Option<f64>,
}

impl Reads {
    fn run(first: i128, step: i128, count: i128) -> Self {
        Self { first, step, count, blend: None }
    }

    /// Returns the weight of each index where an interpolation fixes them: those of a cubic one by their size, because
    /// the outer ones are negative.
    pub fn weights(&self) -> Option<Vec<f64>> {
        let at = self.blend?;
        if self.count == 2 {
            return Some(vec![1.0 - at, at]);
        }
        let sizes = [1.0 + at, at, 1.0 - at, 2.0 - at].map(|distance| cubic(distance, KEYS).abs());
        let total: f64 = sizes.iter().sum();
        Some(sizes.map(|size| size / total).to_vec())
    }

    /// Returns whether some index lies on an axis of `size` elements.
    pub fn meets(&self, size: u64) -> bool {
        let step = self.step.max(1);
        // The first nonnegative index.
        let skipped = (-self.first).max(0);
        let t = skipped.div_euclid(step) + i128::from(skipped % step != 0);
        t < self.count && t.checked_mul(step).is_some_and(|far| self.first + far < i128::from(size))
    }

    /// Returns the largest index; `None` if nothing is read or the number overflows.
    pub fn last(&self) -> Option<i128> {
        if self.count == 0 { None } else { self.step.checked_mul(self.count - 1)?.checked_add(self.first) }
    }
}

impl Link {
    /// Returns the relation of one axis. A shuffle, a table or a place in a group has none: it counts as reading the whole axis.
    /// An error if the pattern repeats only after more than 65,536 outputs.
    pub fn new(reach: &AxisReach) -> Result<Self, Problem> {
        Ok(match *reach {
            AxisReach::All
            | AxisReach::Shuffle { .. }
            | AxisReach::Table { .. }
            | AxisReach::Within { .. } => Self::All,
            AxisReach::Broadcast => Self::First,
            AxisReach::Window { by, window } => Self::By(Relation::window(by, window)),
            AxisReach::Transposed { by, window } => Self::By(Relation::transposed(by, window)?),
            AxisReach::Blocks { by, outputs, inputs } => {
                let (period, advance) = (i128::from(outputs.max(1)), i128::from(inputs.max(1)));
                Self::By(Relation::periodic(by, period, advance, |_| Reads::run(0, 1, advance))?)
            }
            AxisReach::Adaptive { output: 1, .. } => Self::All,
            AxisReach::Adaptive { by, input, output } => {
                let (n, m) = (i128::from(input.max(1)), i128::from(output.max(1)));
                let common = n.gcd(&m);
                Self::By(Relation::periodic(by, m / common, n / common, |u| {
                    let (from, to) = ((u * n).div_euclid(m), ((u + 1) * n + m - 1).div_euclid(m));
                    Reads::run(from, 1, to - from)
                })?)
            }
            // A single element is the only one to read; PyTorch's scale is 0 with aligned corners and one output.
            AxisReach::Resize { input: 0 | 1, .. }
            | AxisReach::Resize {
                output: 0 | 1,
                taps: Taps::Linear | Taps::Cubic,
                align_corners: true,
                ..
            } => Self::First,
            AxisReach::Resize { by, input, output, taps, align_corners } => {
                Self::By(Relation::resize(by, input, output, taps, align_corners)?)
            }
            AxisReach::Reflected { by, before } => Self::By(Relation {
                by,
                period: 1,
                advance: 1,
                reads: vec![Reads::run(-i128::from(before), 1, 1)],
            }),
        })
    }
}

impl Relation {
    fn window(by: usize, window: Window) -> Self {
        let reads =
            Reads::run(-i128::from(window.before), i128::from(window.dilation), i128::from(window.kernel));
        Self { by, period: 1, advance: i128::from(window.stride.max(1)), reads: vec![reads] }
    }

    fn periodic(
        by: usize,
        period: i128,
        advance: i128,
        reads: impl Fn(i128) -> Reads,
    ) -> Result<Self, Problem> {
        if period > MAX_PHASES * 16 {
            return Err(Problem::new(
                Code::Limit,
                format!("not supported: a resampling pattern that repeats only after {period} elements"),
            )
            .help("the receptive field is computed for patterns of at most 65,536 elements"));
        }
        Ok(Self { by, period, advance, reads: (0..period).map(reads).collect() })
    }

    /// Computes all `i` with `i * stride - before + dilation * t == u`: `t` runs through one residue class modulo
    /// `stride / gcd(stride, dilation)`, and `i` falls by `dilation / gcd` from one to the next.
    fn transposed(by: usize, window: Window) -> Result<Self, Problem> {
        let (stride, dilation) = (i128::from(window.stride.max(1)), i128::from(window.dilation.max(1)));
        let (kernel, before) = (i128::from(window.kernel), i128::from(window.before));
        let common = stride.gcd(&dilation);
        let class = stride / common;
        Self::periodic(by, stride, 1, |u| {
            let hit = (0..class.min(kernel)).find(|t| (u + before - dilation * t).rem_euclid(stride) == 0);
            let Some(t) = hit else { return Reads::run(0, 1, 0) };
            let count = (kernel - 1 - t) / class + 1;
            let (highest, step) = ((u + before - dilation * t).div_euclid(stride), dilation / common);
            Reads::run(highest - step * (count - 1), step, count)
        })
    }

    /// Implements PyTorch's `interpolate`: nearest reads `floor(u * n / m)`; linear mixes the neighbours of `(u +
    /// 0.5) * n / m - 0.5`, or of `u * (n - 1) / (m - 1)` with aligned corners; cubic two neighbours to each side.
    fn resize(by: usize, input: u64, output: u64, taps: Taps, corners: bool) -> Result<Self, Problem> {
        let (mut n, mut m) = (i128::from(input.max(1)), i128::from(output.max(1)));
        if taps != Taps::Nearest && corners {
            (n, m) = (n - 1, m - 1);
        }
        let common = n.gcd(&m);
        (n, m) = (n / common, m / common);
        Self::periodic(by, m, n, |u| {
            if taps == Taps::Nearest {
                return Reads::run((u * n).div_euclid(m), 1, 1);
            }
            let (top, bottom) = if corners { (u * n, m) } else { ((2 * u + 1) * n - m, 2 * m) };
            let (first, rest) = (top.div_euclid(bottom), top.rem_euclid(bottom));
            if rest == 0 {
                Reads::run(first, 1, 1)
            } else {
                let blend = Some(rest as f64 / bottom as f64);
                match taps {
                    Taps::Cubic => Reads { first: first - 1, step: 1, count: 4, blend },
                    Taps::Linear | Taps::Nearest => Reads { first, step: 1, count: 2, blend },
                }
            }
        })
    }

    /// Returns the indices that output `u` reads; `None` if the numbers overflow.
    pub fn at(&self, u: i128) -> Option<Reads> {
        let phase = usize::try_from(u.rem_euclid(self.period)).ok()?;
        let moved = u.div_euclid(self.period).checked_mul(self.advance)?;
        let reads = self.reads[phase];
        Some(Reads { first: reads.first.checked_add(moved)?, ..reads })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indices(reach: &AxisReach, u: i128) -> Vec<i128> {
        match Link::new(reach) {
            Ok(Link::By(relation)) => {
                let reads = relation.at(u).expect("small numbers");
                (0..reads.count).map(|t| reads.first + reads.step * t).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn transposed_is_the_inverse_of_the_window() {
        for (kernel, stride, dilation, before) in
            [(3, 2, 1, 1), (2, 3, 1, 0), (4, 2, 3, 2), (3, 4, 2, 1), (5, 1, 2, 3)]
        {
            let window = Window { kernel, stride, dilation, before, after: 0 };
            for u in -12..12 {
                let expected: Vec<i128> = (-40..40)
                    .filter(|i| {
                        (0..kernel).any(|t| {
                            i * i128::from(stride) - i128::from(before) + i128::from(dilation * t) == u
                        })
                    })
                    .collect();
                assert_eq!(
                    indices(&AxisReach::Transposed { by: 1, window }, u),
                    expected,
                    "{window:?} at {u}"
                );
            }
        }
    }

    #[test]
    fn resizing_by_two() {
        let resize =
            |taps, align_corners| AxisReach::Resize { by: 1, input: 4, output: 8, taps, align_corners };
        assert_eq!(indices(&resize(Taps::Nearest, false), 5), [2]);
        assert_eq!(indices(&resize(Taps::Linear, false), 1), [0, 1]);
        assert_eq!(indices(&resize(Taps::Linear, false), 2), [0, 1]);
        assert_eq!(indices(&resize(Taps::Linear, true), 7), [3]);
        assert_eq!(indices(&resize(Taps::Linear, true), 2), [0, 1]);
        assert_eq!(indices(&resize(Taps::Cubic, false), 3), [0, 1, 2, 3]);
        assert_eq!(indices(&resize(Taps::Cubic, true), 7), [3]);
    }
}
