//! ONNX Runtime's fused operators (`com.microsoft`), as the operators from which they were fused.

use super::context::{Flaw, Lower, Outcome, Tensor, Use, Value};
use super::shapes::permuted;
use crate::onnx::proto::{AttributeProto, NodeProto};
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::divide::Divide;
use cnnkit_core::layers::function::{Function, FunctionKind};
use cnnkit_core::layers::power::Power;
use cnnkit_core::layers::reduce::{Reduce, Reduction};
use cnnkit_core::layers::rescale::Rescale;

/// A fused node that is split into operators.
pub(super) struct Parts<'a, 'n> {
    lower: &'a mut Lower,
    used: Use<'n>,
    count: usize,
}

impl<'a, 'n> Parts<'a, 'n> {
    /// No parts yet.
    pub(super) fn new(lower: &'a mut Lower, used: Use<'n>) -> Self {
        Self { lower, used, count: 0 }
    }

    /// Returns the name of input `index`; empty if it is not given.
    fn input(&self, index: usize) -> String {
        self.used.node.input.get(index).cloned().unwrap_or_default()
    }

    /// What a value is called that only this node knows.
    pub(super) fn named(&mut self, value: Value) -> String {
        self.count += 1;
        let output = self.used.node.output.first().map_or("", String::as_str);
        let name = format!("{output} part {}", self.count);
        self.lower.values.insert(name.clone(), value);
        name
    }

    /// The operator `name` on these values.
    pub(super) fn apply(
        &mut self,
        name: &str,
        inputs: Vec<String>,
        attribute: Vec<AttributeProto>,
    ) -> Result<String, Flaw> {
        let node = NodeProto {
            op_type: name.to_owned(),
            domain: String::new(),
            input: inputs,
            attribute,
            ..self.used.node.clone()
        };
        let opset = if self.used.opset > 0 { self.used.opset } else { super::context::LATEST };
        let values = self.lower.outcome(Use { node: &node, opset })?;
        match values.into_iter().next() {
            Some(value) => Ok(self.named(value)),
            None => self.used.unsupported("a part without a result"),
        }
    }

    fn tensor(&self, name: &str) -> Result<Tensor, Flaw> {
        match self.lower.values.get(name) {
            Some(Value::Tensor(tensor)) => Ok(tensor.clone()),
            Some(Value::Unknown(reason)) => Err(Flaw::Unsupported(reason.clone())),
            _ => self.used.unsupported("a part that is a constant"),
        }
    }

    pub(super) fn done(self, name: &str) -> Outcome {
        match self.lower.values.get(name) {
            Some(value) => Ok(vec![value.clone()]),
            None => self.used.unsupported("a part without a result"),
        }
    }

    /// Returns the node's attributes except these.
    fn without(&self, names: &[&str]) -> Vec<AttributeProto> {
        let kept =
            self.used.node.attribute.iter().filter(|attribute| !names.contains(&attribute.name.as_str()));
        kept.cloned().collect()
    }

    /// Applies the activation that a fused node names, if it is one of `known`. `number` returns its setting by name and
    /// index; the runtime has no defaults for them.
    fn activated(
        &mut self,
        value: String,
        known: &[(&str, &[&str])],
        number: impl Fn(&str, usize) -> Option<f32>,
        given: usize,
    ) -> Result<String, Flaw> {
        let Some(activation) = self.used.text("activation").filter(|name| !name.is_empty()) else {
            return if given == 0 { Ok(value) } else { self.used.unsupported("settings of no activation") };
        };
        let Some((_, names)) = known.iter().find(|(name, _)| *name == activation) else {
            return self.used.unsupported(format!("the fused activation `{activation}`"));
        };
        let setting = |(index, name): (usize, &&str)| {
            let value = number(name, index)?;
            Some(AttributeProto { name: (*name).into(), f: Some(value), ..AttributeProto::default() })
        };
        let settings: Option<Vec<AttributeProto>> = names.iter().enumerate().map(setting).collect();
        match settings.filter(|settings| settings.len() == given) {
            Some(settings) => self.apply(activation, vec![value], settings),
            None => self.used.unsupported(format!(
                "the fused activation `{activation}` with {given} settings instead of {}",
                names.len()
            )),
        }
    }
}

/// The activations of a fused convolution with their settings, in the order of `activation_params`.
const OF_CONV: &[(&str, &[&str])] = &[
    ("Clip", &["min", "max"]),
    ("HardSigmoid", &["alpha", "beta"]),
    ("HardSwish", &[]),
    ("LeakyRelu", &["alpha"]),
    ("Relu", &[]),
    ("Sigmoid", &[]),
    ("Tanh", &[]),
];

