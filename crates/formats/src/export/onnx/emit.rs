//! The ONNX nodes of one layer: its last node and value have the layer's id, earlier ones have names below it
//! (`id/pool`).

use bytes::Bytes;

use crate::onnx::proto::{AttributeProto, AttributeType, DataType, NodeProto, TensorProto};

/// A value and its sizes, without the batch.
#[derive(Debug, Clone)]
pub(super) struct Value {
    /// Its name.
    pub(super) name: String,
    /// Its sizes; the batch axis comes before them, times [`Value::rows`].
    pub(super) sizes: Vec<u64>,
    /// The factor of the batch size, for maps that are folded into the batch. 0 for a value without a batch axis.
    pub(super) rows: u64,
}

impl Value {
    /// Returns a value with one row per image.
    pub(super) fn new(name: impl Into<String>, sizes: impl Into<Vec<u64>>) -> Self {
        Self { name: name.into(), sizes: sizes.into(), rows: 1 }
    }

    /// Returns the number of spatial axes.
    pub(super) fn rank(&self) -> usize {
        self.sizes.len().saturating_sub(1)
    }

    /// Returns the size of axis 0.
    pub(super) fn channels(&self) -> u64 {
        self.sizes.first().copied().unwrap_or(1)
    }

    /// Returns the sizes of the axes after the first.
    pub(super) fn spatial(&self) -> &[u64] {
        self.sizes.get(1..).unwrap_or(&[])
    }
}

/// An attribute of a node.
pub(super) type Attribute = AttributeProto;

/// The nodes and constants of one layer.
#[derive(Debug)]
pub(super) struct Layer<'a> {
    id: &'a str,
    /// The layer that owns its weights.
    owner: &'a str,
    /// The nodes so far.
    pub(super) nodes: Vec<NodeProto>,
    /// Their output values, including the last one.
    pub(super) values: Vec<Value>,
    /// Constants that are not weights.
    pub(super) constants: Vec<TensorProto>,
}

impl<'a> Layer<'a> {
    pub(super) fn new(id: &'a str, owner: &'a str) -> Self {
        Self { id, owner, nodes: vec![], values: vec![], constants: vec![] }
    }

    /// Returns the name of a weight.
    pub(super) fn weight(&self, name: &str) -> String {
        format!("{}.{name}", self.owner)
    }

    /// Adds a node before the last; `part` names its purpose.
    pub(super) fn before(
        &mut self,
        part: &str,
        operator: &str,
        inputs: Vec<String>,
        attributes: Vec<Attribute>,
        sizes: impl Into<Vec<u64>>,
    ) -> Value {
        let value = Value::new(format!("{}/{part}", self.id), sizes);
        self.node(operator, inputs, attributes, value)
    }

    /// Adds the last node.
    pub(super) fn last(
        &mut self,
        operator: &str,
        inputs: Vec<String>,
        attributes: Vec<Attribute>,
        sizes: impl Into<Vec<u64>>,
    ) {
        let value = Value::new(self.id, sizes);
        self.node(operator, inputs, attributes, value);
    }

    /// Adds a node with integer output, whose type the reader of the model infers.
    pub(super) fn whole(
        &mut self,
        part: &str,
        operator: &str,
        inputs: Vec<String>,
        attributes: Vec<Attribute>,
    ) -> String {
        let value = Value::new(self.below(part), []);
        let made = self.node(operator, inputs, attributes, value);
        self.values.pop();
        made.name
    }

    /// Adds the last node: `value` in another shape, in which -1 is inferred.
    pub(super) fn last_reshaped_to(&mut self, value: &Value, shape: &[i64], sizes: &[u64]) {
        let shape = self.integers("to_shape", shape);
        self.last("Reshape", vec![value.name.clone(), shape], vec![], sizes);
    }

    /// Adds a node with boolean output, whose type the reader of the model infers.
    pub(super) fn choice(&mut self, part: &str, operator: &str, inputs: Vec<String>) -> String {
        let value = Value::new(self.below(part), []);
        let made = self.node(operator, inputs, vec![], value);
        self.values.pop();
        made.name
    }

