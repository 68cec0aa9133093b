//! Sum of several inputs, optionally weighted: the end of a residual block (He et al. 2016).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::facets::count;
use crate::layers::{
    Arity, AxisReach, Category, Cost, Doc, Example, Io, LayerKind, Ops, Reach, Role,
};
use crate::shape::Shape;

/// Arguments of `add`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// A constant factor for each input; all 1 if not given
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Vec<f64>>,
}

/// Returns the common shape of inputs that are merged element by element: equal, or broadcast along axes of
/// size 1.
pub(super) fn broadcast(name: &str, inputs: &[Shape]) -> Result<Shape, Problem> {
    let rank = inputs.iter().map(Shape::rank).max().unwrap_or(0);
    let list = || inputs.iter().map(Shape::to_string).collect::<Vec<_>>().join(" and ");
    if inputs.iter().any(|input| input.rank() != rank) {
        return Err(Problem::shape(format!("`{name}` cannot join {}: they have different numbers of axes", list()))
            .help("a gate needs [C, 1, 1]: use `global_avg_pool: {keepdim: true}`"));
    }
    let mut sizes = Vec::with_capacity(rank);
    for axis in 0..rank {
        let size = inputs.iter().map(|input| input.sizes()[axis]).max().unwrap_or(1);
        if inputs.iter().any(|input| ![1, size].contains(&input.sizes()[axis])) {
            let what = match (axis, rank) {
                (0, _) => "channels",
                (1, 2) => "lengths",
                (1, 3) | (2, 4) => "heights",
                (2, 3) | (3, 4) => "widths",
                (1, 4) => "depths",
                _ => "sizes",
            };
            let found: Vec<String> = inputs.iter().map(|input| input.sizes()[axis].to_string()).collect();
            let help = if axis == 0 {
                "make them equal, for a residual with a 1x1 conv on the shortcut; `concat` joins different channels"
            } else {
                "the paths need the same strides and paddings (`cnnkit sizes` lists the input sizes at which they agree); `crop` or `upsample` can bring them together"
            };
            return Err(Problem::shape(format!(
                "`{name}` cannot join {}: {what} differ ({})",
                list(),
                found.join(" and ")
            ))
            .help(help));
        }
        sizes.push(size);
    }
    Ok(Shape::new(sizes))
}

/// Returns the dependences of an element-wise merge; broadcast inputs have the role `small`.
pub(super) fn joined(io: Io<'_>, small: Role) -> Vec<Reach> {
    let reach = |(index, input): (usize, &Shape)| {
        let spread = |axis: usize| input.sizes()[axis] == 1 && io.output.sizes()[axis] > 1;
        let axes = (0..input.rank())
            .map(|axis| if spread(axis) { AxisReach::Broadcast } else { AxisReach::same(axis) })
            .collect();
        let gate = (1..input.rank()).any(spread);
        Reach { input: index, role: if gate { small } else { Role::Local }, axes }
    };
    io.inputs.iter().enumerate().map(reach).collect()
}

impl LayerKind for Add {
    const DOC: Doc = Doc {
        name: "add",
        aliases: &["sum"],
        category: Category::Merge,
        summary: "sum of the inputs, optionally weighted; axes of size 1 are broadcast",
        formulas: &[
            ("output", "the inputs' common shape"),
            ("params", "0"),
            ("macs", "0"),
            ("other ops", "(inputs - 1) additions an element, and one multiplication an element for each weight other than 1 and -1"),
        ],
        source: "He et al. 2016, section 3; ONNX Add, Sum",
        inputs: Arity::Many,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        if let Some(weights) = &self.weights
            && weights.len() != inputs.len()
        {
            return Err(Problem::argument(
                "weights",
                format!("{} weights for {} inputs", weights.len(), inputs.len()),
            )
            .help("give one weight an input"));
        }
        broadcast("add", inputs)
    }

    weightless!();

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        let scaled = self.weights.iter().flatten().filter(|&&weight| weight.abs() != 1.0).count();
        let steps = (io.inputs.len() - 1 + scaled) as u64;
        let arithmetic = count("the number of operations", &[io.output.elements()?, steps])?;
        Ok(Cost { ops: Ops { arithmetic, ..Ops::default() }, ..Cost::FREE })
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        joined(io, Role::Local)
    }

    computed!();

    fn describe(&self) -> String {
        let weights = self.weights.iter().flatten().map(f64::to_string).collect::<Vec<_>>();
        if weights.is_empty() { String::new() } else { format!("weights {}", weights.join(", ")) }
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{}", &[&[2, 3, 4], &[2, 3, 4]]),
            Example::new("{weights: [1, 0.5, 0.25]}", &[&[3, 4], &[3, 4], &[3, 4]]),
            Example::new("{weights: [1, -1]}", &[&[3, 4], &[3, 1]]),
            Example::new("{}", &[&[2, 3, 4], &[2, 1, 1]]),
        ]
    }
}