/// The activations of a fused Gemm with their settings, attributes that begin with `activation_`.
const OF_GEMM: &[(&str, &[&str])] = &[
    ("Elu", &["alpha"]),
    ("HardSigmoid", &["alpha", "beta"]),
    ("LeakyRelu", &["alpha"]),
    ("Relu", &[]),
    ("Selu", &["alpha", "gamma"]),
    ("Sigmoid", &[]),
    ("Softplus", &[]),
    ("Softsign", &[]),
    ("Tanh", &[]),
    ("ThresholdedRelu", &["alpha"]),
];

/// The attributes of operators that do not become one operator with the same attributes, which would refuse others.
const KNOWN: &[(&str, &[&str])] = &[
    ("BiasGelu", &[]),
    ("FastGelu", &[]),
    ("FusedMatMul", &["alpha", "transA", "transB", "transBatchA", "transBatchB"]),
    ("Gelu", &[]),
    ("QuickGelu", &["alpha"]),
    ("SimplifiedLayerNormalization", &["axis", "epsilon", "stash_type"]),
    ("SkipLayerNormalization", &["epsilon"]),
    ("SkipSimplifiedLayerNormalization", &["epsilon"]),
    ("TransposeMatMul", &["alpha", "transA", "transB", "transBatchA", "transBatchB"]),
];

/// Lowers the node as the operators from which it was fused; none if it is another operator.
pub(super) fn fused(lower: &mut Lower, used: Use<'_>) -> Option<Outcome> {
    if let Some((_, known)) = KNOWN.iter().find(|(name, _)| *name == used.node.op_type)
        && let Some(other) = used.node.attribute.iter().find(|own| !known.contains(&own.name.as_str()))
    {
        let name = &other.name;
        return Some(
            used.unsupported(format!("the setting `{name}`, which the operator is not known to have")),
        );
    }
    let parts = Parts::new(lower, used);
    let last = used.node.op_type.starts_with("Nhwc") || used.int("channels_last", 0) != 0;
    Some(match used.node.op_type.as_str() {
        "QLinearConv" if !last => plain(parts),
        "QLinearConv"
        | "NhwcConv"
        | "NhwcFusedConv"
        | "NhwcMaxPool"
        | "QLinearAveragePool"
        | "QLinearGlobalAveragePool"
            if last =>
        {
            channels_last(parts)
        }
        "FusedConv" => conv(parts),
        "FusedMatMul" | "TransposeMatMul" => matmul(parts),
        "FusedGemm" => gemm(parts),
        "Gelu" | "FastGelu" | "BiasGelu" | "QuickGelu" => gelu(parts),
        "SkipLayerNormalization" | "SkipSimplifiedLayerNormalization" => skip_norm(parts),
        "SimplifiedLayerNormalization" => root_mean_square(parts, 0, 1),
        _ => return None,
    })
}

/// Lowers an operator of ONNX itself that the runtime lists among its own.
fn plain(parts: Parts<'_, '_>) -> Outcome {
    let attribute = parts.without(&["channels_last"]);
    let node = NodeProto { domain: String::new(), attribute, ..parts.used.node.clone() };
    let opset = if parts.used.opset > 0 { parts.used.opset } else { super::context::LATEST };
    parts.lower.outcome(Use { node: &node, opset })
}

