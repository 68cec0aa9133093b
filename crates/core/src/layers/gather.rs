//! Gather: the elements of an axis with the given indices, in the given order; an index may occur several
//! times.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::slice::{axis_of, resized};
use crate::layers::{Arity, AxisReach, Category, Doc, Example, Io, LayerKind, Reach, Values};
use crate::shape::Shape;

/// Largest number of indices that a description lists in full.
const SHOWN: usize = 6;

/// Arguments of `gather`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gather {
    /// The indices, from 0
    pub indices: Vec<u64>,
    /// The axis, not counting the batch: 0 is the channels
    #[serde(default)]
    pub axis: u64,
}

impl LayerKind for Gather {
    const DOC: Doc = Doc {
        name: "gather",
        aliases: &["index_select"],
        category: Category::Shape,
        summary: "chosen indices of the channels, or of another axis",
        formulas: formulas!("as many elements on the axis as there are indices", "0"),
        source: "torch.index_select; ONNX Gather with known indices",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let (axis, size) = axis_of(&inputs[0], self.axis)?;
        if self.indices.is_empty() {
            return Err(Problem::argument("indices", "`indices` is empty").help("name at least one"));
        }
        if let Some(index) = self.indices.iter().find(|&&index| index >= size) {
            let message = format!("`indices` has {index}, but the axis has {size} elements");
            let help = match size.checked_sub(1) {
                Some(last) => format!("the last index is {last}"),
                None => "nothing can be chosen from it".into(),
            };
            return Err(Problem::argument("indices", message).help(help));
        }
        Ok(resized(&inputs[0], axis, self.indices.len() as u64))
    }

    free!();

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        let mut reach = Reach::pointwise(0, io.input().rank());
        let axis = usize::try_from(self.axis).unwrap_or(usize::MAX);
        if let Some(reach) = reach.axes.get_mut(axis) {
            *reach = match (self.indices.as_slice(), io.input().sizes().get(axis)) {
                (_, Some(1)) => AxisReach::Broadcast,
                _ => AxisReach::Table { by: axis, indices: self.indices.clone() },
            };
        }
        vec![reach]
    }

    fn values(&self) -> Values {
        Values::Moved
    }

    fn describe(&self) -> String {
        let axis = if self.axis == 0 { String::new() } else { format!(" axis {}", self.axis) };
        if self.indices.len() > SHOWN {
            return format!("{} indices{axis}", self.indices.len());
        }
        let list: Vec<String> = self.indices.iter().map(u64::to_string).collect();
        format!("{}{axis}", list.join(","))
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{indices: [2, 0, 0, 1]}", &[&[3, 4, 5]]),
            Example::new("{indices: [3, 1], axis: 1}", &[&[2, 5]]),
            Example::new("{indices: [0, 0, 0], axis: 2}", &[&[2, 3, 1]]),
            Example::new("{indices: [1, 4, 0, 2, 6, 3, 5, 6]}", &[&[7]]),
        ]
    }
}
