//! The expressions in a value, evaluated.

use std::sync::Arc;

use crate::diagnostic::{Code, Diagnostic};
use crate::source::Span;
use crate::spec::env::Env;
use crate::spec::expr;
use crate::value::{Located, Value};

/// Evaluates every expression in `value`.
pub fn evaluate(value: &Located, env: &Arc<Env>) -> Result<Located, Vec<Diagnostic>> {
    let span = value.span;
    let value = match &value.value {
        Value::Text(text) if expr::is_expression(text) => match expr::evaluate(text, env.as_ref()) {
            Ok(value) => value,
            Err(error) if error.fault == expr::Fault::Follows => return Err(vec![]),
            Err(error) => return Err(vec![expression_error(&error, text, span)]),
        },
        Value::List(items) => Value::List(all(items.iter().map(|item| evaluate(item, env)))?),
        Value::Map(entries) => Value::Map(all(entries
            .iter()
            .map(|(key, value)| evaluate(value, env).map(|value| (key.clone(), value))))?),
        other => other.clone(),
    };
    Ok(Located { value, span })
}

fn all<T>(results: impl Iterator<Item = Result<T, Vec<Diagnostic>>>) -> Result<Vec<T>, Vec<Diagnostic>> {
    let (mut values, mut errors, mut failed) = (Vec::new(), Vec::new(), false);
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(more) => {
                failed = true;
                errors.extend(more);
            }
        }
    }
    if failed { Err(errors) } else { Ok(values) }
}

/// Returns an error inside an expression, at its own token if the source contains the text verbatim (unquoted, on one
/// line).
pub(super) fn expression_error(error: &expr::ExprError, text: &str, span: Span) -> Diagnostic {
    let place = if span.end - span.start == text.len() {
        Span::new(span.source, span.start + error.start, span.start + error.start + error.len.max(1))
    } else {
        span
    };
    let code = if error.fault == expr::Fault::Limit { Code::Limit } else { Code::Expression };
    let mut diagnostic = Diagnostic::error(code, error.message.clone(), place);
    diagnostic.help.extend(error.help.clone());
    diagnostic
}
