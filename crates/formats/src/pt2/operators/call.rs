//! One call of an operator on its way into ONNX's format: its arguments by name, and the nodes that it becomes.

pub(in crate::pt2) mod values;

use crate::onnx::constant::is_integer;
use crate::onnx::proto::{AttributeProto, DataType};
use crate::pt2::messages::{data_type, int, ints, scalar, tensor};
use crate::pt2::schema::{Argument, Node, Size, TensorMeta};
use values::Values;

/// Why a call is not translated; it is kept as an operator that is not analysed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pt2) struct Unsupported(pub String);

/// A name of ONNX's format for each tensor that the call returns.
pub(in crate::pt2) type Outcome = Result<Vec<String>, Unsupported>;

/// Why something is not translated.
pub(in crate::pt2) fn unsupported<T>(what: impl Into<String>) -> Result<T, Unsupported> {
    Err(Unsupported(what.into()))
}

/// A call of an operator.
pub(in crate::pt2) struct Call<'a, 'p> {
    /// The call.
    pub node: &'p Node,
    /// The operator without overload and without the mark of the form that changes its input: `aten.relu`.
    pub operator: &'a str,
    /// The overload: `default`, `Tensor`.
    pub overload: &'a str,
    /// All values so far.
    pub values: &'a mut Values<'p>,
}

