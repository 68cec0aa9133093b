//! Weights that count as another number of elements than they have: `counts: {bias: 0}`.

use num_traits::ToPrimitive as _;

use super::Expander;
use crate::diagnostic::Code;
use crate::graph::NodeId;
use crate::layers;
use crate::source::Span;
use crate::value::{Key, Located, Value};

/// A weight, what it counts as, and where that is written.
pub(super) type Count = (String, u64, Span);

impl Expander<'_> {
    /// Takes the argument `counts` out of `args`; nothing if it is wrong.
    pub(super) fn counts(&mut self, args: &mut Vec<(Key, Located)>) -> Option<Vec<Count>> {
        let Some(at) = args.iter().position(|(key, _)| key.name == layers::COUNTS) else {
            return Some(vec![]);
        };
        let (_, value) = args.remove(at);
        let help = "name weights, and how many parameters each counts as: `counts: {bias: 0}`";
        let Value::Map(entries) = &value.value else {
            let message = format!("expected weights and their counts, found {}", value.value.describe());
            self.report(Code::InvalidValue, message, value.span, help);
            return None;
        };
        let mut counts = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let number = match &value.value {
                Value::Number(number) if number.is_integer() => number.to_u64(),
                _ => None,
            };
            let Some(number) = number else {
                let message = format!("expected a number of elements, found {}", value.value.describe());
                self.report(Code::InvalidValue, message, value.span, help);
                return None;
            };
            counts.push((key.name.clone(), number, key.span));
        }
        Some(counts)
    }

    /// Says what the weights of `node` count as.
    pub(super) fn counted(&mut self, node: NodeId, counts: &[Count]) {
        for (name, elements, span) in counts {
            if let Err(names) = self.builder.count_named(node, name, *elements) {
                let message = format!("this layer has no weight `{name}`");
                let help = match names.as_slice() {
                    [] => "it has none".to_owned(),
                    names => format!("it has {}", names.join(", ")),
                };
                self.report(Code::UnknownName, message, *span, &help);
            }
        }
    }
}
