//! Concatenation along the channels (Inception, DenseNet, U-Net) or another axis.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::{Arity, Category, Doc, Example, Io, LayerKind, Reach, Values};
use crate::shape::Shape;

/// Arguments of `concat`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Concat {
    /// The axis, not counting the batch: 0 is the channels (PyTorch's dim 1)
    #[serde(default)]
    pub axis: u64,
}

impl LayerKind for Concat {
    const DOC: Doc = Doc {
        name: "concat",
        aliases: &["cat", "concatenate"],
        category: Category::Merge,
        summary: "the inputs one after another along the channels",
        formulas: &[
            ("output", "the sum of the inputs' sizes along the axis; the other axes must be equal"),
            ("params", "0"),
            ("macs", "0"),
            ("other ops", "0"),
        ],
        source: "Szegedy et al. 2015 (Inception); Huang et al. 2017 (DenseNet); ONNX Concat",
        inputs: Arity::Many,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let list = || inputs.iter().map(Shape::to_string).collect::<Vec<_>>().join(" and ");
        let axis = usize::try_from(self.axis).unwrap_or(usize::MAX);
        let mut sizes = inputs[0].sizes().to_vec();
        if axis >= sizes.len() {
            return Err(Problem::argument("axis", format!("`axis` is {axis}, but {} has {} axes", inputs[0], sizes.len()))
                .help("0 is the channel axis"));
        }
        for input in &inputs[1..] {
            if input.rank() != sizes.len() {
                return Err(Problem::shape(format!("`concat` cannot join {}: they have different numbers of axes", list())));
            }
            for (i, &size) in input.sizes().iter().enumerate() {
                if i == axis {
                    sizes[i] = sizes[i].checked_add(size).ok_or_else(|| Problem::overflow("the joined size"))?;
                } else if sizes[i] != size {
                    return Err(Problem::shape(format!(
                        "`concat` cannot join {}: axis {i} differs ({} and {size})",
                        list(),
                        sizes[i]
                    ))
                    .help("the paths need the same strides and paddings (`cnnkit sizes` lists the input sizes at which they agree); `crop` or `upsample` can bring them together"));
                }
            }
        }
        Ok(Shape::new(sizes))
    }

    free!();

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        let axis = usize::try_from(self.axis).unwrap_or(usize::MAX);
        let mut offset: i64 = 0;
        let mut reaches = Vec::new();
        for (index, input) in io.inputs.iter().enumerate() {
            reaches.push(Reach::shifted(index, input.rank(), axis, -offset));
            let size = input.sizes().get(axis).copied().unwrap_or(0);
            offset = offset.saturating_add(i64::try_from(size).unwrap_or(i64::MAX));
        }
        reaches
    }

    fn values(&self) -> Values {
        Values::Moved
    }

    fn describe(&self) -> String {
        if self.axis == 0 { String::new() } else { format!("axis {}", self.axis) }
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{}", &[&[2, 3, 4], &[5, 3, 4], &[1, 3, 4]]),
            Example::new("{axis: 1}", &[&[2, 3], &[2, 4]]),
        ]
    }
}
