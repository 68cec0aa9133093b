//! Expressions and errors in them.

use super::*;

struct Two;

impl Variables for Two {
    fn get(&self, name: &str) -> Option<&Value> {
        static WIDTH: Value = Value::Bool(true);
        (name == "yes").then_some(&WIDTH)
    }

    fn names(&self) -> Vec<&str> {
        vec!["yes"]
    }
}

fn eval(text: &str) -> Result<Value, String> {
    evaluate(text, &Two).map_err(|error| error.to_string())
}

#[test]
fn precedence_is_pythons() {
    for (text, value) in [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("-2 ** 2", -4),
        ("2 ** 3 ** 2", 512),
        ("7 // 2", 3),
        ("-7 // 2", -4),
        ("-7 % 3", 2),
        ("8 / 4 / 2", 1),
        ("1 if $yes else 2", 1),
        ("1 if not $yes else 2", 2),
        ("3 * 4 / 3", 4),
        ("min(3, 1, 2) + max(1, 2)", 3),
        ("round(2.5) + floor(2.5) + ceil(2.1)", 8),
    ] {
        assert_eq!(eval(text), Ok(Value::integer(value)), "{text}");
    }
}

#[test]
fn widths_round_as_mobilenet_rounds_them() {
    // torchvision _make_divisible(v, 8) for v = 32 * 0.35 ... : computed with torchvision's formula.
    for (x, rounded) in
        [("11.2", 16), ("32", 32), ("12", 16), ("11.9", 16), ("16.8", 16), ("3", 8), ("24.5", 24)]
    {
        assert_eq!(eval(&format!("round_to({x}, 8)")), Ok(Value::integer(rounded)), "{x}");
    }
}

#[test]
fn mistakes_are_named() {
    for (text, message) in [
        ("1 +", "a value is missing at the end"),
        ("1 2", "this is unexpected here"),
        ("$no", "unknown variable `$no`"),
        ("1 / 0", "division by zero"),
        ("10 ** 100", "the result is too large"),
        ("(1", "`)` is missing"),
        ("1 ; 2", "`;` has no meaning in an expression"),
        ("not 3", "expected `true` or `false`, found the number 3"),
        ("f(1)", "unknown function `f`"),
    ] {
        assert_eq!(eval(text), Err(message.to_owned()), "{text}");
    }
    assert!(evaluate(&"(".repeat(10_000), &Two).is_err());
    assert!(evaluate(&"2**".repeat(10_000), &Two).is_err());
    assert!(evaluate(&"-".repeat(100_000), &Two).is_err());
}
