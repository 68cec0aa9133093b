//! Shapes of the inputs, from the spec or from `--input`. Rejects `--input` in the conventions of other tools
//! (with a batch axis, channels last), which would silently build another network.

use crate::diagnostic::{Code, Diagnostic};
use crate::shape::Shape;
use crate::spec::Overrides;
use crate::spec::document::Document;
use crate::spec::evaluate::evaluate;
use crate::spec::grammar::INPUT;
use crate::value::{Key, decode};

/// From this size on, an axis is taken for an image's height or width, not its channels.
const LARGE: u64 = 16;
/// Largest number of channels of an image.
const COLOURS: u64 = 4;

/// Returns the error in the shape `given` for the input `key`, whose shape in the spec is `own`: another
/// number of axes, or the channels last.
pub(super) fn mistaken(key: &Key, own: &[u64], given: &[u64]) -> Option<Diagnostic> {
    let option = |sizes: &[u64]| {
        let list: Vec<String> = sizes.iter().map(u64::to_string).collect();
        let name = if key.name == INPUT { String::new() } else { format!("{}=", key.name) };
        format!("`--input {name}{}`", list.join(","))
    };
    let list = |sizes: &[u64]| format!("{sizes:?}");
    let error = |message: String| Diagnostic::error(Code::Shape, message, None);
    if given.len() != own.len() {
        let message = format!(
            "{} has {} {}, the spec's input {} has {}",
            option(given),
            given.len(),
            if given.len() == 1 { "axis" } else { "axes" },
            list(own),
            own.len()
        );
        let help = match given {
            [_, rest @ ..] if rest.len() == own.len() && rest.first() == own.first() => {
                format!("the batch is not part of the shape: {}", option(rest))
            }
            _ if given.len() + 1 == own.len() && own[1..].len() == given.len() && given.len() > 1 => {
                let whole: Vec<u64> = own.iter().take(1).chain(given).copied().collect();
                format!("the channels come first: {}", option(&whole))
            }
            _ => format!(
                "write {} sizes, channels first and without the batch; a network in another number of dimensions needs \
                 another `input:` in its spec",
                own.len()
            ),
        };
        return Some(error(message).help(help));
    }
    let (&channels, [spatial @ .., last]) = (own.first()?, given) else { return None };
    let channels_last = own.len() > 2
        && channels <= COLOURS
        && *last == channels
        && spatial.iter().all(|&size| size >= LARGE);
    let first: Vec<u64> = std::iter::once(channels).chain(spatial.iter().copied()).collect();
    channels_last.then(|| {
        let message =
            format!("{} has its channels last, the spec's input {} has them first", option(given), list(own));
        error(message).help(format!("write {}", option(&first)))
    })
}

/// Returns the shapes of the inputs of `document`, with their names; none if one of them is wrong.
pub fn input_shapes(document: &Document, overrides: &Overrides) -> Option<Vec<(String, Shape)>> {
    let env = &document.files.first()?.env;
    let shape = |(key, value): &(Key, crate::value::Located)| {
        let replaced = overrides.inputs.iter().rev().find(|(name, _)| name.is_empty() || *name == key.name);
        let sizes = match replaced {
            Some((_, sizes)) => sizes.clone(),
            None => {
                let value = evaluate(value, env).ok()?;
                decode(&value, value.span, "`input`").ok()?
            }
        };
        Some((key.name.clone(), Shape::new(sizes)))
    };
    document.inputs.iter().map(shape).collect()
}
