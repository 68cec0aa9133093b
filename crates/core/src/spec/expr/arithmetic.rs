//! Operands and operators: what the values of an expression may be combined to.

use num_traits::{CheckedAdd, CheckedDiv, CheckedMul, CheckedSub, ToPrimitive as _, Zero as _};

use super::ExprError;
use super::lexer::{Lexeme, Token};
use crate::value::{Number, Value, show_number};

/// Implements MobileNet's `_make_divisible`: the nearest multiple of `divisor`, at least `divisor`, never under 0.9 x
/// (torchvision models/_utils.py).
pub(super) fn round_to(x: &Number, divisor: &Number) -> Option<Number> {
    let half = divisor.checked_div(&Number::from_integer(2))?;
    let steps = x.checked_add(&half)?.checked_div(divisor)?.floor();
    let rounded = steps.checked_mul(divisor)?.max(*divisor);
    let least = x.checked_mul(&Number::new(9, 10))?;
    if rounded < least { rounded.checked_add(divisor) } else { Some(rounded) }
}

/// A value, with the position of all that it was computed from.
pub(super) struct Operand {
    pub(super) value: Value,
    pub(super) token: Token,
}

impl Operand {
    pub(super) fn number(&self) -> Result<Number, ExprError> {
        match &self.value {
            Value::Number(number) => Ok(*number),
            other => Err(self.token.error(
                format!("expected a number, found {}", other.describe()),
                "arithmetic is for numbers; `a if condition else b` chooses one",
            )),
        }
    }

    pub(super) fn truth(&self) -> Result<bool, ExprError> {
        match &self.value {
            Value::Bool(value) => Ok(*value),
            other => Err(self.token.error(
                format!("expected `true` or `false`, found {}", other.describe()),
                "compare it: `$stride > 1`",
            )),
        }
    }
}

/// Returns the item of a list.
pub(super) fn item<'v>(value: &'v Value, index: &Value, token: &Token) -> Result<&'v Value, ExprError> {
    let help = "the first item is number 0";
    let Value::List(list) = value else {
        return Err(
            token.error(format!("{} is not a list", value.describe()), "only a list has items: `$widths[0]`")
        );
    };
    let Value::Number(at) = index else {
        return Err(token.error(format!("{} is not the number of an item", index.describe()), help));
    };
    let found = if at.is_integer() { at.to_usize().and_then(|i| list.get(i)) } else { None };
    found.map(|item| &item.value).ok_or_else(|| {
        token.error(
            format!("the list has {} items, item {} does not exist", list.len(), show_number(at)),
            help,
        )
    })
}

/// Returns the result of an operator between two numbers.
pub(super) fn arithmetic(left: &Operand, right: &Operand, token: &Token) -> Result<Value, ExprError> {
    let (a, b) = (left.number()?, right.number()?);
    let Lexeme::Symbol(symbol) = token.lexeme else { return Ok(left.value.clone()) };
    if matches!(symbol, "/" | "//" | "%") && b.is_zero() {
        return Err(right
            .token
            .error("division by zero", "the divisor must not be 0: `max(1, ...)` prevents it"));
    }
    let result = match symbol {
        "+" => a.checked_add(&b),
        "-" => a.checked_sub(&b),
        "*" => a.checked_mul(&b),
        "/" => a.checked_div(&b),
        "//" => a.checked_div(&b).map(|quotient| quotient.floor()),
        "%" => {
            let quotient = a.checked_div(&b).map(|quotient| quotient.floor());
            quotient.and_then(|q| q.checked_mul(&b)).and_then(|whole| a.checked_sub(&whole))
        }
        _ => {
            let exponent = if b.is_integer() { b.to_u32().filter(|&e| e <= 128) } else { None };
            let Some(exponent) = exponent else {
                let message = format!("the power {} is not a whole number from 0 to 128", show_number(&b));
                return Err(right.token.error(message, "`1 / x` and a smaller power may do"));
            };
            (0..exponent).try_fold(Number::from_integer(1), |power, _| power.checked_mul(&a))
        }
    };
    result
        .map(Value::Number)
        .ok_or_else(|| token.error("the result is too large", "no real network is this large"))
}
