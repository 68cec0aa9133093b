//! SELU: the scaled ELU whose activations keep mean 0 and variance 1.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::activation::{Activation, KeptByActivation, Pointwise, RealFunction};
use crate::layers::interchange::{OnnxNode, OnnxOperator, PyTorch};
use crate::layers::{Arity, Category, Doc, Example, LayerKind, PointwiseKind};

/// `selu` has no arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Selu {}

impl LayerKind for Selu {
    const DOC: Doc = Doc {
        name: "selu",
        aliases: &[],
        category: Category::Activation,
        summary: "1.0507 * (x for x > 0, 1.6733 * (exp(x) - 1) below)",
        formulas: formulas!("3 arithmetic operations, 1 comparison and 1 exponential an element"),
        source: "Klambauer et al. 2017; PyTorch nn.SELU",
        inputs: Arity::One,
    };

    elementwise!(3, 1, 1);

    fn describe(&self) -> String {
        String::new()
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("{}", &[&[3, 4, 5]]),
            Example::new("{}", &[&[7]]),
            Example::new("{}", &[&[2, 3, 4, 5]]),
        ]
    }
}

/// The factor of the exponential.
pub const ALPHA: f64 = 1.673_263_242_354_377_2;
/// The factor of everything.
pub const SCALE: f64 = 1.050_700_987_355_480_5;

/// The function.
pub static FUNCTION: RealFunction = RealFunction {
    value: |_, x| if x > 0.0 { SCALE * x } else { SCALE * ALPHA * libm::expm1(x) },
    slope: |_, x| if x > 0.0 { SCALE } else { SCALE * ALPHA * libm::exp(x) },
};

impl PointwiseKind for Selu {
    const ONNX: &'static [OnnxOperator<Self>] = &[OnnxOperator {
        name: "Selu",
        read: |node| {
            let near = |name: &str, wanted: f64| (node.float(name, wanted) - wanted).abs() < 1e-5;
            (near("alpha", 1.673_263_2) && near("gamma", 1.050_701)).then_some(Self {})
        },
        write: |_| vec![],
    }];

    fn pointwise(&self) -> Pointwise {
        let kept = KeptByActivation::OutputInPlace;
        Pointwise {
            range: [-SCALE * ALPHA, f64::INFINITY],
            kept,
            ..Pointwise::new(Activation::real(&FUNCTION))
        }
    }

    fn onnx(&self) -> Vec<OnnxNode> {
        OnnxNode::single(self, Self::ONNX)
    }

    fn pytorch(&self) -> PyTorch {
        PyTorch::module("nn.SELU")
    }
}
