//! Reduction along some axes: mean, sum, maximum, minimum, Euclidean norm.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::{Arity, AxisReach, Category, Cost, Doc, Example, Io, LayerKind, Ops, Reach, Role};
use crate::shape::Shape;

/// Arguments of `reduce`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reduce {
    /// What is computed from the elements
    #[serde(default)]
    pub reduction: Reduction,
    /// The axes that are reduced, not counting the batch: 0 is the channels
    pub axes: Vec<u64>,
    /// Whether they stay, with size 1
    #[serde(default)]
    pub keepdim: bool,
}

/// What a reduction computes from its elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// Their mean.
    #[default]
    Mean,
    /// Their sum.
    Sum,
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// The root of the sum of their squares.
    L2,
}

impl Reduce {
    /// Returns whether axis `axis` is reduced.
    pub fn reduces(&self, axis: usize) -> bool {
        self.axes.contains(&(axis as u64))
    }
}

impl LayerKind for Reduce {
    const DOC: Doc = Doc {
        name: "reduce",
        aliases: &["reduction"],
        category: Category::Pooling,
        summary: "mean, sum, largest, smallest or Euclidean norm along some axes",
        formulas: formulas!(
            "the input's shape without the axes, or with 1 in their place with keepdim",
            "in_elements arithmetic operations for mean and sum (comparisons for max and min); l2: 2 an element, and 1 root an output"
        ),
        source: "PyTorch torch.mean, sum, amax, amin, linalg.norm; ONNX ReduceMean, ReduceSum, ReduceMax, ReduceMin, ReduceL2",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let input = &inputs[0];
        let rank = input.rank() as u64;
        if self.axes.is_empty() {
            return Err(Problem::argument("axes", "`axes` is empty").help("0 is the channel axis"));
        }
        if let Some(wrong) = self.axes.iter().find(|&&axis| axis >= rank) {
            return Err(Problem::argument("axes", format!("`axes` has {wrong}, but {input} has {rank} axes"))
                .help("0 is the channel axis; the batch is not counted"));
        }
        let kept = input.sizes().iter().enumerate().filter_map(|(axis, &size)| {
            if self.reduces(axis) { self.keepdim.then_some(1) } else { Some(size) }
        });
        let sizes: Vec<u64> = kept.collect();
        // A single number is a list of one.
        Ok(Shape::new(if sizes.is_empty() { vec![1] } else { sizes }))
    }

    weightless!();

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        let (inputs, outputs) = (io.input().elements()?, io.output.elements()?);
        let ops = match self.reduction {
            Reduction::Mean | Reduction::Sum => Ops { arithmetic: inputs, ..Ops::default() },
            Reduction::Max | Reduction::Min => Ops { comparisons: inputs, ..Ops::default() },
            Reduction::L2 => {
                let arithmetic = inputs.checked_mul(2).ok_or_else(|| Problem::overflow("the number of operations"))?;
                Ops { arithmetic, functions: outputs, ..Ops::default() }
            }
        };
        Ok(Cost { ops, ..Cost::FREE })
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        let mut by = 0;
        let axes = (0..io.input().rank())
            .map(|axis| {
                let place = by;
                if !self.reduces(axis) || self.keepdim {
                    by += 1;
                }
                if self.reduces(axis) { AxisReach::All } else { AxisReach::same(place) }
            })
            .collect();
        vec![Reach { input: 0, role: Role::Local, axes }]
    }

    computed!();

    fn describe(&self) -> String {
        let name = match self.reduction {
            Reduction::Mean => "mean",
            Reduction::Sum => "sum",
            Reduction::Max => "max",
            Reduction::Min => "min",
            Reduction::L2 => "l2",
        };
        let axes: Vec<String> = self.axes.iter().map(u64::to_string).collect();
        let keepdim = if self.keepdim { " keepdim" } else { "" };
        format!("{name} over {}{keepdim}", axes.join(", "))
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{axes: [0]}", &[&[3, 4, 5]]),
            Example::new("{reduction: sum, axes: [1, 2], keepdim: true}", &[&[3, 4, 5]]),
            Example::new("{reduction: max, axes: [1]}", &[&[3, 4]]),
            Example::new("{reduction: min, axes: [0, 1]}", &[&[3, 4]]),
            Example::new("{reduction: l2, axes: [2], keepdim: true}", &[&[2, 3, 4]]),
        ]
    }
}
