//! From an exported program to a model in ONNX's format, in memory: one importer makes graphs of both.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use cnnkit_core::diagnostic::{Code, Problem};

use super::archive::{Archive, Kind};
use super::messages::{data_type, int, ints};
use super::operators::call::values::{Values, returned};
use super::operators::call::{Call, Unsupported};
use super::operators::{self, Makes};
use super::schema::{Argument, Dimension, Input, Node, Output, Program, Size, TensorMeta};
use crate::onnx::declared::Declared;
use crate::onnx::inline::MAX_NODES;
use crate::onnx::lower::{ATEN, MACS};
use crate::onnx::proto::{
    Dimension as ProtoDimension, DimensionValue, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};

/// The operator set whose meaning the translated nodes have.
const OPSET: i64 = 24;

/// A model, and what ONNX's format does not say of it.
#[derive(Debug)]
pub(super) struct Translated {
    pub model: ModelProto,
    pub declared: Declared,
}

/// Translates `program`, whose weights are in `archive`. `batch` is the axis of its inputs that is the batch, where that is not
/// the first.
pub(super) fn translate(
    program: &Program,
    archive: &mut Archive<'_>,
    batch: Option<usize>,
) -> Result<Translated, Problem> {
    let module = &program.graph_module;
    if module.graph.nodes.len() > MAX_NODES {
        let message = format!("the program has {} nodes, the limit is {MAX_NODES}", module.graph.nodes.len());
        return Err(Problem::new(Code::Limit, message));
    }
    let mut values = Values::new(module.graph.tensor_values.iter());
    let mut graph = GraphProto::default();
    let declared = inputs(program, archive, batch, &mut values, &mut graph)?;
    for node in &module.graph.nodes {
        if !operators::checks(node) {
            add(&mut values, node);
        }
    }
    outputs(program, &mut values, &mut graph)?;
    graph.node = std::mem::take(&mut values.messages.nodes);
    let model = ModelProto {
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        ..ModelProto::default()
    };
    Ok(Translated { model, declared })
}

/// The graph's inputs: those of the caller, and stored tensors.
fn inputs<'p>(
    program: &'p Program,
    archive: &mut Archive<'_>,
    batch: Option<usize>,
    values: &mut Values<'p>,
    graph: &mut GraphProto,
) -> Result<Declared, Problem> {
    let module = &program.graph_module;
    let bare = operators::is_bare(program);
    let mut declared = Declared { every: true, ..Declared::default() };
    // A tensor that has several names is stored once.
    let mut stored: HashMap<String, String> = HashMap::new();
    let given: BTreeSet<&str> = module
        .signature
        .input_specs
        .iter()
        .filter_map(|input| match input {
            Input::User(Argument::Tensor(name)) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    for input in &module.signature.input_specs {
        let (name, own, kind) = match input {
            Input::User(Argument::Tensor(name)) => {
                let meta = values.meta(name).ok_or_else(|| unstated(name))?;
                if graph.input.is_empty()
                    && let Some(Dimension::Known(size)) = meta.sizes.get(batch.unwrap_or(0))
                {
                    values.batch = Some(if bare { 1 } else { *size });
                }
                let mut input = meta.clone();
                // In the graph, the batch comes first.
                let later = batch.filter(|&axis| axis < input.sizes.len());
                if let Some(axis) = later {
                    let size = input.sizes.remove(axis);
                    input.sizes.insert(0, size);
                }
                graph.input.push(described(name, &input, bare));
                let value = match later {
                    Some(axis) => batch_moved(values, name, axis, input.sizes.len()),
                    None if bare => without_batch(values, name),
                    None => name.clone(),
                };
                values.define(name, value);
                continue;
            }
            Input::Parameter(name, own) => (name, own, Kind::Parameter),
            Input::Buffer(name, own) => (name, own, Kind::Buffer),
            Input::Constant(name, own) => (name, own, Kind::Constant),
            // Numbers and texts that the caller gives are fixed in the graph.
            Input::User(_) | Input::Other(_) => continue,
        };
        let meta = values.meta(name).ok_or_else(|| unstated(name))?;
        let mut full = own.clone();
        while given.contains(full.as_str()) {
            full.push('_');
        }
        let (tensor, place) = archive.tensor(&full, own, kind, meta)?;
        let full = match place.and_then(|place| {
            stored.get(&place).cloned().ok_or(place).map_or_else(
                |place| {
                    stored.insert(place, full.clone());
                    None
                },
                Some,
            )
        }) {
            Some(first) => first,
            None => {
                if kind != Kind::Parameter {
                    declared.buffers.insert(full.clone());
                }
                if kind == Kind::Constant {
                    declared.constants.insert(full.clone());
                }
                graph.initializer.push(tensor);
                full
            }
        };
        values.messages.constants.insert(full.clone());
        values.define(name, full);
    }
    if graph.input.is_empty() {
        return Err(Problem::new(Code::Missing, "the program has no inputs that are tensors")
            .help("every network reads something"));
    }
    Ok(declared)
}

fn unstated(name: &str) -> Problem {
    Problem::new(Code::Missing, format!("the shape of `{name}` is not stated"))
        .help("the file is damaged, or its writer is wrong")
}

/// Whether the sizes of a value are known, or are those of the inputs: sizes that depend on the data, and expressions, are not.
fn is_stated(meta: &TensorMeta) -> bool {
    meta.sizes.iter().all(|size| match size {
        Dimension::Known(_) => true,
        Dimension::Expression(text) => {
            text.strip_prefix('s').is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        }
    })
}

/// An input that the graph has with a batch of one, as the program has it.
fn without_batch(values: &mut Values<'_>, name: &str) -> String {
    name.clone_into(&mut values.messages.name);
    values.messages.scopes = format!("['', '{name}']");
    let axes = values.messages.add(("", "Constant"), vec![], 1, vec![ints("value_ints", vec![0])]);
    values.messages.add(("", "Squeeze"), [vec![name.into()], axes].concat(), 1, vec![]).remove(0)
}

/// An input whose batch comes first in the graph, as the program has it: at `axis`.
fn batch_moved(values: &mut Values<'_>, name: &str, axis: usize, rank: usize) -> String {
    name.clone_into(&mut values.messages.name);
    values.messages.scopes = format!("['', '{name}']");
    let mut order: Vec<i64> = (1..rank as i64).collect();
    order.insert(axis, 0);
    values.messages.add(("", "Transpose"), vec![name.into()], 1, vec![ints("perm", order)]).remove(0)
}

/// Name, type and shape of a value, behind a batch of one if it is `bare`; an open size has its expression as a name.
fn described(name: &str, meta: &TensorMeta, bare: bool) -> ValueInfoProto {
    let size = |size: &Dimension| ProtoDimension {
        value: Some(match size {
            Dimension::Known(size) => DimensionValue::Value(*size),
            Dimension::Expression(text) => DimensionValue::Param(text.clone()),
        }),
    };
    let batch = bare.then_some(ProtoDimension { value: Some(DimensionValue::Value(1)) });
    let shape = TensorShapeProto { dim: batch.into_iter().chain(meta.sizes.iter().map(size)).collect() };
    let tensor = TensorTypeProto { elem_type: data_type(meta.dtype) as i32, shape: Some(shape) };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto { tensor_type: Some(tensor) }),
        ..ValueInfoProto::default()
    }
}

