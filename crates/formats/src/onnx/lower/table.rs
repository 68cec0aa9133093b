//! The list of operators, and what is done with a node.

use super::context::{Flaw, Lower, Outcome, Use, Value};
use super::{
    arithmetic, attention, constant_source, control, conv, einsum, fold, gather, linear, mean, norm, opaque,
    pointwise, pool, quantised, resize, shapes, slice_concat,
};
use crate::onnx::inline::{MAX_NODES, title};
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::layers::onnx_operators;

/// What an operator becomes.
pub struct Operator {
    /// Its name in ONNX.
    pub name: &'static str,
    lower: fn(&mut Lower, Use<'_>) -> Outcome,
}

macro_rules! operators {
    ($($lower:path => $($name:literal)*;)*) => {
        &[$($(Operator { name: $name, lower: $lower },)*)*]
    };
}

/// Functions of one number are not among them: each stands in its layer's file.
static OPERATORS: &[Operator] = operators! {
    control::constant => "Constant";
    control::identity => "Identity" "Dropout";
    control::cast => "Cast" "CastLike";
    control::shape => "Shape";
    control::size => "Size";
    control::constant_of_shape => "ConstantOfShape";
    control::branch => "If";
    conv::conv => "Conv";
    conv::conv_transpose => "ConvTranspose";
    conv::deform_conv => "DeformConv";
    linear::gemm => "Gemm";
    linear::matmul => "MatMul";
    attention::attention => "Attention";
    attention::guarded => "Where";
    einsum::einsum => "Einsum";
    norm::batch_norm => "BatchNormalization";
    norm::instance_norm => "InstanceNormalization";
    norm::group_norm => "GroupNormalization";
    norm::layer_norm => "LayerNormalization";
    norm::local_response_norm => "LRN";
    pool::max_pool => "MaxPool";
    pool::avg_pool => "AveragePool";
    pool::global_avg_pool => "GlobalAveragePool";
    pool::global_max_pool => "GlobalMaxPool";
    pointwise::hard_sigmoid => "HardSigmoid";
    pointwise::clip => "Clip";
    pointwise::prelu => "PRelu";
    pointwise::softmax => "Softmax" "LogSoftmax";
    arithmetic::binary => "Add" "Sub" "Mul" "Div" "Pow";
    arithmetic::several => "Sum" "Mean" "Min" "Max";
    arithmetic::expand => "Expand";
    shapes::reshape => "Reshape";
    shapes::flatten => "Flatten";
    shapes::squeeze => "Squeeze";
    shapes::unsqueeze => "Unsqueeze";
    shapes::transpose => "Transpose";
    slice_concat::slice => "Slice";
    slice_concat::split => "Split";
    gather::gather => "Gather";
    slice_concat::concat => "Concat";
    slice_concat::pad => "Pad";
    slice_concat::depth_to_space => "DepthToSpace";
    slice_concat::space_to_depth => "SpaceToDepth";
    slice_concat::tile => "Tile";
    mean::reduce => "ReduceMean" "ReduceSum" "ReduceMax" "ReduceMin" "ReduceProd" "ReduceL2";
    resize::resize => "Resize" "Upsample";
    quantised::quantize => "QuantizeLinear";
    quantised::dequantize => "DequantizeLinear";
    quantised::dynamic => "DynamicQuantizeLinear";
    quantised::conv => "QLinearConv";
    quantised::matmul => "QLinearMatMul";
    quantised::whole_conv => "ConvInteger";
    quantised::whole_matmul => "MatMulInteger";
};

/// Computed constants of up to so many elements are always kept.
pub(super) const SMALL: u64 = 64;

/// All operators that become layers or vanish.
pub fn operators() -> impl Iterator<Item = &'static str> {
    OPERATORS.iter().map(|operator| operator.name).chain(onnx_operators())
}

impl Lower {
    /// Lowers one node: its outputs are known afterwards. An error is the model's, with the node's name.
    pub fn node(&mut self, used: Use<'_>) -> Result<(), Problem> {
        self.lowered += 1;
        if self.lowered > MAX_NODES {
            return Err(Problem::new(Code::Limit, format!("the model has more than {MAX_NODES} nodes")));
        }
        let node = used.node;
        let values = match self.outcome(used) {
            Ok(values) => self.limited(used, values),
            Err(Flaw::Unsupported(reason)) => match constant_source::retried(self, used) {
                Some(values) => self.limited(used, values),
                None => opaque::opaque(self, used, &reason),
            },
            Err(Flaw::Invalid(problem)) => {
                return Err(Problem { message: format!("{}: {}", title(node), problem.message), ..problem });
            }
        };
        for (index, name) in node.output.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            let value = values
                .get(index)
                .cloned()
                .unwrap_or_else(|| Value::Unknown("an output that is not followed".into()));
            self.values.insert(name.clone(), value);
        }
        Ok(())
    }

    /// The values with known constants as long as there is room for them, and a mark on what comes from weights.
    fn limited(&mut self, used: Use<'_>, mut values: Vec<Value>) -> Vec<Value> {
        let from_weights = (0..used.node.input.len()).any(|index| match self.value(used, index) {
            Ok(Value::Constant(constant)) => {
                constant.derived
                    || !constant.is_integer() && constant.root.is_some_and(|root| root < self.initializers)
            }
            _ => false,
        });
        for value in &mut values {
            if let Value::Constant(constant) = value {
                let size = constant.elements().unwrap_or(u64::MAX);
                if size > SMALL && constant.values.is_some() {
                    if self.room > 0 && self.room <= size {
                        self.forget();
                    }
                    self.room = self.room.saturating_sub(size);
                    if self.room == 0 {
                        constant.values = None;
                    }
                }
                constant.derived |= from_weights && constant.root.is_none() && !constant.is_integer();
            }
        }
        values
    }

    /// Drops all large known constants, so that nothing more is computed from them.
    fn forget(&mut self) {
        for value in self.values.values_mut() {
            if let Value::Constant(constant) = value
                && constant.elements().is_ok_and(|size| size > SMALL)
            {
                constant.values = None;
            }
        }
        self.remark(
            "the model computes too much with constants; what is beyond 2^25 numbers is not followed".into(),
        );
    }

    pub(super) fn outcome(&mut self, used: Use<'_>) -> Outcome {
        let node = used.node;
        if node.domain == "com.microsoft"
            && let Some(outcome) = quantised::runtime(self, used)
        {
            return outcome;
        }
        if !matches!(node.domain.as_str(), "" | "ai.onnx") {
            return used.unsupported(format!("an operator of `{}`", node.domain));
        }
        if let Some(outcome) = fold::arithmetic(self, used) {
            return outcome;
        }
        match OPERATORS.iter().find(|operator| operator.name == node.op_type) {
            Some(operator) => (operator.lower)(self, used),
            None if onnx_operators().any(|name| name == node.op_type) => pointwise::function(self, used),
            None => used.unsupported("no layer for it"),
        }
    }
}
