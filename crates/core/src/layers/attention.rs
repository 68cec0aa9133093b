//! Scaled dot-product attention: each query averages the values, weighted by how well their keys match it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::facets::count;
use crate::layers::{
    Arity, AxisReach, Category, Cost, Doc, Example, Init, Io, LayerKind, Ops, Reach, Role, Weight,
};
use crate::shape::Shape;

/// Number of inputs that are not additive terms: queries, keys, values.
pub const OPERANDS: usize = 3;

/// Arguments of `attention`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attention {
    /// Factor of the scores; 1 / sqrt(d) if not given
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// Shape of a learned tensor added to the scores (relative position bias); axes of size 1 are broadcast
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias: Option<Vec<u64>>,
    /// Shape of a fixed tensor added to the scores (a causal mask, shifted windows); axes of size 1 are broadcast
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<Vec<u64>>,
}

/// The sizes of one use: `queries` vectors of `features` each, `keys` vectors with `values` each, per index
/// of the leading axes.
#[derive(Debug, Clone)]
struct Sizes {
    outer: Vec<u64>,
    queries: u64,
    keys: u64,
    features: u64,
    values: u64,
}

impl Sizes {
    fn scores(&self) -> Shape {
        Shape::new([self.outer.as_slice(), &[self.queries, self.keys]].concat())
    }
}

impl Attention {
    /// Returns the factor of the scores for keys with this number of features.
    pub fn factor(&self, features: u64) -> f64 {
        self.scale.unwrap_or_else(|| 1.0 / (features as f64).sqrt())
    }

    fn sizes(inputs: &[Shape]) -> Result<Sizes, Problem> {
        let [query, key, value, ..] = inputs else {
            let message =
                format!("`attention` reads queries, keys and values, {} inputs are given", inputs.len());
            return Err(Problem::shape(message)
                .help("name all three, for self-attention of projections: `- attention: [q, k, v]`"));
        };
        let rank = query.rank();
        if rank < 2 || key.rank() != rank || value.rank() != rank {
            return Err(Problem::shape(format!(
                "`attention` cannot join queries {query}, keys {key} and values {value}: all need the same number of \
                 axes, at least 2"
            ))
            .help("`reshape` adds axes of size 1"));
        }
        let (q, k, v) = (query.sizes(), key.sizes(), value.sizes());
        let differ = |what: String| {
            Problem::shape(format!(
                "`attention` cannot join queries {query}, keys {key} and values {value}: {what}"
            ))
        };
        let (features, keys) = (q[rank - 1], k[rank - 2]);
        if k[rank - 1] != features {
            let what = format!("queries have {features} features, keys {}", k[rank - 1]);
            return Err(differ(what).help("keys are [..., keys, features]: they are not transposed"));
        }
        if v[rank - 2] != keys {
            return Err(differ(format!("there are {keys} keys for {} values", v[rank - 2]))
                .help("values are [..., keys, features of a value]"));
        }
        let mut outer = Vec::with_capacity(rank - 2);
        for axis in 0..rank - 2 {
            let sizes = [q[axis], k[axis], v[axis]];
            let size = sizes.into_iter().find(|&size| size != 1).unwrap_or(1);
            if sizes.iter().any(|&own| own != 1 && own != size) {
                let [q, k, v] = sizes;
                return Err(differ(format!("axis {axis} differs ({q}, {k} and {v})")));
            }
            outer.push(size);
        }
        Ok(Sizes { outer, queries: q[rank - 2], keys, features, values: v[rank - 1] })
    }

    /// Returns how many tensors are added to the scores.
    fn terms(&self, inputs: usize) -> u64 {
        let own = u64::from(self.bias.is_some()) + u64::from(self.mask.is_some());
        own + inputs.saturating_sub(OPERANDS) as u64
    }
}

fn fits(sizes: &[u64], scores: &Shape) -> bool {
    sizes.len() == scores.rank()
        && sizes.iter().zip(scores.sizes()).all(|(&size, &whole)| size == whole || size == 1)
}