impl<'p> Call<'_, 'p> {
    /// The argument `name`, if it is given.
    pub fn argument(&self, name: &str) -> Option<&'p Argument> {
        let found = self.node.inputs.iter().find(|argument| argument.name == name)?;
        (found.arg != Argument::None).then_some(&found.arg)
    }

    /// Argument number `index`, which must be given.
    pub fn at(&self, index: usize) -> Result<&'p Argument, Unsupported> {
        match self.node.inputs.get(index) {
            Some(argument) if argument.arg != Argument::None => Ok(&argument.arg),
            _ => unsupported(format!("argument {index} is missing")),
        }
    }

    /// The tensor that is its first argument.
    pub fn first(&mut self) -> Result<String, Unsupported> {
        let argument = self.at(0)?;
        self.operand(argument)
    }

    /// Description of the tensor that is its first argument.
    pub fn first_meta(&self) -> Result<&'p TensorMeta, Unsupported> {
        let argument = self.at(0)?;
        self.meta_of(argument)
    }

    /// Description of a tensor that is given.
    pub fn meta_of(&self, argument: &Argument) -> Result<&'p TensorMeta, Unsupported> {
        match argument {
            Argument::Tensor(name) => self
                .values
                .meta(name)
                .ok_or_else(|| Unsupported(format!("the shape of `{name}` is not stated"))),
            _ => unsupported("an argument that is no tensor"),
        }
    }

    /// Number of axes of the first argument.
    pub fn rank(&self) -> Result<usize, Unsupported> {
        Ok(self.first_meta()?.sizes.len())
    }

    /// Sizes of the first argument, which must be known.
    pub fn dims(&self) -> Result<Vec<i64>, Unsupported> {
        known(self.first_meta()?)
    }

    /// Whether the elements of the first argument are whole numbers or truth values.
    pub fn is_whole(&self) -> bool {
        self.first_meta().is_ok_and(|meta| is_integer(data_type(meta.dtype)))
    }

    /// Sizes of the tensor that it returns as number `index`.
    pub fn output_dims(&self, index: usize) -> Result<Vec<i64>, Unsupported> {
        let names = values::returned(self.node);
        let meta = names.get(index).and_then(|name| self.values.meta(name.as_ref()?));
        known(meta.ok_or_else(|| Unsupported("the shape of its output is not stated".into()))?)
    }

    /// The value that `argument` is: a tensor, or a number as a constant.
    pub fn operand(&mut self, argument: &Argument) -> Result<String, Unsupported> {
        match argument {
            Argument::Tensor(name) | Argument::Size(Size::Name(name)) => self.values.read(name),
            Argument::Int(value) | Argument::Size(Size::Known(value)) => Ok(self.whole(*value)),
            Argument::Float(value) => Ok(self.number(*value)),
            Argument::Bool(value) => Ok(self.whole(i64::from(*value))),
            other => unsupported(format!("an argument {other:?}")),
        }
    }

    /// The tensor `name`, if it is given.
    pub fn tensor(&mut self, name: &str) -> Result<Option<String>, Unsupported> {
        self.argument(name).map(|argument| self.operand(argument)).transpose()
    }

    /// The tensors of the first argument, a list.
    pub fn list(&mut self) -> Result<Vec<String>, Unsupported> {
        match self.at(0)? {
            Argument::Tensors(names) => names
                .iter()
                .map(|name| match name {
                    Some(name) => self.values.read(name),
                    None => unsupported("a tensor of the list is left out"),
                })
                .collect(),
            _ => unsupported("its first argument is no list of tensors"),
        }
    }

    /// An integer.
    pub fn int(&self, name: &str, default: i64) -> Result<i64, Unsupported> {
        match self.argument(name) {
            None => Ok(default),
            Some(Argument::Int(value) | Argument::Size(Size::Known(value))) => Ok(*value),
            Some(Argument::Bool(value)) => Ok(i64::from(*value)),
            Some(_) => unsupported(format!("its `{name}` is not known")),
        }
    }

    /// A truth value.
    pub fn flag(&self, name: &str, default: bool) -> bool {
        match self.argument(name) {
            Some(Argument::Bool(value)) => *value,
            _ => default,
        }
    }

    /// A number.
    pub fn float(&self, name: &str, default: f64) -> Result<f64, Unsupported> {
        match self.argument(name) {
            None => Ok(default),
            Some(Argument::Float(value)) => Ok(*value),
            Some(Argument::Int(value)) => Ok(*value as f64),
            Some(Argument::Bool(value)) => Ok(f64::from(u8::from(*value))),
            Some(_) => unsupported(format!("its `{name}` is not known")),
        }
    }

    /// A text.
    pub fn text(&self, name: &str) -> Option<&'p str> {
        match self.argument(name) {
            Some(Argument::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Integers, if they are given.
    pub fn ints(&self, name: &str) -> Result<Option<Vec<i64>>, Unsupported> {
        let open = |size: &Size| match size {
            Size::Known(value) => Ok(*value),
            Size::Name(_) => unsupported(format!("its `{name}` depends on an open size")),
        };
        match self.argument(name) {
            None => Ok(None),
            Some(Argument::Ints(values)) => Ok(Some(values.clone())),
            Some(Argument::Int(value)) => Ok(Some(vec![*value])),
            Some(Argument::Sizes(sizes)) => sizes.iter().map(open).collect::<Result<_, _>>().map(Some),
            Some(_) => unsupported(format!("its `{name}` is not known")),
        }
    }

    /// Integers, one for each of `count` axes; a single one is for all, an empty list as if none were given.
    pub fn per_axis(&self, name: &str, count: usize, default: i64) -> Result<Vec<i64>, Unsupported> {
        match self.ints(name)?.as_deref() {
            None | Some([]) => Ok(vec![default; count]),
            Some([one]) => Ok(vec![*one; count]),
            Some(values) if values.len() == count => Ok(values.to_vec()),
            Some(values) => unsupported(format!("its `{name}` has {} values for {count} axes", values.len())),
        }
    }

    /// Integers as a constant list, some of which may be computed from open sizes.
    pub fn sizes(&mut self, name: &str) -> Result<String, Unsupported> {
        let Some(Argument::Sizes(sizes)) = self.argument(name) else {
            return match self.ints(name)? {
                Some(values) => Ok(self.constant(values)),
                None => unsupported(format!("its `{name}` is missing")),
            };
        };
        let mut parts = Vec::with_capacity(sizes.len());
        for size in sizes {
            parts.push(match size {
                Size::Known(value) => self.constant(vec![*value]),
                Size::Name(name) => {
                    let value = self.values.read(name)?;
                    let one = self.constant(vec![1]);
                    self.emit("Reshape", vec![value, one], vec![])
                }
            });
        }
        Ok(self.emit("Concat", parts, vec![int("axis", 0)]))
    }

    /// An axis of a tensor with `rank` axes, counted from the front.
    pub fn axis(&self, axis: i64, rank: usize) -> Result<usize, Unsupported> {
        let rank = rank.max(1) as i64;
        let place = if axis < 0 { axis.saturating_add(rank) } else { axis };
        usize::try_from(place)
            .ok()
            .filter(|_| place < rank)
            .map_or_else(|| unsupported(format!("axis {axis} of a tensor with {rank} axes")), Ok)
    }

    /// Integers as a constant list.
    pub fn constant(&mut self, values: Vec<i64>) -> String {
        self.emit("Constant", vec![], vec![ints("value_ints", values)])
    }

    /// An integer as a constant.
    pub fn whole(&mut self, value: i64) -> String {
        self.emit("Constant", vec![], vec![int("value_int", value)])
    }

    /// A number as a constant.
    pub fn number(&mut self, value: f64) -> String {
        self.emit("Constant", vec![], vec![tensor("value", scalar(value, false, vec![]))])
    }

    /// A constant with the sizes of the list `sizes`, all of whose elements are `value`.
    pub fn filled(&mut self, sizes: String, value: f64, whole: bool) -> String {
        self.emit("ConstantOfShape", vec![sizes], vec![tensor("value", scalar(value, whole, vec![1]))])
    }

    /// `value` in the type of the first argument's elements.
    pub fn like_first(&mut self, value: f64) -> String {
        if self.is_whole() && value.fract() == 0.0 { self.whole(value as i64) } else { self.number(value) }
    }

    /// A tensor in floating point, which it may be already.
    pub fn as_float(&mut self, value: String) -> String {
        self.emit("Cast", vec![value], vec![int("to", DataType::Float as i64)])
    }

    /// Adds a node of ONNX with one output.
    pub fn emit(&mut self, operator: &str, inputs: Vec<String>, attributes: Vec<AttributeProto>) -> String {
        self.values.messages.add(("", operator), inputs, 1, attributes).remove(0)
    }

    /// Adds a node of ONNX with several outputs.
    pub fn emit_all(
        &mut self,
        operator: &str,
        inputs: Vec<String>,
        outputs: usize,
        attributes: Vec<AttributeProto>,
    ) -> Vec<String> {
        self.values.messages.add(("", operator), inputs, outputs, attributes)
    }

    /// Adds a node for which ONNX has no operator; see `onnx/lower/aten.rs`.
    pub fn emit_own(
        &mut self,
        operator: &str,
        inputs: Vec<String>,
        attributes: Vec<AttributeProto>,
    ) -> String {
        self.values.messages.add((crate::onnx::lower::ATEN, operator), inputs, 1, attributes).remove(0)
    }
}

/// The sizes of a tensor, all of which must be known.
pub(in crate::pt2) fn known(meta: &TensorMeta) -> Result<Vec<i64>, Unsupported> {
    let size = |size: &crate::pt2::schema::Dimension| match size {
        crate::pt2::schema::Dimension::Known(size) => Ok(*size),
        crate::pt2::schema::Dimension::Expression(text) => unsupported(format!("the open size {text}")),
    };
    meta.sizes.iter().map(size).collect()
}

/// One output.
pub(in crate::pt2) fn one(name: String) -> Outcome {
    Ok(vec![name])
}

/// The attributes of a window over space.
pub(in crate::pt2) fn window(stride: Vec<i64>, padding: Vec<i64>, dilation: Vec<i64>) -> Vec<AttributeProto> {
    let pads = [padding.clone(), padding].concat();
    vec![ints("strides", stride), ints("pads", pads), ints("dilations", dilation)]
}
