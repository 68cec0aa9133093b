//! Permute: the axes in another order.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::{Arity, AxisReach, Category, Doc, Example, Io, LayerKind, Reach, Role, Values};
use crate::shape::Shape;

/// Arguments of `permute`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Permute {
    /// The input axis of each output axis, not counting the batch: [1, 2, 0] makes [C, H, W] channels-last
    pub axes: Vec<u64>,
}

impl LayerKind for Permute {
    const DOC: Doc = Doc {
        name: "permute",
        aliases: &["transpose"],
        category: Category::Shape,
        summary: "the axes in another order",
        formulas: formulas!("output axis i is input axis axes[i]", "0"),
        source: "PyTorch permute; ONNX Transpose",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let input = &inputs[0];
        let mut sorted = self.axes.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..input.rank() as u64) {
            let list = self.axes.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
            return Err(Problem::argument(
                "axes",
                format!("`axes` is [{list}], it must name each of the {} axes of {input} once", input.rank()),
            )
            .help("0 is the channel axis; the batch is not counted"));
        }
        let size = |&axis: &u64| usize::try_from(axis).ok().and_then(|axis| input.sizes().get(axis)).copied();
        Ok(Shape::new(self.axes.iter().filter_map(size).collect::<Vec<_>>()))
    }

    free!();

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        let place = |axis: u64| self.axes.iter().position(|&from| from == axis).unwrap_or_default();
        let axes = (0..io.input().rank() as u64).map(|axis| AxisReach::same(place(axis))).collect();
        vec![Reach { input: 0, role: Role::Local, axes }]
    }

    fn values(&self) -> Values {
        Values::Moved
    }

    fn describe(&self) -> String {
        format!("[{}]", self.axes.iter().map(u64::to_string).collect::<Vec<_>>().join(", "))
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{axes: [1, 2, 0]}", &[&[3, 4, 5]]),
            Example::new("{axes: [1, 0]}", &[&[3, 7]]),
            Example::new("{axes: [0, 3, 1, 2]}", &[&[2, 3, 4, 5]]),
        ]
    }
}
