//! What layers do to values, and bounds on values.

/// No bounds.
pub const UNBOUNDED: [f64; 2] = [f64::NEG_INFINITY, f64::INFINITY];

/// All values of at least 0.
pub const NOT_NEGATIVE: [f64; 2] = [0.0, f64::INFINITY];

/// What a layer does to values. Bounds are the least and the largest value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Values {
    /// Every output element is an element of an input, or a zero.
    Moved,
    /// Every element is a function of the element at its position, and possibly of weights.
    Mapped {
        /// Whether it maps 0 to 0.
        zero: bool,
        /// Bounds of its values.
        range: [f64; 2],
        /// Closed interval of inputs that it returns unchanged.
        fixed: Option<[f64; 2]>,
    },
    /// An element may depend on several elements, within these bounds.
    Computed {
        /// Bounds of its values.
        range: [f64; 2],
    },
}

impl Values {
    /// Computed from several elements, without bounds.
    pub const COMPUTED: Self = Self::Computed { range: UNBOUNDED };

    /// The input unchanged.
    pub const SAME: Self = Self::Mapped { zero: true, range: UNBOUNDED, fixed: Some(UNBOUNDED) };

    /// Returns the bounds of its values.
    pub fn range(&self) -> [f64; 2] {
        match *self {
            Self::Moved => UNBOUNDED,
            Self::Mapped { range, .. } | Self::Computed { range } => range,
        }
    }

    /// Returns whether it returns every value between these bounds unchanged.
    pub fn keeps(&self, [least, most]: [f64; 2]) -> bool {
        matches!(*self, Self::Mapped { fixed: Some([from, to]), .. } if from <= least && most <= to)
    }
}
