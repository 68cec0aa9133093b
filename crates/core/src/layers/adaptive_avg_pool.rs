//! Adaptive average pooling (PyTorch's `AdaptiveAvgPool2d`): windows are chosen so that the output has a given size.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use num_integer::Integer as _;

use crate::diagnostic::Problem;
use crate::layers::args::spatial;
use crate::layers::axes::OutputSize;
use crate::layers::facets::count;
use crate::layers::{Arity, AxisReach, Category, Cost, Doc, Example, Io, LayerKind, Ops, Reach, Role};
use crate::shape::Shape;

/// Arguments of `adaptive_avg_pool`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdaptiveAvgPool {
    /// Output size; `~` in a list keeps an axis
    pub output_size: OutputSize,
}

/// Returns the output shape of adaptive pooling.
pub(super) fn adapted(name: &str, size: &OutputSize, input: &Shape) -> Result<Shape, Problem> {
    let mut sizes = vec![input.channels()];
    sizes.extend(size.resolve(spatial(name, input)?)?);
    Ok(Shape::new(sizes))
}

/// Computes how many elements all windows read together. On one axis, the windows
/// `floor(u i / o) .. ceil((u + 1) i / o)` for all `u` have `i + o - gcd(i, o)` elements: they tile the axis,
/// and neighbours share one element wherever a bound is not whole, which is the case at all bounds except
/// `gcd(i, o)` of them (the end included).
pub(super) fn elements_read(io: Io<'_>) -> Result<u64, Problem> {
    let mut factors = vec![io.input().channels()];
    for (&input, &output) in io.input().spatial().iter().zip(io.output.spatial()) {
        let sum = input.checked_add(output).ok_or_else(|| Problem::overflow("the output size"))?;
        factors.push(sum - input.gcd(&output));
    }
    count("the number of operations", &factors)
}

/// Returns the dependences of adaptive pooling.
pub(super) fn adaptive_reach(io: Io<'_>) -> Vec<Reach> {
    let mut axes = vec![AxisReach::same(0)];
    for (i, (&input, &output)) in io.input().spatial().iter().zip(io.output.spatial()).enumerate() {
        axes.push(AxisReach::Adaptive { by: i + 1, input, output });
    }
    vec![Reach { input: 0, role: Role::Local, axes }]
}

/// Returns uses in every form.
pub(super) fn adaptive_examples() -> Vec<Example> {
    vec![
        Example::new("{output_size: 1}", &[&[3, 7, 5]]),
        Example::new("{output_size: [3, 2]}", &[&[2, 7, 5]]),
        Example::new("{output_size: [~, 4]}", &[&[2, 3, 2]]),
        Example::new("{output_size: 2}", &[&[2, 5]]),
        Example::new("{output_size: 2}", &[&[2, 3, 4, 5]]),
    ]
}

impl LayerKind for AdaptiveAvgPool {
    const DOC: Doc = Doc {
        name: "adaptive_avg_pool",
        aliases: &[],
        category: Category::Pooling,
        summary: "mean of windows chosen so that the output has a given size",
        formulas: formulas!(
            "output_size on each spatial axis; output u reads floor(u * in / out) up to ceil((u + 1) * in / out) - 1",
            "channels * prod(in + out - gcd(in, out)): one addition or division an element read"
        ),
        source: "PyTorch nn.AdaptiveAvgPool2d",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        adapted("adaptive_avg_pool", &self.output_size, &inputs[0])
    }

    weightless!();

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        Ok(Cost { ops: Ops { arithmetic: elements_read(io)?, ..Ops::default() }, ..Cost::FREE })
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        adaptive_reach(io)
    }

    computed!();

    fn describe(&self) -> String {
        format!("to {}", self.output_size.describe())
    }

    fn examples() -> Vec<Example> {
        adaptive_examples()
    }
}
