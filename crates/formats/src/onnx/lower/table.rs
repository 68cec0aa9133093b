//! The list of operators, and the lowering of a node.

use super::context::{Flaw, Lower, Outcome, Use, Value};
use super::elements::SMALL;
use super::{
    arithmetic, aten, attention, attributes, blocked, constant_source, control, conv, dynamic_conv, einsum,
    fold, gather, integers, linear, masks, mean, norm, opaque, pad, pointwise, pool, quantised, recurrent,
    resize, runtime, shapes, slice_concat, stack,
};
use crate::onnx::constant::{Constant, Values};
use crate::onnx::inline::{MAX_NODES, title};
use crate::onnx::proto::DataType;
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::layers::onnx_operators;

/// The lowering of an operator.
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

/// Functions of one number are not listed here: each is listed in its layer's file.
static OPERATORS: &[Operator] = operators! {
    control::constant => "Constant";
    control::identity => "Identity" "Dropout";
    control::cast => "Cast" "CastLike";
    control::shape => "Shape";
    control::size => "Size";
    control::constant_of_shape => "ConstantOfShape";
    control::branch => "If";
    dynamic_conv::conv => "Conv";
    dynamic_conv::conv_transpose => "ConvTranspose";
    conv::deform_conv => "DeformConv";
    linear::gemm => "Gemm";
    linear::matmul => "MatMul";
    attention::attention => "Attention";
    masks::choice => "Where";
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
    gather::gather_nd => "GatherND";
    slice_concat::concat => "Concat";
    pad::pad => "Pad";
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

/// Iterates over all operators that become layers or disappear.
pub fn operators() -> impl Iterator<Item = &'static str> {
    OPERATORS.iter().map(|operator| operator.name).chain(onnx_operators())
}

