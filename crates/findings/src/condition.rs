//! Conditions on a change: `params > +5%`, `macs > 4.2G`, `receptive_field < -0`.

use cnnkit_core::diagnostic::{Code, Problem, did_you_mean};
use cnnkit_core::spec::expectation::{EXPECTABLE, Expectable, Quantity, Unit, amount};
use cnnkit_core::value::Number;

/// A condition under which a change is rejected.
#[derive(Debug, Clone)]
pub struct Condition {
    /// As it was written.
    pub text: String,
    quantity: Quantity,
    /// The comparison, and the value to compare with.
    operator: Operator,
    against: Against,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Greater,
    AtLeast,
    Less,
    AtMost,
}

#[derive(Debug, Clone)]
enum Against {
    /// The new value.
    Value(Number),
    /// New minus old.
    Change(Number),
    /// (New minus old) / old.
    Share(Number),
}

/// Returns whether a condition can use this quantity: numbers of the whole network.
fn comparable(expectable: &Expectable) -> bool {
    expectable.network && !matches!(expectable.unit, Unit::Shape | Unit::Flag)
}

impl Condition {
    /// Parses a condition: a quantity, a comparison, and an amount; a sign makes it a change.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        const HELP: &str = "for example `params > +5%`, `macs > 4.2G`, `receptive_field < -0`";
        let wrong = |message: String| Problem::new(Code::InvalidValue, message).help(HELP);
        let (operator, sign) = [
            (Operator::AtLeast, ">="),
            (Operator::AtMost, "<="),
            (Operator::Greater, ">"),
            (Operator::Less, "<"),
        ]
        .into_iter()
        .find(|(_, sign)| text.contains(sign))
        .ok_or_else(|| wrong(format!("`{text}` has no comparison")))?;
        let (name, value) = text.split_once(sign).unwrap_or((text, ""));
        let (name, value) = (name.trim(), value.trim());
        let quantity = EXPECTABLE
            .iter()
            .find(|e| e.name == name && comparable(e))
            .map(|e| e.quantity)
            .ok_or_else(|| {
                let names: Vec<&str> = EXPECTABLE.iter().filter(|e| comparable(e)).map(|e| e.name).collect();
                let help =
                    did_you_mean(name, &names).unwrap_or_else(|| format!("known: {}", names.join(", ")));
                Problem::new(Code::UnknownName, format!("`{name}` cannot be used in a condition")).help(help)
            })?;
        let (signed, digits, factor) = match value.chars().next() {
            Some('+') => (true, &value[1..], 1),
            Some('-') => (true, &value[1..], -1),
            _ => (false, value, 1),
        };
        let unit = quantity.expectable().unit;
        let against = match (signed, digits.trim_end().strip_suffix('%')) {
            (true, Some(share)) => {
                let share = cnnkit_core::value::parse_decimal(share.trim())
                    .ok_or_else(|| wrong(format!("`{value}` is not a number")))?;
                Against::Share(share * factor / 100)
            }
            (false, Some(_)) if unit != Unit::Share => {
                return Err(wrong(format!("a relative change needs a sign: `+{value}`")));
            }
            (signed, _) => {
                let number = amount(unit, digits).map_err(wrong)?;
                if signed { Against::Change(number * factor) } else { Against::Value(number) }
            }
        };
        Ok(Self { text: text.trim().to_owned(), quantity, operator, against })
    }

    /// Returns the quantity that it compares.
    pub fn quantity(&self) -> Quantity {
        self.quantity
    }

    /// Whether it is about a change, which takes two networks.
    pub fn on_change(&self) -> bool {
        !matches!(self.against, Against::Value(_))
    }

    /// Whether it is met on any axis; any growth from 0 meets a relative limit.
    pub fn met(&self, old: &[Number], new: &[Number]) -> bool {
        let zero = Number::from_integer(0);
        new.iter().enumerate().any(|(axis, new)| {
            let old = old.get(axis).copied().unwrap_or(zero);
            match &self.against {
                Against::Value(limit) => self.compare(*new, *limit),
                Against::Change(limit) => self.compare(new - old, *limit),
                Against::Share(limit) if old == zero => *new > zero && self.compare(limit + 1, *limit),
                Against::Share(limit) => self.compare((new - old) / old, *limit),
            }
        })
    }

    fn compare(&self, value: Number, limit: Number) -> bool {
        match self.operator {
            Operator::Greater => value > limit,
            Operator::AtLeast => value >= limit,
            Operator::Less => value < limit,
            Operator::AtMost => value <= limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(text: &str, old: i128, new: i128) -> bool {
        let numbers = |value| vec![Number::from_integer(value)];
        Condition::parse(text).expect("a condition").met(&numbers(old), &numbers(new))
    }

    #[test]
    fn a_sign_makes_it_a_change() {
        assert!(met("params > +5%", 100, 106) && !met("params > +5%", 100, 105));
        assert!(met("params >= +5 %", 100, 105) && !met("params>+5%", 100, 90));
        assert!(met("receptive_field < -0", 10, 9) && !met("receptive_field < -0", 10, 10));
        assert!(met("macs > 1k", 0, 1001) && !met("macs > 1k", 0, 1000));
        assert!(met("memory > +1KiB", 0, 1025) && !met("memory > +1KiB", 1, 1025));
        assert!(met("params > +5%", 0, 1) && !met("params > +5%", 0, 0));
    }

    #[test]
    fn what_makes_no_sense_is_an_error() {
        for text in [
            "",
            "params",
            "params > ",
            "parms > 3",
            "output > 3",
            "params > 5%",
            "params > +x%",
            "params > 3MB",
        ] {
            assert!(Condition::parse(text).is_err(), "{text}");
        }
    }
}
