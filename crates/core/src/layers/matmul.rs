//! Product of two computed matrices, per index of the axes before the last two.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Problem;
use crate::layers::facets::count;
use crate::layers::{Arity, AxisReach, Category, Cost, Doc, Example, Io, LayerKind, Reach, Role};
use crate::shape::Shape;

/// `matmul` has no arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Matmul {}

impl LayerKind for Matmul {
    const DOC: Doc = Doc {
        name: "matmul",
        aliases: &["matrix_product", "bmm"],
        category: Category::Merge,
        summary: "product of two computed matrices [..., M, K] and [..., K, N]",
        formulas: &[
            ("output", "[..., M, N]; the axes before are equal, or 1 and broadcast"),
            ("params", "0"),
            ("macs", "out_elements * K"),
            ("other ops", "0"),
        ],
        source: "PyTorch torch.matmul; ONNX MatMul",
        inputs: Arity::Many,
    };

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let [left, right] = inputs else {
            return Err(Problem::shape(format!("`matmul` multiplies two inputs, {} are given", inputs.len()))
                .help("name two: `- matmul: [a, b]`"));
        };
        let rank = left.rank();
        if rank != right.rank() || rank < 2 {
            return Err(Problem::shape(format!("`matmul` cannot multiply {left} and {right}: both need the same number of axes, at least 2"))
                .help("`reshape` adds axes of size 1"));
        }
        let (a, b) = (left.sizes(), right.sizes());
        if a[rank - 1] != b[rank - 2] {
            return Err(Problem::shape(format!("`matmul` cannot multiply {left} and {right}: {} columns meet {} rows", a[rank - 1], b[rank - 2]))
                .help("`permute` transposes a matrix"));
        }
        let mut sizes = Vec::with_capacity(rank);
        for axis in 0..rank - 2 {
            if a[axis] != b[axis] && a[axis] != 1 && b[axis] != 1 {
                return Err(Problem::shape(format!("`matmul` cannot multiply {left} and {right}: axis {axis} differs ({} and {})", a[axis], b[axis])));
            }
            sizes.push(a[axis].max(b[axis]));
        }
        sizes.extend([a[rank - 2], b[rank - 1]]);
        Ok(Shape::new(sizes))
    }

    weightless!();

    fn cost(&self, io: Io<'_>) -> Result<Cost, Problem> {
        let inner = io.input().sizes().last().copied().unwrap_or(1);
        Ok(Cost { macs: count("the number of MACs", &[io.output.elements()?, inner])?, ..Cost::FREE })
    }

    fn reach(&self, io: Io<'_>) -> Vec<Reach> {
        let rank = io.output.rank();
        let of = |input: usize, whole: usize| {
            let axis = |axis: usize| {
                if axis == whole {
                    AxisReach::All
                } else if io.inputs[input].sizes()[axis] == 1 && io.output.sizes()[axis] > 1 {
                    AxisReach::Broadcast
                } else {
                    AxisReach::same(axis)
                }
            };
            Reach { input, role: Role::Local, axes: (0..rank).map(axis).collect() }
        };
        vec![of(0, rank - 1), of(1, rank - 2)]
    }

    computed!();

    fn describe(&self) -> String {
        String::new()
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{}", &[&[2, 3, 4], &[2, 4, 5]]),
            Example::new("{}", &[&[3, 4], &[4, 2]]),
            Example::new("{}", &[&[1, 3, 4], &[2, 4, 3]]),
        ]
    }
}
