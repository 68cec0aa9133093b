//! Flatten: joins consecutive axes into one, the last varying fastest.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::reshape::{joined_axis, regrouped};
use crate::layers::{Arity, Category, Doc, Example, Io, LayerKind, Reach, Values};
use crate::shape::Shape;

/// Arguments of `flatten`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flatten {
    /// First axis that is joined, not counting the batch: 0 is the channels (PyTorch's start_dim 1)
    #[serde(default)]
    pub start_axis: u64,
    /// Last axis that is joined; the input's last if not given
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_axis: Option<u64>,
}

impl LayerKind for Flatten {
    const DOC: Doc = Doc {
        name: "flatten",
        aliases: &[],
        category: Category::Shape,
        summary: "joins all axes (or those from start_axis to end_axis) into one",
        formulas: formulas!("the product of the joined axes in their place", "0"),
        source: "PyTorch nn.Flatten; ONNX Flatten",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let input = &inputs[0];
        let last = input.rank().saturating_sub(1) as u64;
        let (start, end) = (self.start_axis, self.end_axis.unwrap_or(last));
        for (argument, axis) in [("start_axis", start), ("end_axis", end)] {
            if axis > last {
                return Err(Problem::argument(
                    argument,
                    format!("`{argument}` is {axis}, but the last axis of {input} is {last}"),
                )
                .help("0 is the channel axis"));
            }
        }
        if start > end {
            return Err(Problem::argument("start_axis", format!("`start_axis` {start} is after `end_axis` {end}")));
        }
        let sizes = input.sizes();
        // Both are at most the last axis.
        let place = |axis: u64| usize::try_from(axis).unwrap_or(usize::MAX);
        let (start, after) = (place(start), place(end) + 1);
        let mut output = sizes[..start].to_vec();
        output.push(joined_axis(&sizes[start..after])?);
        output.extend(&sizes[after..]);
        Ok(Shape::new(output))
    }

    free!();

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        vec![regrouped(io)]
    }

    fn values(&self) -> Values {
        Values::Moved
    }

    fn describe(&self) -> String {
        let end = self.end_axis.map(|end| format!(" to axis {end}")).unwrap_or_default();
        if self.start_axis == 0 { end.trim().to_owned() } else { format!("from axis {}{end}", self.start_axis) }
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{}", &[&[3, 4, 5]]),
            Example::new("{start_axis: 1}", &[&[3, 4, 5]]),
            Example::new("{end_axis: 1}", &[&[2, 3, 4, 5]]),
            Example::new("{}", &[&[6, 1, 1]]),
            Example::new("{}", &[&[3, 7]]),
        ]
    }
}
