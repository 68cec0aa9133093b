//! Reshape: the same elements in the same order, with other axes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::rearrange::{Run, runs};
use crate::layers::{Arity, AxisReach, Category, Doc, Example, Io, LayerKind, Reach, Role, Values};
use crate::shape::{Shape, product};

/// Arguments of `reshape`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reshape {
    /// The new axes without the batch; one may be -1 and takes the remaining elements
    pub shape: Vec<i64>,
}

/// Computes the size of an axis that joins these.
pub(super) fn joined_axis(sizes: &[u64]) -> Result<u64, Problem> {
    product(sizes).ok_or_else(|| Problem::overflow("the joined axis"))
}

/// Returns the dependences of a regrouping of axes. The axes fall into the smallest runs with equal products
/// on both sides; an axis that is alone in its run on both sides is a copy. The channels of a run are still
/// known in blocks, because they vary slowest; any other axis of a mixed run may be read anywhere.
pub(super) fn regrouped(io: Io<'_>) -> Reach {
    let (input, output) = (io.input().sizes(), io.output.sizes());
    let mut axes: Vec<AxisReach> =
        input.iter().map(|&size| if size == 1 { AxisReach::Broadcast } else { AxisReach::All }).collect();
    for Run { input: from, output: to } in runs(input, output) {
        let (axis, by) = (from[0], to[0]);
        let (size, blocks) = (input[axis], output[by]);
        if from.len() == 1 && to.len() == 1 {
            axes[axis] = AxisReach::same(by);
        } else if axis == 0 && blocks > 0 && size > 0 {
            if size.is_multiple_of(blocks) {
                axes[0] = AxisReach::Blocks { by, outputs: 1, inputs: size / blocks };
            } else if blocks.is_multiple_of(size) {
                axes[0] = AxisReach::Blocks { by, outputs: blocks / size, inputs: 1 };
            }
        }
    }
    Reach { input: 0, role: Role::Local, axes }
}

impl LayerKind for Reshape {
    const DOC: Doc = Doc {
        name: "reshape",
        aliases: &["view", "unflatten"],
        category: Category::Shape,
        summary: "the same elements in the same order, with other axes",
        formulas: formulas!("shape; a -1 is in_elements / prod(the others)", "0"),
        source: "PyTorch reshape; ONNX Reshape",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let input = &inputs[0];
        let fail = |message: String| Err(Problem::argument("shape", message));
        if self.shape.is_empty() || self.shape.len() > 8 {
            return fail(format!("`shape` has {} axes, it must have 1 to 8", self.shape.len()));
        }
        if let Some(bad) = self.shape.iter().find(|&&size| size == 0 || size < -1) {
            return fail(format!("`shape` contains {bad}, sizes are at least 1, or -1 for what is left"));
        }
        if self.shape.iter().filter(|&&size| size == -1).count() > 1 {
            return fail("`shape` contains -1 more than once".into());
        }
        let elements = input.elements()?;
        let known: Vec<u64> = self.shape.iter().filter_map(|&size| u64::try_from(size).ok()).collect();
        let rest = joined_axis(&known).map_err(|problem| problem.at("shape"))?;
        let open = known.len() < self.shape.len();
        if (open && !elements.is_multiple_of(rest)) || (!open && elements != rest) {
            let wanted = if open { format!("a multiple of {rest}") } else { rest.to_string() };
            return Err(Problem::argument("shape", format!("{input} has {elements} elements, `shape` needs {wanted}"))
                .help("the batch is not part of `shape`; -1 takes what is left"));
        }
        Ok(Shape::new(
            self.shape.iter().map(|&size| u64::try_from(size).unwrap_or(elements / rest)).collect::<Vec<_>>(),
        ))
    }

    free!();

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        vec![regrouped(io)]
    }

    fn values(&self) -> Values {
        Values::Moved
    }

    fn describe(&self) -> String {
        format!("to [{}]", self.shape.iter().map(i64::to_string).collect::<Vec<_>>().join(", "))
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{shape: [2, 3, 20]}", &[&[6, 4, 5]]),
            Example::new("{shape: [-1]}", &[&[6, 4]]),
            Example::new("{shape: [8, 1, 2, 2]}", &[&[32]]),
            Example::new("{shape: [6, -1]}", &[&[6, 2, 2, 3]]),
        ]
    }
}
