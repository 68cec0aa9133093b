//! Values along several axes, as text.

use cnnkit_core::number::grouped;

/// Formats one value if all axes agree: `3`, else `3x5`.
pub(crate) fn per_axis(values: &[u64]) -> String {
    match values {
        [first, rest @ ..] if rest.iter().all(|value| value == first) => first.to_string(),
        _ => values.iter().map(u64::to_string).collect::<Vec<_>>().join("x"),
    }
}

/// Formats the size of a box: `13 x 13`.
pub(crate) fn extent(size: &[u64]) -> String {
    size.iter().map(|&side| grouped(side)).collect::<Vec<_>>().join(" x ")
}
