//! Global average pooling (Lin et al. 2014): the mean of each channel over all spatial positions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::args::spatial;
use crate::layers::{Arity, AxisReach, Category, Cost, Doc, Example, Io, LayerKind, Ops, Reach, Role};
use crate::shape::Shape;

/// Arguments of `global_avg_pool`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GlobalAvgPool {
    /// Whether the spatial axes stay, with size 1: `multiply` needs them in a gate, `linear` does not
    #[serde(default)]
    pub keepdim: bool,
}

/// Returns the output shape of a global pool.
pub(super) fn collapsed(name: &str, input: &Shape, keepdim: bool) -> Result<Shape, Problem> {
    let rank = spatial(name, input)?.len();
    let mut sizes = vec![input.channels()];
    sizes.extend(std::iter::repeat_n(1, if keepdim { rank } else { 0 }));
    Ok(Shape::new(sizes))
}

/// Returns the reach of layers in which each channel reads its whole map.
pub(super) fn whole_maps(io: Io<'_>) -> Vec<Reach> {
    let mut axes = vec![AxisReach::All; io.input().rank()];
    axes[0] = AxisReach::same(0);
    vec![Reach { input: 0, role: Role::Local, axes }]
}

/// Returns uses in every form.
pub(super) fn global_examples() -> Vec<Example> {
    vec![
        Example::new("{}", &[&[3, 4, 5]]),
        Example::new("{keepdim: true}", &[&[3, 4, 5]]),
        Example::new("{}", &[&[3, 7]]),
        Example::new("{keepdim: true}", &[&[2, 2, 3, 4]]),
    ]
}

impl LayerKind for GlobalAvgPool {
    const DOC: Doc = Doc {
        name: "global_avg_pool",
        aliases: &["global_average_pool", "gap"],
        category: Category::Pooling,
        summary: "mean of each channel over all of space",
        formulas: formulas!(
            "[channels], so that linear can follow; [channels, 1, ...] with keepdim",
            "in_elements: prod(sizes) - 1 additions and 1 division a channel"
        ),
        source: "Lin et al. 2014 (Network in Network), section 3.2; ONNX GlobalAveragePool",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        collapsed("global_avg_pool", &inputs[0], self.keepdim)
    }

    weightless!();

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        Ok(Cost { ops: Ops { arithmetic: io.input().elements()?, ..Ops::default() }, ..Cost::FREE })
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        whole_maps(io)
    }

    computed!();

    fn describe(&self) -> String {
        if self.keepdim { "keepdim".into() } else { String::new() }
    }

    fn examples() -> Vec<Example> {
        global_examples()
    }
}
