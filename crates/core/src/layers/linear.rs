//! Linear map of the last axis (PyTorch's `Linear`): on `[F]` a fully connected layer, on more axes applied
//! at each position.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::args::{expect_size, positive};
use crate::layers::facets::count;
use crate::layers::{
    Arity, AxisReach, Category, Cost, Doc, Example, Init, Io, LayerKind, Ops, Reach, Role, Weight, defaults,
};
use crate::shape::Shape;

/// Arguments of `linear`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Linear {
    /// Size of the output's last axis
    pub out_features: u64,
    /// Whether a bias is added
    #[serde(default = "defaults::yes")]
    pub bias: bool,
    /// Input features: if given, checked against the input's last axis
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_features: Option<u64>,
}

impl Linear {
    /// Adds the probable remedy to the error for a wrong `in_features` on a map: nearly always a `flatten` or
    /// a pool is missing.
    fn unflattened(&self, input: &Shape, problem: Problem) -> Problem {
        let all = input.elements().ok();
        if all.is_some() && all == self.in_features {
            return problem.help(format!("is `flatten` missing? it makes [{}] of {input}", all.unwrap_or(0)));
        }
        if self.in_features == Some(input.channels()) && input.rank() > 2 {
            return problem.help(format!("is `global_avg_pool` missing? it makes [{}] of {input}", input.channels()));
        }
        match all {
            Some(all) => problem.help(format!(
                "`linear` maps the last axis; is `flatten` missing before it? it would give {all} features"
            )),
            None => problem,
        }
    }
}

fn features(input: &Shape) -> u64 {
    input.sizes().last().copied().unwrap_or(1)
}

impl LayerKind for Linear {
    const DOC: Doc = Doc {
        name: "linear",
        aliases: &["dense_layer", "fully_connected", "fc"],
        category: Category::Convolution,
        summary: "linear map of the last axis; on [F] a fully connected layer",
        formulas: &[
            ("output", "the input's shape with its last axis replaced by out_features"),
            ("params", "in_features * out_features + out_features if bias"),
            ("macs", "out_elements * in_features"),
            ("other ops", "out_elements additions if bias"),
        ],
        source: "PyTorch nn.Linear; ONNX Gemm",
        inputs: Arity::One,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let input = &inputs[0];
        expect_size("in_features", self.in_features, features(input), input)
            .map_err(|problem| if input.rank() > 1 { self.unflattened(input, problem) } else { problem })?;
        positive("out_features", self.out_features)?;
        // On [C, H, W] PyTorch would map the width: nearly always a forgotten flatten.
        if input.rank() == 3 && input.sizes()[1..].iter().all(|&size| size == 1) && features(input) == 1 {
            return Err(Problem::shape(format!("`linear` maps the last axis, which has size 1 in {input}"))
                .help(format!("add `- flatten` before it: it makes [{}] of {input}", input.channels())));
        }
        let mut sizes = input.sizes().to_vec();
        if let Some(last) = sizes.last_mut() {
            *last = self.out_features;
        }
        Ok(Shape::new(sizes))
    }

    fn weights(&self, io: Io<'_>) -> Result<Vec<Weight>, Problem> {
        let inputs = features(io.input());
        let mut weights = vec![Weight::parameter("weight", [self.out_features, inputs], Init::FanIn(inputs))];
        if self.bias {
            weights.push(Weight::parameter("bias", [self.out_features], Init::FanIn(inputs)));
        }
        Ok(weights)
    }

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        let outputs = io.output.elements()?;
        let macs = count("the number of MACs", &[outputs, features(io.input())])?;
        let ops = Ops { arithmetic: if self.bias { outputs } else { 0 }, ..Ops::default() };
        Ok(Cost { macs, ops, ..Cost::FREE })
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        let rank = io.input().rank();
        let mut axes: Vec<AxisReach> = (0..rank).map(AxisReach::same).collect();
        if let Some(last) = axes.last_mut() {
            *last = AxisReach::All;
        }
        vec![Reach { input: 0, role: Role::Local, axes }]
    }

    computed!();

    fn describe(&self) -> String {
        format!("{}{}", self.out_features, if self.bias { " bias" } else { "" })
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{out_features: 10}", &[&[32]]),
            Example::new("{out_features: 6, bias: false}", &[&[5, 4, 8]]),
        ]
    }
}