/// Lowers an operator on maps whose channels come last: as the one with channels first, between two permutations.
fn channels_last(mut parts: Parts<'_, '_>) -> Outcome {
    let used = parts.used;
    let (mut input, mut rank) = (used.node.input.clone(), 0);
    // A fused convolution adds its fourth input, a map too.
    let fused = used.node.op_type == "NhwcFusedConv";
    for index in [0, 3].into_iter().filter(|&index| index == 0 || fused && used.has(index)) {
        let map = parts.lower.tensor(used, index)?;
        rank = map.dims.len();
        if rank < 3 {
            return used.unsupported(format!("a map of the sizes {:?}", map.dims));
        }
        let order: Vec<usize> = [0, rank - 1].into_iter().chain(1..rank - 1).collect();
        let moved = permuted(parts.lower, used, &map, &order)?;
        let name = parts.named(Value::Tensor(moved));
        if let Some(quantised) = parts.lower.quantised.get(&input[index]).copied() {
            parts.lower.quantised.insert(name.clone(), quantised);
        }
        input[index] = name;
    }
    let (domain, name) = match used.node.op_type.as_str() {
        "NhwcConv" => ("", "Conv"),
        "NhwcMaxPool" => ("", "MaxPool"),
        "NhwcFusedConv" => ("com.microsoft", "FusedConv"),
        other => ("com.microsoft", other),
    };
    let node = NodeProto {
        op_type: name.into(),
        domain: domain.into(),
        input,
        attribute: parts.without(&["channels_last"]),
        ..used.node.clone()
    };
    let opset = if used.opset > 0 { used.opset } else { super::context::LATEST };
    let back: Vec<usize> = std::iter::once(0).chain(2..rank).chain([1]).collect();
    match parts.lower.outcome(Use { node: &node, opset })?.into_iter().next() {
        Some(Value::Tensor(map)) => Ok(vec![Value::Tensor(permuted(parts.lower, used, &map, &back)?)]),
        Some(Value::Unknown(reason)) => Err(Flaw::Unsupported(reason)),
        Some(Value::Constant(_)) | None => used.unsupported("a part without a result"),
    }
}

/// Lowers a convolution, a sum with another map, and an activation.
fn conv(mut parts: Parts<'_, '_>) -> Outcome {
    let inputs = (0..3).map(|index| parts.input(index)).collect();
    let mut value = parts.apply("Conv", inputs, parts.without(&["activation", "activation_params"]))?;
    if parts.used.has(3) {
        let other = parts.input(3);
        value = parts.apply("Add", vec![value, other], vec![])?;
    }
    let numbers: Vec<f32> =
        parts.used.attribute("activation_params").map(|given| given.floats.clone()).unwrap_or_default();
    let value = parts.activated(value, OF_CONV, |_, index| numbers.get(index).copied(), numbers.len())?;
    parts.done(&value)
}

fn gemm(mut parts: Parts<'_, '_>) -> Outcome {
    let inputs = (0..3).map(|index| parts.input(index)).collect();
    let names = ["activation", "activation_alpha", "activation_beta", "activation_gamma"];
    let value = parts.apply("Gemm", inputs, parts.without(&names))?;
    let used = parts.used;
    let number = |name: &str, _| used.attribute(&format!("activation_{name}")).and_then(|given| given.f);
    let given = names[1..].iter().filter(|name| used.attribute(name).is_some()).count();
    let value = parts.activated(value, OF_GEMM, number, given)?;
    parts.done(&value)
}

/// Lowers a product of operands that may be transposed, times a number.
fn matmul(mut parts: Parts<'_, '_>) -> Outcome {
    let mut names = Vec::new();
    for (index, (setting, stack)) in
        [("transA", "transBatchA"), ("transB", "transBatchB")].into_iter().enumerate()
    {
        let mut name = parts.input(index);
        let (turned, stacked) = (parts.used.int(setting, 0) != 0, parts.used.int(stack, 0) != 0);
        if turned || stacked {
            let rank = match parts.lower.value(parts.used, index)? {
                Value::Tensor(tensor) => tensor.dims.len(),
                Value::Constant(constant) => constant.dims.len(),
                Value::Unknown(reason) => return Err(Flaw::Unsupported(reason.clone())),
            };
            let mut order: Vec<usize> = (0..rank).collect();
            // The rows come before the axes of the stack.
            if stacked && rank > 2 {
                order[..rank - 1].rotate_left(1);
            }
            if turned && rank > 1 {
                order.swap(rank - 1, rank - 2);
            }
            let value = match parts.lower.value(parts.used, index)?.clone() {
                Value::Tensor(tensor) => Value::Tensor(permuted(parts.lower, parts.used, &tensor, &order)?),
                Value::Constant(constant) => {
                    let dims = order.iter().map(|&axis| constant.dims[axis]).collect();
                    Value::Constant(constant.changed(crate::onnx::constant::Change::Transpose(order), dims))
                }
                Value::Unknown(reason) => return Err(Flaw::Unsupported(reason)),
            };
            name = parts.named(value);
        }
        names.push(name);
    }
    let value = parts.apply("MatMul", names, vec![])?;
    let alpha = parts.used.float("alpha", 1.0);
    if alpha == 1.0 {
        return parts.done(&value);
    }
    let product = parts.tensor(&value)?;
    parts.lower.simple(parts.used, Layer::Rescale(Rescale { scale: alpha, shift: 0.0 }), &product)
}