impl Lower {
    /// Lowers one node, after which its outputs are known. An error is one of the model and names the node.
    pub fn node(&mut self, used: Use<'_>) -> Result<(), Problem> {
        self.lowered += 1;
        if self.lowered > MAX_NODES {
            return Err(Problem::new(Code::Limit, format!("the model has more than {MAX_NODES} nodes")));
        }
        let node = used.node;
        self.origin = self.origins.of_node(&node.name);
        let outcome = self.outcome(used).and_then(|values| self.as_stated(used, values));
        let values = match outcome {
            Ok(values) => self.limited(used, values),
            Err(Flaw::Unsupported(reason)) => match constant_source::retried(self, used) {
                Some(values) => self.limited(used, values),
                None => match fold::of_known_shape(self, used) {
                    Some(value) => self.limited(used, vec![value]),
                    None => opaque::opaque(self, used, &reason),
                },
            },
            Err(Flaw::Invalid(problem)) => {
                return Err(Problem { message: format!("{}: {}", title(node), problem.message), ..problem });
            }
        };
        integers::passed_on(self, used);
        for (index, name) in node.output.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            let value = match values.get(index) {
                Some(Value::Unknown(reason)) if !self.unknown.contains_key(name) => {
                    self.passed_on(used, index).unwrap_or_else(|| opaque::another(self, used, index, reason))
                }
                Some(value) => value.clone(),
                None => opaque::another(self, used, index, "an output that is not followed"),
            };
            self.values.insert(name.clone(), value);
        }
        Ok(())
    }

    /// The values, if they have the shapes that the model states; only of a model whose shapes are all its own.
    fn as_stated(&self, used: Use<'_>, values: Vec<Value>) -> Outcome {
        for (value, name) in values.iter().zip(&used.node.output).filter(|_| self.exact) {
            if let (Value::Tensor(tensor), Some(stated)) = (value, self.stated.get(name)) {
                let fits = |(size, stated): (&u64, &Option<u64>)| stated.is_none_or(|stated| stated == *size);
                if tensor.dims.len() != stated.len() || !tensor.dims.iter().zip(stated).all(fits) {
                    return used.unsupported(format!(
                        "its output is {:?} by its settings, but {stated:?} in the file",
                        tensor.dims
                    ));
                }
            }
        }
        Ok(values)
    }

    /// Returns the value of unknown shape that the node passes on unchanged.
    fn passed_on(&mut self, used: Use<'_>, index: usize) -> Option<Value> {
        if index > 0 || !matches!(used.node.op_type.as_str(), "Identity" | "Dropout" | "Cast" | "CastLike") {
            return None;
        }
        let (input, output) = (used.node.input.first()?, used.node.output.first()?);
        let draft = *self.unknown.get(input)?;
        self.unknown.insert(output.clone(), draft);
        self.values.get(input).cloned()
    }

    /// Returns the values, with known constants as long as there is room for them, and marks constants
    /// computed from weights.
    fn limited(&mut self, used: Use<'_>, mut values: Vec<Value>) -> Vec<Value> {
        let mut sources: Vec<usize> = Vec::new();
        // Running statistics do not enter the result of a norm that computes its own.
        let read = if norm::trains(used) { 3 } else { usize::MAX };
        for index in 0..used.node.input.len().min(read) {
            let Ok(Value::Constant(constant)) = self.value(used, index) else { continue };
            let own = constant.root.filter(|root| self.holds_weights(constant, *root));
            sources.extend(own.iter().chain(&constant.sources));
        }
        sources.sort_unstable();
        sources.dedup();
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
                if constant.root.is_none() && !constant.is_integer() && !sources.is_empty() {
                    constant.derived = true;
                    if constant.sources.is_empty() {
                        constant.sources.clone_from(&sources);
                    }
                }
            }
        }
        values
    }

    /// Returns whether a stored tensor is learned: more than one floating-point number or one that the file names as
    /// a parameter, or integers of at most 8 bits that represent them, in an initialiser.
    fn holds_weights(&self, constant: &Constant, root: usize) -> bool {
        let small =
            matches!(constant.data_type, DataType::Int8 | DataType::Uint8 | DataType::Int4 | DataType::Uint4);
        (!constant.is_integer() || small)
            && constant.elements().is_ok_and(|count| count > 1 || self.exact || self.single.contains(&root))
            && !self.fixed.contains(&root)
            && !(self.made.contains(&root) && uniform(constant))
    }

    /// Drops the values of all large known constants, so that nothing more is computed from them.
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
        let simplified = node.domain.is_empty() && node.op_type == "SimplifiedLayerNormalization";
        if (node.domain == "com.microsoft" || simplified)
            && let Some(outcome) = runtime::fused(self, used).or_else(|| quantised::runtime(self, used))
        {
            return outcome;
        }
        if node.domain == aten::ATEN {
            return aten::outcome(self, used);
        }
        if node.domain == crate::onnx::blocks::DOMAIN {
            return blocked::blocked(self, used);
        }
        if !matches!(node.domain.as_str(), "" | "ai.onnx") {
            return used.unsupported(format!("an operator of `{}`", node.domain));
        }
        if let Some(outcome) = fold::arithmetic(self, used) {
            return outcome;
        }
        let operator = OPERATORS.iter().find(|operator| operator.name == node.op_type);
        let lower = match operator {
            Some(operator) => operator.lower,
            None if onnx_operators().any(|name| name == node.op_type) => pointwise::function,
            None if matches!(node.op_type.as_str(), "Loop" | "Scan") => {
                return used.unsupported("a loop, whose body may run any number of times");
            }
            None => {
                let misfit = recurrent::misfit(self, used);
                return used.unsupported(misfit.unwrap_or_else(|| "no layer for it".into()));
            }
        };
        let names = node.attribute.iter().map(|attribute| attribute.name.as_str());
        if let Some(name) = attributes::unknown(&node.op_type, names) {
            return used
                .unsupported(format!("the setting `{name}`, which the operator is not known to have"));
        }
        if let Some(reason) = integers::refused(self, used) {
            return used.unsupported(reason);
        }
        stack::of_maps(self, used, lower).unwrap_or_else(|| lower(self, used))
    }
}

/// Whether all elements of a constant are one known number.
fn uniform(constant: &Constant) -> bool {
    let values = constant.values.as_ref().map(Values::floats);
    values.is_some_and(|values| values.windows(2).all(|pair| pair[0] == pair[1]))
}
