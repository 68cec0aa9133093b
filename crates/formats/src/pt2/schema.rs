//! The parts of an exported program that are read, as `torch/_export/serde/schema.py` (major version 8) has them. Fields and
//! kinds of arguments that newer minor versions add are accepted and not looked at.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};

/// A whole program.
#[derive(Debug, Deserialize)]
pub struct Program {
    /// Its graph and signature.
    pub graph_module: GraphModule,
    /// Version of the schema.
    pub schema_version: SchemaVersion,
}

/// Version of the schema: the major one changes where old readers are wrong.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct SchemaVersion {
    /// Differs where the meaning of fields does.
    pub major: i64,
}

/// Of a program, its version alone: read first, so that another version is told from a damaged file.
#[derive(Debug, Deserialize)]
pub struct Versioned {
    /// Version of the schema.
    pub schema_version: SchemaVersion,
}

/// A graph, and what its inputs and outputs are.
#[derive(Debug, Deserialize)]
pub struct GraphModule {
    /// The nodes.
    pub graph: Graph,
    /// What the graph's inputs and outputs are.
    pub signature: Signature,
}

/// Nodes in execution order.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Graph {
    /// What it is given.
    #[serde(default)]
    pub inputs: Vec<Argument>,
    /// What it returns.
    #[serde(default)]
    pub outputs: Vec<Argument>,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// Type and shape of every tensor, by its name.
    #[serde(default)]
    pub tensor_values: BTreeMap<String, TensorMeta>,
}

/// A call of an operator.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Node {
    /// The operator: `torch.ops.aten.conv2d.default`.
    pub target: String,
    /// Arguments that are given; those with their default are left out.
    pub inputs: Vec<NamedArgument>,
    /// What it returns.
    pub outputs: Vec<Argument>,
    /// Where it comes from.
    #[serde(default)]
    pub metadata: Metadata,
}

/// Where a node comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Metadata {
    /// Modules one inside the other: `key,path,class;key,path,class`.
    #[serde(default)]
    pub nn_module_stack: Option<String>,
}

/// An argument with its name in the operator's schema.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct NamedArgument {
    /// Its name; empty for operators without a schema.
    #[serde(default)]
    pub name: String,
    /// Its value.
    pub arg: Argument,
}

/// A value that is given or returned.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument {
    /// Nothing.
    None,
    /// A tensor, by its name.
    Tensor(String),
    /// Several tensors, some of which may be left out.
    Tensors(Vec<Option<String>>),
    /// An integer.
    Int(i64),
    /// Integers.
    Ints(Vec<i64>),
    /// A number.
    Float(f64),
    /// Numbers.
    Floats(Vec<f64>),
    /// A text.
    Text(String),
    /// A truth value.
    Bool(bool),
    /// An integer that may be computed from open sizes.
    Size(Size),
    /// Integers, some of which may be computed from open sizes.
    Sizes(Vec<Size>),
    /// Type of elements.
    ScalarType(i64),
    /// A graph that the operator runs.
    Graph(Box<Graph>),
    /// Anything else: its kind.
    Other(String),
}

/// An integer, or the name of one that is computed from open sizes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Size {
    /// An integer.
    Known(i64),
    /// A name.
    Name(String),
}

/// Type and shape of a tensor.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct TensorMeta {
    /// Type of its elements.
    pub dtype: i64,
    /// Sizes of its axes; an open one is an expression.
    pub sizes: Vec<Dimension>,
    /// Distances between neighbours along each axis, in elements.
    #[serde(default)]
    pub strides: Vec<Dimension>,
    /// Its first element in its storage.
    #[serde(default)]
    pub storage_offset: Option<Dimension>,
}

/// An integer, or an expression of open sizes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dimension {
    /// An integer.
    Known(i64),
    /// An expression: `s0`, `s0 + 1`.
    Expression(String),
}

/// What the graph's inputs and outputs are.
#[derive(Debug, Deserialize)]
pub struct Signature {
    /// In the order of the graph's inputs.
    pub input_specs: Vec<Input>,
    /// In the order of the graph's outputs.
    pub output_specs: Vec<Output>,
}

/// An input of the graph.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Given by the caller.
    User(Argument),
    /// A parameter: its name in the graph, and in the module.
    Parameter(String, String),
    /// A buffer: its name in the graph, and in the module.
    Buffer(String, String),
    /// A tensor that stood in the code: its name in the graph, and among the program's constants.
    Constant(String, String),
    /// Anything else: its kind.
    Other(String),
}

/// An output of the graph.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Returned to the caller.
    User(Argument),
    /// Anything else: a buffer that is changed, a token.
    Other,
}

/// Where stored tensors are in the archive, by their names.
#[derive(Debug, Default, Deserialize)]
pub struct Payloads {
    /// Each tensor's place.
    pub config: BTreeMap<String, Payload>,
}

/// Where a stored tensor is.
#[derive(Debug, Clone, Deserialize)]
pub struct Payload {
    /// The entry of the archive.
    pub path_name: String,
    /// Whether it is a Python object.
    #[serde(default)]
    pub use_pickle: bool,
    /// What the tensor is in its storage; none for objects.
    #[serde(default)]
    pub tensor_meta: Option<TensorMeta>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct InSignature {
    arg: Named,
    #[serde(default, alias = "buffer_name", alias = "tensor_constant_name")]
    parameter_name: String,
}

#[derive(Deserialize)]
struct UserSpec {
    arg: Argument,
}

/// A float as it is written: JSON has no infinity.
struct Float(f64);

impl<'de> Deserialize<'de> for Float {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A number has as many digits as its writer wants.
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Number(number) => number
                .as_f64()
                .map(Self)
                .ok_or_else(|| D::Error::custom(format!("`{number}` is not a number"))),
            serde_json::Value::String(text) => match text.as_str() {
                "Infinity" | "inf" => Ok(Self(f64::INFINITY)),
                "-Infinity" | "-inf" => Ok(Self(f64::NEG_INFINITY)),
                "NaN" | "nan" => Ok(Self(f64::NAN)),
                other => Err(D::Error::custom(format!("`{other}` is not a number"))),
            },
            other => Err(D::Error::custom(format!("`{other}` is not a number"))),
        }
    }
}