/// Lowers GELU after a bias: exact, by tanh, or by a sigmoid.
fn gelu(mut parts: Parts<'_, '_>) -> Outcome {
    let mut value = parts.input(0);
    let name = parts.used.node.op_type.clone();
    if parts.used.has(1) {
        let bias = parts.input(1);
        value = parts.apply("Add", vec![value, bias], vec![])?;
    }
    if name == "QuickGelu" {
        let input = parts.tensor(&value)?;
        let alpha = parts.used.float("alpha", 1.702);
        let scaled = Layer::Rescale(Rescale { scale: alpha, shift: 0.0 });
        let scaled = parts.lower.map(parts.used, scaled, &input, vec![])?;
        let scaled = parts.named(Value::Tensor(scaled));
        let gate = parts.apply("Sigmoid", vec![scaled], vec![])?;
        let value = parts.apply("Mul", vec![value, gate], vec![])?;
        return parts.done(&value);
    }
    let tanh =
        AttributeProto { name: "approximate".into(), s: Some("tanh".into()), ..AttributeProto::default() };
    let settings = if name == "FastGelu" { vec![tanh] } else { vec![] };
    let value = parts.apply("Gelu", vec![value], settings)?;
    parts.done(&value)
}

/// Lowers the sum of two maps (and a bias) and its norm; the sum itself is the fourth output.
fn skip_norm(mut parts: Parts<'_, '_>) -> Outcome {
    let simple = parts.used.node.op_type.starts_with("SkipSimplified");
    let (input, skip) = (parts.input(0), parts.input(1));
    let mut sum = parts.apply("Add", vec![input, skip], vec![])?;
    let bias = if simple { 3 } else { 4 };
    if parts.used.has(bias) {
        let bias = parts.input(bias);
        sum = parts.apply("Add", vec![sum, bias], vec![])?;
    }
    let total = parts.tensor(&sum)?;
    let epsilon = parts.used.float("epsilon", 1e-12);
    let mut values = if simple {
        normalised(&mut parts, &sum, 2, epsilon)?
    } else {
        let setting =
            AttributeProto { name: "epsilon".into(), f: Some(epsilon as f32), ..AttributeProto::default() };
        let inputs = vec![sum, parts.input(2), parts.input(3)];
        let norm = parts.apply("LayerNormalization", inputs, vec![setting])?;
        parts.done(&norm)?
    };
    while values.len() < 3 {
        values.push(Value::Unknown("statistics of a norm".into()));
    }
    values.push(Value::Tensor(total));
    Ok(values)
}

fn root_mean_square(mut parts: Parts<'_, '_>, input: usize, scale: usize) -> Outcome {
    let rank = parts.lower.tensor(parts.used, input)?.dims.len();
    if parts.used.axis(parts.used.int("axis", -1), rank)? + 1 != rank {
        return parts.used.unsupported("a norm over several axes");
    }
    let (name, epsilon) = (parts.input(input), parts.used.float("epsilon", 1e-5));
    normalised(&mut parts, &name, scale, epsilon)
}

/// Lowers `x / sqrt(mean(x^2) + eps)` over the last axis, times the scale.
fn normalised(parts: &mut Parts<'_, '_>, name: &str, scale: usize, epsilon: f64) -> Outcome {
    let input = parts.tensor(name)?;
    let last = input.dims.len().checked_sub(1).and_then(|axis| input.axis(axis));
    let Some(last) = last else { return parts.used.unsupported("a norm over the batch") };
    let (lower, used) = (&mut *parts.lower, parts.used);
    let mean = Layer::Reduce(Reduce { reduction: Reduction::Mean, axes: vec![last as u64], keepdim: true });
    let epsilon = Layer::Rescale(Rescale { scale: 1.0, shift: epsilon });
    let squares = lower.map(used, Layer::Power(Power { exponent: 2.0 }), &input, vec![])?;
    let mean = lower.map(used, mean, &squares, vec![])?;
    let more = lower.map(used, epsilon, &mean, vec![])?;
    let root = lower.map(used, Layer::Function(Function { function: FunctionKind::Sqrt }), &more, vec![])?;
    let norm = lower.emit(used, Layer::Divide(Divide {}), &[&input, &root], vec![], input.batch)?;
    let norm = parts.named(Value::Tensor(Tensor { dims: input.dims.clone(), ..norm }));
    let scale = parts.input(scale);
    let value = parts.apply("Mul", vec![norm, scale], vec![])?;
    match parts.lower.values.get(&value) {
        Some(value) => Ok(vec![value.clone()]),
        None => parts.used.unsupported("a part without a result"),
    }
}
