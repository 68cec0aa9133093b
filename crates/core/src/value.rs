//! Values with positions: the arguments of layers, from any source.

mod de;

pub use de::decode;

use num_rational::Ratio;
use num_traits::ToPrimitive as _;

use crate::source::Span;

/// An exact number: `0.25` is one quarter, and `$width / 3` is exact.
pub type Number = Ratio<i128>;

/// A value with its position.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    /// The value.
    pub value: Value,
    /// Its position.
    pub span: Span,
}

/// A key of a mapping with its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The key.
    pub name: String,
    /// Its position.
    pub span: Span,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing: `~`.
    Null,
    /// A truth value.
    Bool(bool),
    /// A number, exact.
    Number(Number),
    /// Text, which may be an expression.
    Text(String),
    /// A list.
    List(Vec<Located>),
    /// A mapping, in its written order.
    Map(Vec<(Key, Located)>),
}

impl Value {
    /// Returns an integer.
    pub fn integer(value: i128) -> Self {
        Self::Number(Number::from_integer(value))
    }

    /// Describes the value, for "expected X, found Y".
    pub fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".into(),
            Self::Bool(value) => format!("`{value}`"),
            Self::Number(value) => format!("the number {}", show_number(value)),
            Self::Text(text) => {
                let short: String = text.chars().take(40).collect();
                format!("the text `{short}{}`", if short.len() < text.len() { "…" } else { "" })
            }
            Self::List(list) => format!("a list of {}", list.len()),
            Self::Map(_) => "a mapping".into(),
        }
    }
}

/// Formats `3`, `0.25`, or `4/3` for a fraction without a short decimal.
pub fn show_number(value: &Number) -> String {
    let decimal = [10, 100, 1000, 10_000, 100_000].iter().any(|power| power % value.denom() == 0);
    match value.to_f64() {
        _ if value.is_integer() => value.to_integer().to_string(),
        Some(number) if decimal => number.to_string(),
        Some(decimal) if *value.denom() > 1000 => decimal.to_string(),
        _ => format!("{}/{}", value.numer(), value.denom()),
    }
}

/// Returns the exact value of a decimal number such as `-0.0125`; `None` if it exceeds 128 bits.
pub fn parse_decimal(text: &str) -> Option<Number> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (digits, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !all(whole) || !all(fraction) || exponent.abs() > 36 {
        return None;
    }
    let numerator: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let scale = exponent - i32::try_from(fraction.len()).ok()?;
    let power = 10i128.checked_pow(scale.unsigned_abs())?;
    let value = if scale < 0 {
        Number::new(numerator, power)
    } else {
        Number::from_integer(numerator.checked_mul(power)?)
    };
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact() {
        assert_eq!(parse_decimal("0.25"), Some(Number::new(1, 4)));
        assert_eq!(parse_decimal("-1.5e2"), Some(Number::from_integer(-150)));
        assert_eq!(parse_decimal("1e-5"), Some(Number::new(1, 100_000)));
        for bad in ["", ".", "1.2.3", "0x10", "1e400", "99999999999999999999999999999999999999999"] {
            assert_eq!(parse_decimal(bad), None, "{bad}");
        }
    }
}
