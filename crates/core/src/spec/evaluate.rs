//! Evaluation of the expressions in a value.

use std::sync::Arc;

use crate::diagnostic::{Code, Diagnostic};
use crate::source::Span;
use crate::spec::env::Env;
use crate::spec::expr::{self, ExprError};
use crate::value::{Located, Value};

/// Why a value could not be evaluated.
#[derive(Debug)]
pub enum Unevaluated {
    /// Everything that is wrong in it.
    Flaws(Vec<Diagnostic>),
    /// Nothing but variables whose own errors were reported already.
    Reported,
}

impl Unevaluated {
    /// Returns the flaws that were not reported already.
    pub fn into_flaws(self) -> Vec<Diagnostic> {
        match self {
            Self::Flaws(flaws) => flaws,
            Self::Reported => vec![],
        }
    }
}

/// Evaluates every expression in `value`.
pub fn evaluate(value: &Located, env: &Arc<Env>) -> Result<Located, Unevaluated> {
    let span = value.span;
    let value = match &value.value {
        Value::Text(text) if expr::is_expression(text) => match expr::evaluate(text, env.as_ref()) {
            Ok(value) => value,
            Err(error) => {
                let flaw = expression_error(error, text, span);
                return Err(flaw.map_or(Unevaluated::Reported, |flaw| Unevaluated::Flaws(vec![flaw])));
            }
        },
        Value::List(items) => Value::List(all(items.iter().map(|item| evaluate(item, env)))?),
        Value::Map(entries) => Value::Map(all(entries
            .iter()
            .map(|(key, value)| evaluate(value, env).map(|value| (key.clone(), value))))?),
        other => other.clone(),
    };
    Ok(Located { value, span })
}

/// Returns all values, or all flaws of those that could not be evaluated.
fn all<T>(results: impl Iterator<Item = Result<T, Unevaluated>>) -> Result<Vec<T>, Unevaluated> {
    let (mut values, mut flaws, mut failed) = (Vec::new(), Vec::new(), false);
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(more) => {
                failed = true;
                flaws.extend(more.into_flaws());
            }
        }
    }
    match (failed, flaws.is_empty()) {
        (false, _) => Ok(values),
        (true, false) => Err(Unevaluated::Flaws(flaws)),
        (true, true) => Err(Unevaluated::Reported),
    }
}

/// Returns an error inside an expression, at its own token if the source contains the text verbatim (unquoted, on one
/// line); `None` if it was reported already.
pub(super) fn expression_error(error: ExprError, text: &str, span: Span) -> Option<Diagnostic> {
    let (code, flaw) = match error {
        ExprError::Flaw(flaw) => (Code::Expression, flaw),
        ExprError::Limit(flaw) => (Code::Limit, flaw),
        ExprError::Reported => return None,
    };
    let place = if span.end - span.start == text.len() {
        Span::new(span.source, span.start + flaw.start, span.start + flaw.start + flaw.len.max(1))
    } else {
        span
    };
    let mut diagnostic = Diagnostic::error(code, flaw.message, place);
    diagnostic.help.extend(flaw.help);
    Some(diagnostic)
}