    /// Adds a node that computes `value`.
    pub(super) fn node(
        &mut self,
        operator: &str,
        inputs: Vec<String>,
        attributes: Vec<Attribute>,
        value: Value,
    ) -> Value {
        self.nodes.push(NodeProto {
            input: inputs,
            output: vec![value.name.clone()],
            name: value.name.clone(),
            op_type: operator.to_owned(),
            attribute: attributes,
            ..NodeProto::default()
        });
        self.values.push(value.clone());
        value
    }

    /// Returns the id with `part` below it.
    pub(super) fn below(&self, part: &str) -> String {
        format!("{}/{part}", self.id)
    }

    /// Adds a constant of integers.
    pub(super) fn integers(&mut self, part: &str, values: &[i64]) -> String {
        let name = self.below(part);
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constants.push(tensor(&name, &[values.len() as u64], DataType::Int64, raw));
        name
    }

    /// Adds a constant of numbers with these sizes; no sizes for a scalar.
    pub(super) fn numbers(&mut self, part: &str, sizes: &[u64], values: &[f32]) -> String {
        let name = self.below(part);
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constants.push(tensor(&name, sizes, DataType::Float, raw));
        name
    }

    /// Adds a scalar constant.
    pub(super) fn scalar(&mut self, part: &str, value: f64) -> String {
        self.numbers(part, &[], &[value as f32])
    }

    /// Adds a constant of `count` equal numbers.
    pub(super) fn filled(&mut self, part: &str, count: u64, value: f32) -> String {
        self.numbers(part, &[count], &vec![value; usize::try_from(count).unwrap_or(0)])
    }

    /// Adds a node that reshapes `value`; the batch axis stays.
    pub(super) fn reshaped(&mut self, part: &str, value: &Value, sizes: &[u64]) -> Value {
        let shape = self.shape(part, sizes);
        self.before(part, "Reshape", vec![value.name.clone(), shape], vec![], sizes)
    }

    /// Adds the last node: `value` in another shape.
    pub(super) fn last_reshaped(&mut self, value: &Value, sizes: &[u64]) {
        let shape = self.shape("to", sizes);
        self.last("Reshape", vec![value.name.clone(), shape], vec![], sizes);
    }

    fn shape(&mut self, part: &str, sizes: &[u64]) -> String {
        // A 0 keeps the batch size, also if it is dynamic.
        let shape: Vec<i64> = std::iter::once(0).chain(sizes.iter().map(|&size| size as i64)).collect();
        self.integers(&format!("{part}_shape"), &shape)
    }

    /// Adds a node that permutes the axes of `value`, not counting the batch.
    pub(super) fn transposed(&mut self, part: &str, value: &Value, axes: &[usize]) -> Value {
        let sizes: Vec<u64> = axes.iter().map(|&axis| value.sizes[axis]).collect();
        self.before(part, "Transpose", vec![value.name.clone()], vec![permutation(axes)], sizes)
    }
}

/// Returns the attribute of a Transpose, from axes without the batch.
pub(super) fn permutation(axes: &[usize]) -> Attribute {
    ints("perm", std::iter::once(0).chain(axes.iter().map(|&axis| axis as i64 + 1)))
}

/// Returns a tensor with its data.
pub(super) fn tensor(name: &str, sizes: &[u64], kind: DataType, raw: Vec<u8>) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: sizes.iter().map(|&size| size as i64).collect(),
        data_type: kind as i32,
        raw_data: Bytes::from(raw),
        ..TensorProto::default()
    }
}

fn attribute(name: &str, kind: AttributeType) -> Attribute {
    AttributeProto { name: name.to_owned(), r#type: kind as i32, ..AttributeProto::default() }
}

/// Returns an integer attribute.
pub(super) fn int(name: &str, value: i64) -> Attribute {
    Attribute { i: Some(value), ..attribute(name, AttributeType::Int) }
}

/// Returns an attribute that is a list of integers.
pub(super) fn ints(name: &str, values: impl IntoIterator<Item = i64>) -> Attribute {
    Attribute { ints: values.into_iter().collect(), ..attribute(name, AttributeType::Ints) }
}

/// Returns an attribute that is a number.
pub(super) fn float(name: &str, value: f64) -> Attribute {
    Attribute { f: Some(value as f32), ..attribute(name, AttributeType::Float) }
}

/// Returns an attribute that is a string.
pub(super) fn text(name: &str, value: &'static str) -> Attribute {
    Attribute { s: Some(Bytes::from_static(value.as_bytes())), ..attribute(name, AttributeType::String) }
}
