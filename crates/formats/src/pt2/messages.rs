//! Nodes of ONNX's format, built one by one: what an exported program is translated into.

use std::collections::HashSet;

use bytes::Bytes;
use cnnkit_core::diagnostic::{Code, Problem};

use super::schema::{Dimension, TensorMeta};

use crate::onnx::proto::{
    AttributeProto, AttributeType, DataType, NodeProto, StringStringEntryProto, TensorProto,
};

/// An integer setting.
pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        i: Some(value),
        r#type: AttributeType::Int as i32,
        ..AttributeProto::default()
    }
}

/// Integers.
pub(super) fn ints(name: &str, values: Vec<i64>) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        ints: values,
        r#type: AttributeType::Ints as i32,
        ..AttributeProto::default()
    }
}

/// A number. The format has 32 bits for it; readers take the shortest decimal number that rounds to it.
pub(super) fn float(name: &str, value: f64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        f: Some(value as f32),
        r#type: AttributeType::Float as i32,
        ..AttributeProto::default()
    }
}

/// A text.
pub(super) fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        s: Some(Bytes::copy_from_slice(value.as_bytes())),
        r#type: AttributeType::String as i32,
        ..AttributeProto::default()
    }
}

/// A tensor.
pub(super) fn tensor(name: &str, value: TensorProto) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        t: Some(value),
        r#type: AttributeType::Tensor as i32,
        ..AttributeProto::default()
    }
}

/// A tensor of one element, as double or as 64-bit integer.
pub(super) fn scalar(value: f64, whole: bool, dims: Vec<i64>) -> TensorProto {
    let mut tensor = TensorProto { dims, ..TensorProto::default() };
    if whole {
        tensor.data_type = DataType::Int64 as i32;
        tensor.int64_data = vec![value as i64];
    } else {
        tensor.data_type = DataType::Double as i32;
        tensor.double_data = Bytes::copy_from_slice(&value.to_le_bytes());
    }
    tensor
}

/// The type of elements that PyTorch's schema numbers so.
pub(super) fn data_type(scalar_type: i64) -> DataType {
    match scalar_type {
        1 => DataType::Uint8,
        2 => DataType::Int8,
        3 => DataType::Int16,
        4 => DataType::Int32,
        5 => DataType::Int64,
        6 => DataType::Float16,
        7 => DataType::Float,
        8 => DataType::Double,
        10 => DataType::Complex64,
        11 => DataType::Complex128,
        12 => DataType::Bool,
        13 => DataType::Bfloat16,
        28 => DataType::Uint16,
        29 => DataType::Float8e4m3fn,
        30 => DataType::Float8e5m2,
        31 => DataType::Float8e4m3fnuz,
        32 => DataType::Float8e5m2fnuz,
        33 => DataType::Float8e8m0,
        34 => DataType::Uint32,
        35 => DataType::Uint64,
        _ => DataType::Undefined,
    }
}

/// Bytes of an element; none for types that have no bytes of their own.
pub(super) fn width(data_type: DataType) -> Option<u64> {
    use DataType as D;
    Some(match data_type {
        D::Uint8 | D::Int8 | D::Bool => 1,
        D::Float8e4m3fn | D::Float8e5m2 | D::Float8e4m3fnuz | D::Float8e5m2fnuz | D::Float8e8m0 => 1,
        D::Uint16 | D::Int16 | D::Float16 | D::Bfloat16 => 2,
        D::Int32 | D::Uint32 | D::Float => 4,
        D::Int64 | D::Uint64 | D::Double | D::Complex64 => 8,
        D::Complex128 => 16,
        _ => return None,
    })
}

/// Nodes so far, and where the next ones belong.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// The nodes.
    pub nodes: Vec<NodeProto>,
    /// The module path of the next nodes, as PyTorch's ONNX exporter writes it.
    pub scopes: String,
    /// How messages to people name the next nodes.
    pub name: String,
    /// Values that are stored, or computed from such alone.
    pub constants: HashSet<String>,
    made: usize,
}

impl Messages {
    /// Adds a node with `outputs` outputs; returns their names.
    pub fn add(
        &mut self,
        (domain, operator): (&str, &str),
        inputs: Vec<String>,
        outputs: usize,
        attributes: Vec<AttributeProto>,
    ) -> Vec<String> {
        let names: Vec<String> = (0..outputs)
            .map(|_| {
                self.made += 1;
                format!("{}%{}", self.name, self.made)
            })
            .collect();
        if inputs.iter().all(|input| input.is_empty() || self.constants.contains(input)) {
            self.constants.extend(names.iter().cloned());
        }
        self.nodes.push(NodeProto {
            input: inputs,
            output: names.clone(),
            name: self.name.clone(),
            op_type: operator.into(),
            domain: domain.into(),
            attribute: attributes,
            metadata_props: vec![StringStringEntryProto {
                key: crate::onnx::names::SCOPES.into(),
                value: self.scopes.clone(),
            }],
            ..NodeProto::default()
        });
        names
    }
}

/// A stored tensor without its data.
pub(super) fn stored(name: &str, meta: &TensorMeta) -> Result<TensorProto, Problem> {
    let size = |size: &Dimension| match size {
        Dimension::Known(size) => Ok(*size),
        Dimension::Expression(text) => {
            let message = format!("not supported: `{name}` has the open size {text}");
            Err(Problem::new(Code::InvalidValue, message).help("a stored tensor has fixed sizes"))
        }
    };
    Ok(TensorProto {
        name: name.into(),
        data_type: data_type(meta.dtype) as i32,
        dims: meta.sizes.iter().map(size).collect::<Result<_, _>>()?,
        ..TensorProto::default()
    })
}
