//! A network as an ONNX model.
//!
//! Nodes and values have the layers' ids as names, initialisers the weights' names (`stage1.conv1.weight`). A layer
//! that needs several operators ends in a node of its id; earlier ones have names below it: `stage1.se1/fc1`. All
//! types and shapes are written.

mod attention;
mod dynamic_conv;
mod emit;
mod layers;
mod norms;
mod windows;

use std::collections::HashSet;

use bytes::Bytes;

use crate::onnx::proto::{
    DataType, Dimension, DimensionValue, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use cnnkit_core::diagnostic::{Code, Diagnostic, Problem};
use cnnkit_core::graph::{Graph, NodeId, Op};
use cnnkit_core::layers::Io;
use cnnkit_exec::network::Network;
use emit::Value;

/// The oldest operator set with every operator used here (GroupNormalization in its current form).
pub const OLDEST: i64 = 21;
/// The newest operator set whose operators were checked to have the same semantics.
pub const NEWEST: i64 = 23;
/// Maximum bytes of weights inside the model file: protobuf's limit, minus a reserve for the rest.
pub const INSIDE: u64 = (2 << 30) - (64 << 20);

/// Options of an exported model.
#[derive(Debug, Clone)]
pub struct Options {
    /// Version of the operator set.
    pub opset: i64,
    /// Images in the batch; `None` for a dynamic batch.
    pub batch: Option<u64>,
    /// The file next to the model that contains the weights; `None` if they are inside the model.
    pub weights_file: Option<String>,
}

/// An exported model.
#[derive(Debug)]
pub struct Model {
    /// The model.
    pub proto: ModelProto,
    /// Number of operators in the model.
    pub operators: usize,
}

impl Model {
    /// Returns the bytes of the file.
    pub fn bytes(&self) -> Vec<u8> {
        use prost::Message as _;
        self.proto.encode_to_vec()
    }
}

/// Weights in a separate file start at multiples of this, so that they can be memory-mapped.
const ALIGNED: u64 = 4096;

/// Returns the ONNX model of `graph`, with the weights of `network`; or the layers that ONNX cannot express.
///
/// Without a network the options have a `weights_file`, and the caller decides whether that file exists.
pub fn write(
    graph: &Graph,
    network: Option<&Network<'_, f32>>,
    options: &Options,
) -> Result<Model, Vec<Diagnostic>> {
    let mut nodes: Vec<NodeProto> = Vec::new();
    let mut values: Vec<Value> = Vec::new();
    let mut constants: Vec<TensorProto> = Vec::new();
    let mut refusals = Vec::new();
    let names = names(graph);
    for (id, node) in graph.iter() {
        let Op::Layer(layer) = &node.op else { continue };
        let (shapes, owner) = (graph.input_shapes(node), &graph.node(owner(graph, id)).id);
        let inputs: Vec<Value> = node
            .inputs
            .iter()
            .zip(&shapes)
            .map(|(input, shape)| Value::new(&names[input.index()], shape.sizes()))
            .collect();
        let mut out = emit::Layer::new(&names[id.index()], owner);
        let io = Io { inputs: &shapes, output: &node.shape };
        let written = match layer {
            cnnkit_core::layers::Layer::DynamicConv(_) if options.batch != Some(1) => Err(refuse(
                "`dynamic_conv` of several images, each with its own weight",
                "write the model for a batch of 1",
            )),
            _ => layers::write(&mut out, layer, &inputs, io),
        };
        match written {
            Ok(()) => {
                nodes.append(&mut out.nodes);
                values.append(&mut out.values);
                constants.append(&mut out.constants);
            }
            Err(problem) => refusals.push(problem.in_layer(&node.id, &node.origin)),
        }
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let operators = nodes.len();
    let mut initializer = weights(graph, network, options).map_err(|problem| vec![plain(problem)])?;
    initializer.append(&mut constants);
    let outputs = outputs(graph, &names, &mut nodes);
    let named: HashSet<&str> = outputs.iter().map(|value| value.name.as_str()).collect();
    let describe = |value: &Value| described(value, options);
    let proto = GraphProto {
        name: graph.name().to_owned(),
        input: graph
            .inputs()
            .map(|(id, node)| describe(&Value::new(&names[id.index()], node.shape.sizes())))
            .collect(),
        output: outputs.iter().map(describe).collect(),
        value_info: values
            .iter()
            .filter(|value| !named.contains(value.name.as_str()))
            .map(describe)
            .collect(),
        node: nodes,
        initializer,
        ..GraphProto::default()
    };
    let proto = ModelProto {
        ir_version: 10,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: options.opset }],
        producer_name: "cnnkit".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(proto),
        ..ModelProto::default()
    };
    Ok(Model { proto, operators })
}

fn plain(problem: Problem) -> Diagnostic {
    problem.in_layer("", &cnnkit_core::source::Origin::default())
}

/// Returns an error for something that ONNX cannot express.
fn refuse(what: impl Into<String>, help: impl Into<String>) -> Problem {
    Problem::new(Code::InvalidValue, format!("not supported in ONNX: {}", what.into())).help(help)
}

