//! Softmax over the channels at each position, the last axis, or space.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::args::spatial;
use crate::layers::{Arity, AxisReach, Category, Cost, Doc, Example, Io, LayerKind, Reach, Role, Values};
use crate::shape::Shape;

/// Arguments of `softmax`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Softmax {
    /// What sums to 1
    #[serde(default)]
    pub axis: SoftmaxAxis,
}

/// What a softmax makes sum to 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SoftmaxAxis {
    /// The channels (axis 0) at each position.
    #[default]
    Channels,
    /// The last axis.
    Last,
    /// All positions of each channel.
    Space,
}

impl LayerKind for Softmax {
    const DOC: Doc = Doc {
        name: "softmax",
        aliases: &[],
        category: Category::Activation,
        summary: "exp(x) divided by its sum over the channels (or the last axis, or space)",
        formulas: formulas!("3 arithmetic operations (subtraction of the maximum, sum, division), 1 comparison and 1 exponential an element"),
        source: "Bridle 1990; PyTorch nn.Softmax",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        if self.axis == SoftmaxAxis::Space {
            spatial("softmax", &inputs[0])?;
        }
        Ok(inputs[0].clone())
    }

    weightless!();

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        Cost::pointwise(io.output, 3, 1, 1)
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        let rank = io.input().rank();
        match self.axis {
            SoftmaxAxis::Channels => vec![Reach::across(rank, 0)],
            SoftmaxAxis::Last => vec![Reach::across(rank, rank - 1)],
            SoftmaxAxis::Space => {
                let mut axes = vec![AxisReach::All; rank];
                axes[0] = AxisReach::same(0);
                vec![Reach { input: 0, role: Role::Local, axes }]
            }
        }
    }

    fn values(&self) -> Values {
        Values::Computed { range: [0.0, 1.0] }
    }

    fn describe(&self) -> String {
        match self.axis {
            SoftmaxAxis::Channels => String::new(),
            SoftmaxAxis::Last => "last axis".into(),
            SoftmaxAxis::Space => "over space".into(),
        }
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{}", &[&[10]]),
            Example::new("{axis: last}", &[&[3, 7]]),
            Example::new("{axis: space}", &[&[3, 4, 5]]),
            Example::new("{axis: channels}", &[&[2, 3, 4, 5]]),
        ]
    }
}
