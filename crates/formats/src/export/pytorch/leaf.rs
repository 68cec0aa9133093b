//! One layer in PyTorch: the module it owns, if any, and the expression that calls it.

use crate::export::fold::{Face, Slot};
use cnnkit_core::diagnostic::{Code, Problem};
pub(super) use cnnkit_core::layers::interchange::Binds;

/// A layer in PyTorch.
#[derive(Debug, Clone, Default)]
pub(super) struct Leaf {
    /// The class of its module: `nn.Conv2d`; `None` for a layer that is only an expression.
    pub(super) module: Option<&'static str>,
    /// Its arguments, and the values that the call uses.
    pub(super) args: Vec<Arg>,
    /// The expression. `{self}` is the module, `{0}`, `{1}` are inputs, `{*}` all of them with commas, `{name}` an
    /// argument used in the call.
    pub(super) call: String,
    /// How tightly the expression binds.
    pub(super) binds: Binds,
}

/// An argument.
#[derive(Debug, Clone)]
pub(super) struct Arg {
    /// Its keyword.
    pub(super) name: &'static str,
    /// Its value in Python.
    pub(super) value: String,
    /// PyTorch's default.
    pub(super) default: Option<&'static str>,
    /// Where it is written.
    pub(super) place: Place,
}

/// Where an argument is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// By position, in the constructor.
    Position,
    /// By keyword, in the constructor.
    Keyword,
    /// In the call.
    Call,
}

/// The call of a module with one input.
pub(super) const PLAIN: &str = "{self}({0})";

impl Leaf {
    /// Returns a module of class `module`, called with its input.
    pub(super) fn module(module: &'static str) -> Self {
        Self { module: Some(module), call: PLAIN.into(), ..Self::default() }
    }

    /// Returns an expression.
    pub(super) fn call(call: impl Into<String>) -> Self {
        Self { call: call.into(), ..Self::default() }
    }

    /// Adds a positional argument.
    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.args.push(Arg { name, value: value.to_string(), default: None, place: Place::Position });
        self
    }

    /// Adds a keyword argument, which is omitted where it equals PyTorch's `default`.
    #[must_use]
    pub(super) fn key(mut self, name: &'static str, value: impl ToString, default: &'static str) -> Self {
        self.args.push(Arg { name, value: value.to_string(), default: Some(default), place: Place::Keyword });
        self
    }

    /// Adds a value that the call uses as `{name}`.
    #[must_use]
    pub(super) fn inside(mut self, name: &'static str, value: impl ToString) -> Self {
        self.args.push(Arg { name, value: value.to_string(), default: None, place: Place::Call });
        self
    }

    /// Replaces the call by another expression.
    #[must_use]
    pub(super) fn called(mut self, call: impl Into<String>) -> Self {
        self.call = call.into();
        self
    }

    /// Declares that the expression binds less tightly than a call.
    #[must_use]
    pub(super) fn binding(mut self, binds: Binds) -> Self {
        self.binds = binds;
        self
    }

    /// Returns whether it is a module called with only its input, so that it can be part of an
    /// `nn.Sequential`.
    pub(super) fn is_plain(&self) -> bool {
        self.module.is_some() && self.call == PLAIN
    }

    /// Returns what folding needs to know about it.
    pub(super) fn face(&self) -> Face {
        let slot = |arg: &Arg| Slot {
            name: arg.name.to_owned(),
            value: arg.value.clone(),
            default: arg.default.map(str::to_owned),
            fixed: false,
        };
        let kind = format!("{}|{}", self.module.unwrap_or_default(), self.call);
        Face { kind, slots: self.args.iter().map(slot).collect() }
    }
}

/// Returns an error for something that PyTorch cannot express.
pub(super) fn refuse(what: impl Into<String>, help: impl Into<String>) -> Problem {
    Problem::new(Code::InvalidValue, format!("not supported in PyTorch: {}", what.into())).help(help)
}

/// Formats `3`, or `(1, 7)`.
pub(super) fn tuple<T: PartialEq + ToString>(values: &[T]) -> String {
    match values {
        [first, rest @ ..] if rest.iter().all(|value| value == first) => first.to_string(),
        values => format!("({})", values.iter().map(T::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// Formats a Python tuple, also for equal entries: `(1, 1)`, `(3,)`.
pub(super) fn full_tuple<T: ToString>(values: &[T]) -> String {
    let list = values.iter().map(T::to_string).collect::<Vec<_>>().join(", ");
    if values.len() == 1 { format!("({list},)") } else { format!("({list})") }
}

/// Formats `True` or `False`.
pub(super) fn truth(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

/// Formats a float as Python writes it: `1e-06`, `0.1`, `2.0`.
pub(super) fn float(value: f64) -> String {
    let size = value.abs();
    if !size.is_finite() {
        return format!("float(\"{value}\")");
    }
    if size != 0.0 && !(1e-4..1e16).contains(&size) {
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        return match exponent.strip_prefix('-') {
            Some(digits) => format!("{mantissa}e-{digits:0>2}"),
            None => format!("{mantissa}e+{exponent:0>2}"),
        };
    }
    format!("{value:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_python_does() {
        for (value, text) in
            [(1e-6, "1e-06"), (1e-5, "1e-05"), (0.1, "0.1"), (2.0, "2.0"), (0.0, "0.0"), (1.5e-7, "1.5e-07")]
        {
            assert_eq!(float(value), text);
        }
        assert_eq!(
            (tuple(&[3, 3]), tuple(&[1, 7]), full_tuple(&[3])),
            ("3".into(), "(1, 7)".into(), "(3,)".into())
        );
    }
}