/// Where a node belongs, as PyTorch's exporter for ONNX writes it: `['', 'layer1', 'layer1.0', 'add']`.
fn scopes(node: &Node, name: &str) -> String {
    let stack = node.metadata.nn_module_stack.as_deref().unwrap_or_default();
    let mut list = String::from("['");
    for entry in stack.split(';') {
        let path = entry.split(',').nth(1).unwrap_or_default();
        // A module that is called again is marked with a number.
        let path = path.split('@').next().unwrap_or_default();
        if let Some(last) = Some(path).filter(|path| !path.is_empty() && !path.contains('\'')) {
            list.push_str(last);
            list.push_str("', '");
        }
    }
    list.push_str(name);
    list.push_str("']");
    if list.matches('\'').count() == 2 { format!("['', '{name}']") } else { list }
}

/// Adds the nodes of a call.
fn add<'p>(values: &mut Values<'p>, node: &'p Node) {
    let names = returned(node);
    let name = names.iter().flatten().next().map_or(node.target.as_str(), |name| name.as_str());
    name.clone_into(&mut values.messages.name);
    values.messages.scopes = scopes(node, name);
    let (operator, overload) = operators::split(&node.target);
    let (operator, writes) = operators::form(operator);
    let call = Call { node, operator, overload, values };
    let makes = operators::makes(&call);
    let target = match node.inputs.first().map(|input| &input.arg) {
        Some(Argument::Tensor(target)) => Some(target.as_str()),
        _ => None,
    };
    let before = values.messages.nodes.len();
    let mut made = match operators::translated(values, node) {
        Ok(made) => {
            state_macs(values, node, before);
            made
        }
        Err(Unsupported(reason)) => untranslated(values, node, &reason),
    };
    if let (true, Some(target)) = (writes, target) {
        let value = made.into_iter().next().unwrap_or_default();
        if let Err(Unsupported(reason)) = values.write(target, value)
            && let Some(whole) = values.whole(target)
        {
            // What it becomes depends on what it was; its views are parts of it again.
            let mut inputs: Vec<String> = values.read(whole).into_iter().collect();
            inputs.extend(read(values, node));
            let made = untranslated_of(values, node, &reason, inputs, 1);
            values.replace(whole, made.into_iter().next().unwrap_or_default());
        }
        for name in names.into_iter().flatten() {
            values.define_same(name, target);
        }
        return;
    }
    made.resize(names.len().max(made.len()), String::new());
    if names.iter().zip(&made).any(|(name, value)| name.is_some() && value.is_empty()) {
        // Positions and statistics, for those who read them.
        let others = untranslated(values, node, "an output that is not followed");
        for (value, other) in made.iter_mut().zip(others) {
            if value.is_empty() {
                *value = other;
            }
        }
    }
    for (name, value) in names.into_iter().zip(made) {
        let Some(name) = name else { continue };
        match (makes, target) {
            (Makes::Same, Some(target)) if values.knows(target) => values.define_same(name, target),
            (Makes::View, Some(target)) if values.knows(target) => {
                values.define_view(name, value, target, node);
            }
            _ => values.define(name, value),
        }
    }
}