/// Returns the name of each node's value: its id.
fn names(graph: &Graph) -> Vec<String> {
    graph.nodes().iter().map(|node| node.id.clone()).collect()
}

fn owner(graph: &Graph, id: NodeId) -> NodeId {
    let mut id = id;
    while let Some(owner) = graph.node(id).shares {
        id = owner;
    }
    id
}

/// Returns the network's outputs. An input that is returned unchanged, and a value that is returned twice, need a
/// node of their own.
fn outputs(graph: &Graph, names: &[String], nodes: &mut Vec<NodeProto>) -> Vec<Value> {
    let mut outputs: Vec<Value> = Vec::new();
    for (index, &id) in graph.outputs().iter().enumerate() {
        let (node, mut name) = (graph.node(id), names[id.index()].clone());
        if node.op == Op::Input || outputs.iter().any(|other| other.name == name) {
            let copy = format!("{name}/output{index}");
            nodes.push(NodeProto {
                input: vec![name],
                output: vec![copy.clone()],
                name: copy.clone(),
                op_type: "Identity".into(),
                ..NodeProto::default()
            });
            name = copy;
        }
        outputs.push(Value::new(name, node.shape.sizes()));
    }
    outputs
}

/// Returns a value's type and shape.
fn described(value: &Value, options: &Options) -> ValueInfoProto {
    let number = |size: u64| Dimension { value: Some(DimensionValue::Value(size as i64)) };
    let batch = match (options.batch, value.rows) {
        (_, 0) => None,
        (Some(batch), rows) => Some(number(batch * rows)),
        (None, 1) => Some(Dimension { value: Some(DimensionValue::Param("batch".into())) }),
        (None, rows) => Some(Dimension { value: Some(DimensionValue::Param(format!("batch_times_{rows}"))) }),
    };
    let dim = batch.into_iter().chain(value.sizes.iter().map(|&size| number(size))).collect();
    ValueInfoProto {
        name: value.name.clone(),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: DataType::Float as i32,
                shape: Some(TensorShapeProto { dim }),
            }),
        }),
        ..ValueInfoProto::default()
    }
}

/// Returns all weights, each shared weight once: with their data, or with the location of their data.
fn weights(
    graph: &Graph,
    network: Option<&Network<'_, f32>>,
    options: &Options,
) -> Result<Vec<TensorProto>, Problem> {
    let mut tensors = Vec::new();
    let mut offset = 0u64;
    for (id, node) in graph.iter() {
        let Op::Layer(layer) = &node.op else { continue };
        if node.shares.is_some() {
            continue;
        }
        let input = graph.input_shapes(node).first().map(|shape| shape.sizes().to_vec()).unwrap_or_default();
        for (index, weight) in node.weights.iter().enumerate() {
            let name = format!("{}.{}", node.id, weight.name);
            let sizes = layers::weight_sizes(layer, weight.shape.sizes(), &input);
            let mut tensor = emit::tensor(&name, &sizes, DataType::Float, vec![]);
            let bytes = weight
                .shape
                .elements()?
                .checked_mul(4)
                .ok_or_else(|| Problem::overflow("the bytes of the weights"))?;
            match (&options.weights_file, network) {
                (Some(file), _) => {
                    tensor.data_location = 1;
                    let entry = |key: &str, value: String| StringStringEntryProto { key: key.into(), value };
                    tensor.external_data = vec![
                        entry("location", file.clone()),
                        entry("offset", offset.to_string()),
                        entry("length", bytes.to_string()),
                    ];
                    offset = next(offset, bytes);
                }
                (None, Some(network)) => {
                    if let Some(data) = network.weights(id).get(index) {
                        tensor.raw_data = Bytes::from(little_endian(data.data()));
                    }
                }
                (None, None) => {}
            }
            tensors.push(tensor);
        }
    }
    Ok(tensors)
}

/// Returns where the weight after one of `bytes` at `offset` starts.
fn next(offset: u64, bytes: u64) -> u64 {
    offset.saturating_add(bytes).div_ceil(ALIGNED).saturating_mul(ALIGNED)
}

/// Returns the bytes of all weights, each shared weight once.
pub fn bytes(graph: &Graph) -> u64 {
    let own = graph.nodes().iter().filter(|node| node.shares.is_none()).flat_map(|node| &node.weights);
    own.map(|weight| weight.shape.elements().unwrap_or(u64::MAX).saturating_mul(4))
        .fold(0, u64::saturating_add)
}

/// Writes the weights in the layout of the model's external data.
pub fn write_weights(network: &Network<'_, f32>, out: &mut impl std::io::Write) -> std::io::Result<()> {
    let mut offset = 0u64;
    for (_, _, _, tensor) in network.named() {
        let data = little_endian(tensor.data());
        out.write_all(&data)?;
        let end = offset + data.len() as u64;
        offset = next(offset, data.len() as u64);
        out.write_all(&vec![0; usize::try_from(offset - end).unwrap_or(0)])?;
    }
    Ok(())
}

fn little_endian(data: &[f32]) -> Vec<u8> {
    data.iter().flat_map(|value| value.to_le_bytes()).collect()
}
