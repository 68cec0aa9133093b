//! Types of whole numbers that stand for real ones.

use super::constant::is_integer;
use super::proto::DataType;

/// What whole numbers stand for: `(number - zero) * scale`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantised {
    /// What one step stands for.
    pub scale: f64,
    /// The number that stands for 0.
    pub zero: f64,
    /// The smallest and the largest number of the type.
    pub range: (f64, f64),
}

impl Quantised {
    /// The whole number that stands for `value`, as QuantizeLinear rounds it.
    pub fn round(&self, value: f32) -> f32 {
        #[expect(clippy::cast_possible_truncation, reason = "the operator computes in f32")]
        let steps = (value / self.scale as f32).round_ties_even();
        let number = f64::from(steps) + self.zero;
        #[expect(clippy::cast_possible_truncation, reason = "at most 16 bits")]
        let whole = number.max(self.range.0).min(self.range.1) as f32;
        whole
    }
}

/// Whether elements of the type are numbers that stand for others: integers, and floats of 8 bits and less.
pub fn stand_for_others(data_type: DataType) -> bool {
    is_integer(data_type) || rounds(data_type)
}

/// Whether numbers of the type have so few bits that a cast to it is a computation.
pub fn rounds(data_type: DataType) -> bool {
    use DataType as D;
    matches!(
        data_type,
        D::Float8e4m3fn
            | D::Float8e4m3fnuz
            | D::Float8e5m2
            | D::Float8e5m2fnuz
            | D::Float4e2m1
            | D::Float8e8m0
    )
}

/// The smallest and the largest number of a type that activations are quantised to.
pub fn range(data_type: DataType) -> Option<(f64, f64)> {
    match data_type {
        DataType::Int8 => Some((-128.0, 127.0)),
        DataType::Uint8 => Some((0.0, 255.0)),
        DataType::Int16 => Some((-32768.0, 32767.0)),
        DataType::Uint16 => Some((0.0, 65535.0)),
        DataType::Int4 => Some((-8.0, 7.0)),
        DataType::Uint4 => Some((0.0, 15.0)),
        DataType::Int2 => Some((-2.0, 1.0)),
        DataType::Uint2 => Some((0.0, 3.0)),
        _ => None,
    }
}
