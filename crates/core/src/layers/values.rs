//! What layers do to values, and bounds of them.

/// No bounds.
pub const UNBOUNDED: [f64; 2] = [f64::NEG_INFINITY, f64::INFINITY];

/// Everything that is not negative.
pub const NOT_NEGATIVE: [f64; 2] = [0.0, f64::INFINITY];

/// What a layer does to values. Bounds are the least and the largest value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Values {
    /// Every element of the output is an element of an input, or a zero of its own.
    Moved,
    /// Every element is a function of the element in its place, and perhaps of weights.
    Mapped {
        /// Whether 0 becomes 0.
        zero: bool,
        /// Bounds of what it gives.
        range: [f64; 2],
        /// Inputs that it returns unchanged: an interval with its ends.
        fixed: Option<[f64; 2]>,
    },
    /// An element may depend on several, within these bounds.
    Computed {
        /// Bounds of what it gives.
        range: [f64; 2],
    },
}

impl Values {
    /// Computed from several elements; nothing bounds them.
    pub const COMPUTED: Self = Self::Computed { range: UNBOUNDED };

    /// The input as it is.
    pub const SAME: Self = Self::Mapped { zero: true, range: UNBOUNDED, fixed: Some(UNBOUNDED) };

    /// Bounds of the values that it gives.
    pub fn range(&self) -> [f64; 2] {
        match *self {
            Self::Moved => UNBOUNDED,
            Self::Mapped { range, .. } | Self::Computed { range } => range,
        }
    }

    /// Whether it returns everything between these bounds unchanged.
    pub fn keeps(&self, [least, most]: [f64; 2]) -> bool {
        matches!(*self, Self::Mapped { fixed: Some([from, to]), .. } if from <= least && most <= to)
    }
}