/// Deserializes a union: an object with one key, which is the kind of its value. `None` stands for a kind that is not known.
macro_rules! union {
    ($type:ty, $map:ident, $other:ident, { $($kind:pat => $value:expr,)* }, $unknown:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Union;
                impl<'de> Visitor<'de> for Union {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object whose only key is the kind of its value")
                    }

                    fn visit_map<A: MapAccess<'de>>(self, mut $map: A) -> Result<$type, A::Error> {
                        let mut found: Option<$type> = None;
                        // Older files write all other kinds as null.
                        while let Some(kind) = $map.next_key::<String>()? {
                            let value: Option<$type> = match kind.as_str() {
                                $($kind => $value,)*
                                _ => {
                                    $map.next_value::<IgnoredAny>()?;
                                    let $other = kind;
                                    Some($unknown)
                                }
                            };
                            found = found.or(value);
                        }
                        found.ok_or_else(|| A::Error::custom("a value without a kind"))
                    }
                }
                deserializer.deserialize_map(Union)
            }
        }
    };
}

fn names(list: Vec<Named>) -> Vec<Option<String>> {
    list.into_iter().map(|tensor| Some(tensor.name)).collect()
}

fn floats(list: Vec<Float>) -> Vec<f64> {
    list.into_iter().map(|value| value.0).collect()
}

union!(Argument, map, other, {
    "as_none" => map.next_value::<IgnoredAny>().map(|_| Some(Argument::None))?,
    "as_tensor" => map.next_value::<Option<Named>>()?.map(|tensor| Argument::Tensor(tensor.name)),
    "as_tensors" => map.next_value::<Option<Vec<Named>>>()?.map(|list| Argument::Tensors(names(list))),
    "as_optional_tensor" => map.next_value::<Option<Optional>>()?.map(|tensor| match tensor.0 {
        Some(name) => Argument::Tensor(name),
        None => Argument::None,
    }),
    "as_optional_tensors" => map.next_value::<Option<Vec<Optional>>>()?
        .map(|list| Argument::Tensors(list.into_iter().map(|tensor| tensor.0).collect())),
    "as_int" => map.next_value::<Option<i64>>()?.map(Argument::Int),
    "as_ints" => map.next_value::<Option<Vec<i64>>>()?.map(Argument::Ints),
    "as_float" => map.next_value::<Option<Float>>()?.map(|value| Argument::Float(value.0)),
    "as_floats" => map.next_value::<Option<Vec<Float>>>()?.map(|list| Argument::Floats(floats(list))),
    "as_string" => map.next_value::<Option<String>>()?.map(Argument::Text),
    "as_bool" => map.next_value::<Option<bool>>()?.map(Argument::Bool),
    "as_sym_int" => map.next_value::<Option<Size>>()?.map(Argument::Size),
    "as_sym_ints" => map.next_value::<Option<Vec<Size>>>()?.map(Argument::Sizes),
    "as_graph" => map.next_value::<Option<InGraph>>()?.map(|inner| Argument::Graph(Box::new(inner.graph))),
    "as_scalar_type" => map.next_value::<Option<i64>>()?.map(Argument::ScalarType),
}, Argument::Other(other));

/// A graph with its name.
#[derive(Deserialize)]
struct InGraph {
    graph: Graph,
}

/// A tensor that may be left out.
struct Optional(Option<String>);

union!(Optional, map, _other, {
    "as_tensor" => map.next_value::<Option<Named>>()?.map(|tensor| Optional(Some(tensor.name))),
}, Optional(None));

union!(Size, map, _other, {
    "as_int" => map.next_value::<Option<i64>>()?.map(Size::Known),
    "as_name" => map.next_value::<Option<String>>()?.map(Size::Name),
}, Size::Name(String::new()));

/// The text of an expression.
#[derive(Deserialize)]
struct Expression {
    expr_str: String,
}

union!(Dimension, map, _other, {
    "as_int" => map.next_value::<Option<i64>>()?.map(Dimension::Known),
    "as_expr" => map.next_value::<Option<Expression>>()?.map(|text| Dimension::Expression(text.expr_str)),
}, Dimension::Expression(String::new()));

union!(Input, map, other, {
    "user_input" => map.next_value::<Option<UserSpec>>()?.map(|spec| Input::User(spec.arg)),
    "parameter" => map.next_value::<Option<InSignature>>()?
        .map(|spec| Input::Parameter(spec.arg.name, spec.parameter_name)),
    "buffer" => map.next_value::<Option<InSignature>>()?
        .map(|spec| Input::Buffer(spec.arg.name, spec.parameter_name)),
    "tensor_constant" => map.next_value::<Option<InSignature>>()?
        .map(|spec| Input::Constant(spec.arg.name, spec.parameter_name)),
}, Input::Other(other));

union!(Output, map, _other, {
    "user_output" => map.next_value::<Option<UserSpec>>()?.map(|spec| Output::User(spec.arg)),
}, Output::Other);