/// The call as an operator that is not analysed.
fn untranslated<'p>(values: &mut Values<'p>, node: &'p Node, reason: &str) -> Vec<String> {
    let inputs = read(values, node);
    untranslated_of(values, node, reason, inputs, returned(node).len())
}

/// Operators of ONNX of which the importer analyses some uses only.
const PRODUCTS: &[&str] = &["Conv", "ConvTranspose", "Gemm", "Linear", "MatMul"];

/// States the multiply-accumulates of a call whose nodes begin at `before`, should the importer not analyse its product.
fn state_macs<'p>(values: &mut Values<'p>, node: &'p Node, before: usize) {
    let made = values.messages.nodes.iter().enumerate().skip(before);
    let mut products = made.filter(|(_, node)| PRODUCTS.contains(&node.op_type.as_str()));
    let (Some((place, _)), None) = (products.next(), products.next()) else { return };
    let Some(macs) = operators::macs(values, node) else { return };
    if let Some(node) = values.messages.nodes.get_mut(place) {
        node.metadata_props.push(StringStringEntryProto { key: MACS.into(), value: macs.to_string() });
    }
}

/// The tensors that a call is given, as far as they are known.
fn read<'p>(values: &mut Values<'p>, node: &'p Node) -> Vec<String> {
    let mut inputs = Vec::new();
    for argument in &node.inputs {
        let names: Vec<&String> = match &argument.arg {
            Argument::Tensor(name) | Argument::Size(Size::Name(name)) => vec![name],
            Argument::Tensors(names) => names.iter().flatten().collect(),
            _ => vec![],
        };
        inputs.extend(names.into_iter().filter_map(|name| values.read(name).ok()));
    }
    inputs
}

/// The call as an operator that is not analysed, which reads `inputs` and returns `outputs` tensors.
fn untranslated_of<'p>(
    values: &mut Values<'p>,
    node: &'p Node,
    reason: &str,
    inputs: Vec<String>,
    outputs: usize,
) -> Vec<String> {
    let (operator, _) = operators::split(&node.target);
    let macs = operators::macs(values, node).map(|macs| int(MACS, macs));
    let made = values.messages.add((ATEN, operator), inputs, outputs.max(1), macs.into_iter().collect());
    if let Some(last) = values.messages.nodes.last_mut() {
        reason.clone_into(&mut last.doc_string);
    }
    made
}

/// What the program returns, and the shapes that it states.
fn outputs(program: &Program, values: &mut Values<'_>, graph: &mut GraphProto) -> Result<(), Problem> {
    let module = &program.graph_module;
    let mut taken: HashSet<String> = HashSet::new();
    for output in &module.signature.output_specs {
        let Output::User(Argument::Tensor(name)) = output else { continue };
        let value = values.read(name).map_err(|Unsupported(reason)| {
            Problem::new(Code::Reference, format!("the output `{name}`: {reason}"))
                .help("the file is damaged")
        })?;
        let mut shown = name.clone();
        while values.messages.constants.contains(&shown)
            || graph.input.iter().any(|input| input.name == shown)
        {
            shown.push('_');
        }
        if !taken.insert(shown.clone()) {
            continue;
        }
        values.messages.nodes.push(NodeProto {
            input: vec![value],
            output: vec![shown.clone()],
            name: shown.clone(),
            op_type: "Identity".into(),
            ..NodeProto::default()
        });
        graph.output.push(ValueInfoProto { name: shown, ..ValueInfoProto::default() });
    }
    if graph.output.is_empty() {
        return Err(Problem::new(Code::Missing, "the program returns no tensor")
            .help("export a module whose `forward` returns tensors"));
    }
    let mut stated: BTreeMap<String, ValueInfoProto> = BTreeMap::new();
    for (value, meta) in values.stated().filter(|(_, meta)| is_stated(meta)) {
        stated.entry(value.clone()).or_insert_with(|| described(&value, meta, false));
    }
    graph.value_info = stated.into_values().collect();
    Ok(())
}
