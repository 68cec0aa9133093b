//! What a pointwise layer is called elsewhere: its operators in ONNX, its module or expression in PyTorch.
//! Plain data that exporters and importers read; one entry serves both directions.

/// Attributes of an ONNX node.
pub trait Attributes {
    /// Returns the number `name`, or ONNX's default.
    fn float(&self, name: &str, default: f64) -> f64;

    /// Returns the string `name`.
    fn text(&self, name: &str) -> Option<&str>;
}

/// An ONNX operator with one tensor input that is a layer, in both directions.
#[derive(Debug)]
pub struct OnnxOperator<L> {
    /// Its name in ONNX.
    pub name: &'static str,
    /// Reads the layer from a node's attributes; none if the layer has no such settings.
    pub read: fn(&dyn Attributes) -> Option<L>,
    /// Writes the layer's arguments as attributes.
    pub write: fn(&L) -> Vec<OnnxAttribute>,
}

/// An attribute of an ONNX node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OnnxAttribute {
    /// A number.
    Float(&'static str, f64),
    /// A string.
    Text(&'static str, &'static str),
}

/// One of the ONNX nodes that compute a layer; the last one computes its output.
#[derive(Debug, Clone, PartialEq)]
pub struct OnnxNode {
    /// What it computes, in one word: part of its name.
    pub part: &'static str,
    /// Its operator.
    pub operator: &'static str,
    /// Its inputs.
    pub inputs: Vec<Operand>,
    /// Its attributes.
    pub attributes: Vec<OnnxAttribute>,
    /// Whether its output is boolean.
    pub choice: bool,
}

/// An input of an ONNX node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Operand {
    /// The layer's input.
    Input,
    /// The output of the node of this part.
    Part(&'static str),
    /// A constant with its name.
    Scalar(&'static str, f64),
    /// An optional input that is not given.
    Absent,
}

impl OnnxNode {
    /// Returns a node with this operator and these operands.
    pub fn new(part: &'static str, operator: &'static str, inputs: Vec<Operand>) -> Self {
        Self { part, operator, inputs, attributes: vec![], choice: false }
    }

    /// Returns the layer as a single node, with the first of its operators.
    pub fn single<L>(layer: &L, operators: &[OnnxOperator<L>]) -> Vec<Self> {
        let node = |operator: &OnnxOperator<L>| Self {
            attributes: (operator.write)(layer),
            ..Self::new("", operator.name, vec![Operand::Input])
        };
        operators.first().map(node).into_iter().collect()
    }

    /// Returns the same node, with a boolean output.
    #[must_use]
    pub fn choosing(self) -> Self {
        Self { choice: true, ..self }
    }
}

/// A layer in PyTorch: a module with its arguments, or an expression.
#[derive(Debug, Clone, PartialEq)]
pub struct PyTorch {
    /// The class of its module, if it is one: `nn.ReLU`.
    pub module: Option<&'static str>,
    /// The expression, if it is one. Placeholders: `{0}` is the input, `{0!}` the input as the object of a
    /// method call, `{0+}` and `{0*}` the input in a sum or a product, `{name}` an argument.
    pub call: String,
    /// Its arguments.
    pub arguments: Vec<Argument>,
    /// How tightly the expression binds.
    pub binds: Binds,
}

/// An argument in PyTorch.
#[derive(Debug, Clone, PartialEq)]
pub struct Argument {
    /// Its keyword.
    pub name: &'static str,
    /// Its value; Python's `None` if there is none.
    pub value: Option<ArgumentValue>,
    /// PyTorch's default, for a module's argument.
    pub default: &'static str,
}

/// The value of an argument in PyTorch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ArgumentValue {
    /// A number.
    Float(f64),
    /// A value as Python writes it.
    Written(&'static str),
}

/// How tightly an expression binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Binds {
    /// A sum.
    Sum,
    /// A product.
    Product,
    /// A call, a name, an index.
    #[default]
    Atom,
}

impl PyTorch {
    /// Returns a module of this class.
    pub fn module(class: &'static str) -> Self {
        Self { module: Some(class), call: String::new(), arguments: vec![], binds: Binds::Atom }
    }

    /// Returns an expression.
    pub fn call(call: impl Into<String>) -> Self {
        Self { module: None, call: call.into(), arguments: vec![], binds: Binds::Atom }
    }

    fn argument(mut self, name: &'static str, value: Option<ArgumentValue>, default: &'static str) -> Self {
        self.arguments.push(Argument { name, value, default });
        self
    }

    /// Adds an argument that is a number, with PyTorch's default.
    #[must_use]
    pub fn float(self, name: &'static str, value: f64, default: &'static str) -> Self {
        self.argument(name, Some(ArgumentValue::Float(value)), default)
    }

    /// Adds an argument of the expression: a number or `None`.
    #[must_use]
    pub fn inside(self, name: &'static str, value: Option<f64>) -> Self {
        self.argument(name, value.map(ArgumentValue::Float), "")
    }

    /// Adds an argument as Python writes it, with PyTorch's default.
    #[must_use]
    pub fn written(self, name: &'static str, value: &'static str, default: &'static str) -> Self {
        self.argument(name, Some(ArgumentValue::Written(value)), default)
    }

    /// Sets how tightly the expression binds, if less than a call.
    #[must_use]
    pub fn binding(self, binds: Binds) -> Self {
        Self { binds, ..self }
    }
}