impl LayerKind for Attention {
    const DOC: Doc = Doc {
        name: "attention",
        aliases: &["scaled_dot_product_attention", "sdpa"],
        category: Category::Merge,
        summary: "softmax(scale q k^T + bias + mask) v: each query's mean of the values, weighted by how its scores with \
                  the keys are; further inputs are added to the scores",
        formulas: &[
            ("output", "queries [..., N, d], keys [..., M, d], values [..., M, e]: [..., N, e]; the axes before are equal, or 1 and broadcast"),
            ("params", "prod(bias); prod(mask) in a buffer"),
            ("macs", "N M (d + e) for each index of the axes before"),
            ("other ops", "3 arithmetic operations (softmax), 1 if the scale is not 1, 1 for each tensor that is added; 1 comparison and 1 exponential: a score"),
        ],
        source: "Vaswani et al. 2017, section 3.2.1; PyTorch F.scaled_dot_product_attention; ONNX Attention",
        inputs: Arity::Many,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let sizes = Self::sizes(inputs)?;
        let scores = sizes.scores();
        if let Some(scale) = self.scale.filter(|scale| !scale.is_finite()) {
            let message = format!("`scale` is {scale}, it must be a finite number");
            return Err(Problem::argument("scale", message));
        }
        let own = [("bias", &self.bias), ("mask", &self.mask)];
        for (name, shape) in own.into_iter().filter_map(|(name, shape)| Some((name, shape.as_ref()?))) {
            if !fits(shape, &scores) {
                let given = Shape::from(shape.as_slice());
                let message = format!("`{name}` is {given}, which does not broadcast to the scores {scores}");
                return Err(Problem::argument(name, message).help(
                    "give as many axes as the scores have, the last two queries and keys, each with its size or 1",
                ));
            }
        }
        for (index, term) in inputs.iter().enumerate().skip(OPERANDS) {
            if !fits(term.sizes(), &scores) {
                let message = format!(
                    "input {} of `attention` is {term}, which does not broadcast to the scores {scores}",
                    index + 1
                );
                return Err(Problem::shape(message)
                    .help("inputs after queries, keys and values are added to the scores: `reshape` adds axes of size 1"));
            }
        }
        Ok(Shape::new([sizes.outer.as_slice(), &[sizes.queries, sizes.values]].concat()))
    }

    fn weights(&self, _: Io<'_>) -> Result<Vec<Weight>, Problem> {
        let shape = |sizes: &Vec<u64>| Shape::from(sizes.as_slice());
        let bias = self.bias.as_ref().map(|sizes| Weight::parameter("bias", shape(sizes), Init::Zeros));
        let mask = self.mask.as_ref().map(|sizes| Weight::buffer("mask", shape(sizes), Init::Zeros));
        Ok(bias.into_iter().chain(mask).collect())
    }

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        let sizes = Self::sizes(io.inputs)?;
        let scores = sizes.scores().elements()?;
        let each = sizes.features.checked_add(sizes.values);
        let each = each.ok_or_else(|| Problem::overflow("the number of MACs"))?;
        let steps = 3 + u64::from(self.factor(sizes.features) != 1.0) + self.terms(io.inputs.len());
        let arithmetic = count("the number of operations", &[scores, steps])?;
        Ok(Cost {
            macs: count("the number of MACs", &[scores, each])?,
            ops: Ops { arithmetic, comparisons: scores, functions: scores },
            ..Cost::FREE
        })
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        let rank = io.output.rank();
        let of = |(input, shape): (usize, &Shape)| {
            let axis = |axis: usize| {
                let kept = axis + 2 < rank
                    || match input {
                        0 => axis + 2 == rank,
                        1 => false,
                        2 => axis + 1 == rank,
                        _ => axis + 2 == rank,
                    };
                if !kept {
                    AxisReach::All
                } else if shape.sizes()[axis] == 1 && io.output.sizes()[axis] > 1 {
                    AxisReach::Broadcast
                } else {
                    AxisReach::same(axis)
                }
            };
            Reach { input, role: Role::Local, axes: (0..rank).map(axis).collect() }
        };
        io.inputs.iter().enumerate().map(of).collect()
    }

    computed!();

    fn describe(&self) -> String {
        let scale = self.scale.map(|scale| format!("scale {scale}"));
        let named = |name: &str, shape: &Option<Vec<u64>>| {
            shape.as_ref().map(|shape| format!("{name} {}", Shape::from(shape.as_slice())))
        };
        let parts = [scale, named("bias", &self.bias), named("mask", &self.mask)];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{}", &[&[2, 3, 4], &[2, 5, 4], &[2, 5, 3]]),
            Example::new("{scale: 0.3}", &[&[3, 4], &[2, 4], &[2, 5]]),
            Example::new("{}", &[&[2, 3, 4], &[2, 3, 4], &[2, 3, 4], &[2, 3, 3], &[1, 1, 3]]),
            Example::new("{bias: [1, 2, 3, 3], mask: [2, 1, 3, 3]}", &[&[2, 2, 3, 4], &[2, 2, 3, 4], &[2, 2, 3, 4]]),
            Example::new("{scale: 1, mask: [1, 1, 2]}", &[&[1, 3, 4], &[2, 2, 4], &[2, 2, 4]]),
        ]
    }
}
