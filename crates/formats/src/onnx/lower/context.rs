//! The context of an operator's lowering: its node, the values so far, and the drafts that it adds.

use std::collections::{HashMap, HashSet};

use crate::onnx::blocks::Blocks;
use crate::onnx::constant::Constant;
use crate::onnx::declared::Origins;
use crate::onnx::inline::title;
use crate::onnx::ir::Draft;
use crate::onnx::joined::Joined;
use crate::onnx::names::{ModulePath, place};
use crate::onnx::proto::{AttributeProto, DataType, NodeProto, TensorProto};
use crate::onnx::quantisation::Quantised;
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::layers::{Io, Layer};
use cnnkit_core::shape::Shape;
use cnnkit_core::source::Origin;

/// Operator set of nodes for which the version does not matter.
pub(super) const LATEST: i64 = i64::MAX;

/// The reason why an operator did not become a layer.
#[derive(Debug)]
pub enum Flaw {
    /// The vocabulary has no equivalent: the node becomes an opaque layer with this reason.
    Unsupported(String),
    /// The model is invalid.
    Invalid(Problem),
}

impl From<Problem> for Flaw {
    fn from(problem: Problem) -> Self {
        Self::Invalid(problem)
    }
}

/// One value per output of the node.
pub type Outcome = Result<Vec<Value>, Flaw>;

/// The value of a name of the model.
#[derive(Debug, Clone)]
pub enum Value {
    /// A tensor computed from the network's inputs.
    Tensor(Tensor),
    /// A constant.
    Constant(Constant),
    /// A value of unknown shape, with the reason. [`Lower::unknown`] has the draft that produces it.
    Unknown(String),
}

/// A tensor of the model.
#[derive(Debug, Clone)]
pub struct Tensor {
    /// The draft that produces it.
    pub draft: usize,
    /// Its sizes in the model, batch included.
    pub dims: Vec<u64>,
    /// Index of its batch axis; none if the tensor has none (a batch of 1 that a reshape removed).
    pub batch: Option<usize>,
}

impl Tensor {
    /// Returns the axis of the graph's shape that corresponds to axis `axis` of the model's tensor; none for
    /// the batch.
    pub fn axis(&self, axis: usize) -> Option<usize> {
        match self.batch {
            Some(batch) if axis == batch => None,
            Some(batch) if axis > batch => Some(axis - 1),
            _ => Some(axis),
        }
    }

    /// Returns its shape in the graph.
    pub fn shape(&self) -> Shape {
        shape(&self.dims, self.batch)
    }
}

/// Returns the shape in the graph of a tensor of the model: without the batch axis, with at least one axis.
pub fn shape(dims: &[u64], batch: Option<usize>) -> Shape {
    let sizes: Vec<u64> =
        dims.iter().enumerate().filter(|&(axis, _)| Some(axis) != batch).map(|(_, &size)| size).collect();
    Shape::new(if sizes.is_empty() { vec![1] } else { sizes })
}

/// The state of an import.
#[derive(Debug, Default)]
pub struct Lower {
    /// The stored tensors that constants refer to.
    pub tensors: Vec<TensorProto>,
    /// The value of each name.
    pub values: HashMap<String, Value>,
    /// Shapes that the file itself states, batch included; a size that it does not state is none.
    pub stated: HashMap<String, Vec<Option<u64>>>,
    /// The layers so far.
    pub drafts: Vec<Draft>,
    /// Which of `tensors` are fixed: they stood in nodes, or the file lists them as no parameters.
    pub fixed: HashSet<usize>,
    /// Which of `tensors` have a name of PyTorch's newer exporter and none of the module's: made in code, or folded.
    pub made: HashSet<usize>,
    /// Names of the stored tensors that an exporter made, and the parameters from which it did, as far as it says so.
    pub exporters: HashSet<String>,
    /// See `exporters`.
    pub folded: HashMap<String, Vec<String>>,
    /// Which of `tensors` are parameters of a module that have one element.
    pub single: HashSet<usize>,
    /// Inputs whose elements are integers.
    pub whole: HashMap<usize, DataType>,
    /// Types of values, as far as the file states them.
    pub types: HashMap<String, DataType>,
    /// What the whole numbers of values stand for, by their names.
    pub quantised: HashMap<String, Quantised>,
    /// The model's outputs.
    pub returned: HashSet<String>,
    /// Whether the model has no initialisers, so that what stands in nodes is learned (Paddle, spox).
    pub weights_in_nodes: bool,
    /// Batch size of the file.
    pub batch: u64,
    /// The drafts that produce values of unknown shape, by the values' names.
    pub unknown: HashMap<String, usize>,
    /// Blocks of channels in a model that was saved for one processor.
    pub blocks: Blocks,
    /// What PyTorch's exporter put together.
    pub joined: Joined,
    /// Remarks about the whole model.
    pub remarks: Vec<String>,
    /// Current nesting in the branches of `If`.
    pub depth: usize,
    /// Nodes lowered so far, those of branches included.
    pub lowered: usize,
    /// Whether every stored tensor counts, numbers too, and every shape is stated: an exported program of PyTorch.
    pub exact: bool,
    /// Where the nodes of the file were written.
    pub origins: Origins,
    /// Where the node that is being lowered was written.
    pub origin: Origin,
    /// Number of elements of large computed constants that may still be stored: 2^25 in total, 256 MiB.
    pub room: u64,
}

/// A node, with the version of its operators.
#[derive(Debug, Clone, Copy)]
pub struct Use<'a> {
    /// The node.
    pub node: &'a NodeProto,
    /// The version.
    pub opset: i64,
}

impl<'a> Use<'a> {
    /// Returns the attribute `name`.
    pub fn attribute(&self, name: &str) -> Option<&'a AttributeProto> {
        self.node.attribute.iter().find(|attribute| attribute.name == name)
    }

    /// Returns an integer attribute, or its default.
    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).and_then(|attribute| attribute.i).unwrap_or(default)
    }

    /// Returns a floating-point attribute, or its default.
    pub fn float(&self, name: &str, default: f64) -> f64 {
        self.attribute(name).and_then(|attribute| attribute.f).map_or(default, shortest)
    }

    /// Returns an attribute that is a list of integers.
    pub fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.attribute(name).map(|attribute| attribute.ints.as_slice())
    }

    /// Returns a string attribute.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        std::str::from_utf8(self.attribute(name)?.s.as_ref()?).ok()
    }

    /// Returns whether input `index` is given.
    pub fn has(&self, index: usize) -> bool {
        self.node.input.get(index).is_some_and(|name| !name.is_empty())
    }

    /// Returns its number of outputs.
    pub fn outputs(&self) -> usize {
        self.node.output.len()
    }

    /// Resolves an axis that may count from the end; an error if there is no such axis.
    pub fn axis(&self, axis: i64, rank: usize) -> Result<usize, Problem> {
        let found = if axis < 0 { axis + rank as i64 } else { axis };
        usize::try_from(found).ok().filter(|&axis| axis < rank).ok_or_else(|| {
            Problem::new(
                Code::InvalidValue,
                format!("axis {axis} of a tensor with {rank} axes does not exist"),
            )
        })
    }

    /// Returns the flaw that `what` is not supported.
    pub fn unsupported<T>(&self, what: impl Into<String>) -> Result<T, Flaw> {
        Err(Flaw::Unsupported(what.into()))
    }
}

/// Returns an f32 as the shortest decimal number that rounds to it: 0.1, not 0.10000000149.
pub fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

impl Lower {
    /// Returns the value of input `index` of a node.
    pub fn value(&self, used: Use<'_>, index: usize) -> Result<&Value, Flaw> {
        let missing = || {
            let message =
                format!("input {index} is missing: {} has {}", used.node.op_type, used.node.input.len());
            Problem::new(Code::Missing, message).help("the file is damaged, or its writer is wrong")
        };
        let name = used.node.input.get(index).filter(|name| !name.is_empty()).ok_or_else(missing)?;
        self.values.get(name).ok_or_else(|| {
            Problem::new(Code::Reference, format!("it reads `{name}`, which is not known here")).into()
        })
    }

    /// Returns input `index`, which must be a tensor.
    pub fn tensor(&self, used: Use<'_>, index: usize) -> Result<Tensor, Flaw> {
        match self.value(used, index)? {
            Value::Tensor(tensor) => Ok(tensor.clone()),
            Value::Constant(_) => used.unsupported(format!("input {index} is a constant")),
            Value::Unknown(reason) => Err(Flaw::Unsupported(reason.clone())),
        }
    }

    /// Returns input `index`, which must be a constant.
    pub fn constant(&self, used: Use<'_>, index: usize) -> Result<Constant, Flaw> {
        match self.value(used, index)? {
            Value::Constant(constant) => Ok(constant.clone()),
            Value::Tensor(_) => used.unsupported(format!("input {index} is computed, not a constant")),
            Value::Unknown(reason) => Err(Flaw::Unsupported(reason.clone())),
        }
    }

    /// Returns input `index` if it is given; it must then be a constant.
    pub fn optional(&self, used: Use<'_>, index: usize) -> Result<Option<Constant>, Flaw> {
        if used.has(index) { self.constant(used, index).map(Some) } else { Ok(None) }
    }

    /// Returns the integers of input `index`, which must be known.
    pub fn known_ints(&self, used: Use<'_>, index: usize) -> Result<Vec<i64>, Flaw> {
        match self.constant(used, index)?.as_ints() {
            Some(values) => Ok(values.to_vec()),
            None => used.unsupported(format!("the values of input {index} are not known")),
        }
    }

    /// Returns integers that older operator sets have as an attribute and newer ones as input `index`; none
    /// if neither is given.
    pub fn setting(&self, used: Use<'_>, name: &str, index: usize) -> Result<Option<Vec<i64>>, Flaw> {
        match used.ints(name) {
            Some(values) => Ok(Some(values.to_vec())),
            None if used.has(index) => self.known_ints(used, index).map(Some),
            None => Ok(None),
        }
    }

    /// Returns whether a constant is learned: initialisers and results computed from them are; tensors stored
    /// in nodes, and results computed from them or from shapes, are fixed.
    pub fn is_learned(&self, constant: &Constant) -> bool {
        constant.derived || constant.root.is_some_and(|root| !self.fixed.contains(&root))
    }

    /// Returns whether a constant of one element is a parameter, not a setting of the arithmetic around it.
    pub fn is_single_parameter(&self, constant: &Constant) -> bool {
        (self.exact && self.is_learned(constant))
            || constant.root.is_some_and(|root| self.single.contains(&root))
    }

    /// Adds a remark about the whole model, once.
    pub fn remark(&mut self, remark: String) {
        if !self.remarks.contains(&remark) {
            self.remarks.push(remark);
        }
    }

    /// Adds a tensor of the file under its name.
    pub fn add_stored(&mut self, tensor: TensorProto) -> Result<(), Problem> {
        let constant = Constant::of_tensor(&tensor, self.tensors.len())?;
        self.values.insert(tensor.name.clone(), Value::Constant(constant));
        self.tensors.push(tensor);
        Ok(())
    }

    /// Adds a layer; the output's batch is axis `batch` of the model's tensor.
    pub fn emit(
        &mut self,
        used: Use<'_>,
        layer: Layer,
        inputs: &[&Tensor],
        weights: Vec<Constant>,
        batch: Option<usize>,
    ) -> Result<Tensor, Flaw> {
        // An exported program says of every node which module it belongs to, also where modules share a weight.
        let owner = if self.exact { None } else { self.owner(&weights) };
        let place = owner.unwrap_or_else(|| place(used.node));
        self.emit_at(place, title(used.node), layer, inputs, weights, batch)
    }

    /// Returns the module path in a weight's name: `layer1.0.conv1` of `layer1.0.conv1.weight`. It is more
    /// precise than the node's name where an exporter folded a batch norm and named the node after that.
    fn owner(&self, weights: &[Constant]) -> Option<ModulePath> {
        let name = &self.tensors.get(weights.first()?.root?)?.name;
        let module = name.strip_suffix(".weight").filter(|module| !module.contains(['/', ':']))?;
        Some(ModulePath { module: module.to_owned(), leaf: "weight".to_owned() })
    }

    /// Adds a layer with another module path than the node's.
    pub fn emit_at(
        &mut self,
        place: ModulePath,
        title: String,
        layer: Layer,
        inputs: &[&Tensor],
        weights: Vec<Constant>,
        batch: Option<usize>,
    ) -> Result<Tensor, Flaw> {
        let shapes: Vec<Shape> =
            inputs.iter().map(|tensor| self.drafts[tensor.draft].shape.clone()).collect();
        let output = layer.infer(&shapes)?;
        let io = Io { inputs: &shapes, output: &output };
        let declared = layer.weights(io)?;
        if declared.len() != weights.len() {
            let message =
                format!("a {} needs {} weights, it has {}", layer.doc().name, declared.len(), weights.len());
            return Err(Problem::shape(message).into());
        }
        for (declared, given) in declared.iter().zip(&weights) {
            if declared.shape.sizes() != given.dims {
                return Err(Problem::shape(format!(
                    "its {} is {}, but {} is needed here",
                    declared.name,
                    Shape::new(given.dims.clone()),
                    declared.shape
                ))
                .into());
            }
        }
        let mut dims = output.sizes().to_vec();
        if let Some(batch) = batch {
            dims.insert(batch.min(dims.len()), self.batch);
        }
        let draft = self.drafts.len();
        let inputs = inputs.iter().map(|tensor| tensor.draft).collect();
        let origin = self.origin.clone();
        self.drafts.push(Draft { place, title, layer: Some(layer), inputs, shape: output, weights, origin });
        Ok(Tensor { draft, dims, batch })
    }

    /// Adds a layer of one input, with the same batch axis.
    pub fn map(
        &mut self,
        used: Use<'_>,
        layer: Layer,
        input: &Tensor,
        weights: Vec<Constant>,
    ) -> Result<Tensor, Flaw> {
        self.emit(used, layer, &[input], weights, input.batch)
    }

    /// Adds a layer of one input without weights; returns it as the node's only output.
    pub fn simple(&mut self, used: Use<'_>, layer: Layer, input: &Tensor) -> Outcome {
        Ok(vec![Value::Tensor(self.map(used, layer, input, vec![])?)])
    }

    /// Returns `tensor` with these sizes in the model, which have the same number of elements; adds a
    /// `reshape` if the graph's shape changes.
    pub fn viewed(
        &mut self,
        used: Use<'_>,
        tensor: &Tensor,
        dims: &[u64],
        batch: Option<usize>,
    ) -> Result<Tensor, Flaw> {
        let wanted = shape(dims, batch);
        if wanted == self.drafts[tensor.draft].shape {
            return Ok(Tensor { draft: tensor.draft, dims: dims.to_vec(), batch });
        }
        let sizes: Vec<i64> =
            wanted.sizes().iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX)).collect();
        let reshape = Layer::Reshape(cnnkit_core::layers::reshape::Reshape { shape: sizes });
        let made = self.emit(used, reshape, &[tensor], vec![], batch)?;
        Ok(Tensor { draft: made.draft, dims: dims.to_vec(), batch })
    }

    /// Returns whether a draft is an input of integers, or moves the elements of one.
    pub fn is_whole(&self, draft: usize) -> bool {
        let mut draft = draft;
        loop {
            if self.whole.contains_key(&draft) {
                return true;
            }
            let moved = matches!(
                self.drafts[draft].layer,
                Some(
                    Layer::Reshape(_)
                        | Layer::Flatten(_)
                        | Layer::Permute(_)
                        | Layer::Slice(_)
                        | Layer::Gather(_)
                        | Layer::MaxPool(_)
                        | Layer::Concat(_)
                )
            );
            match self.drafts[draft].inputs.first() {
                Some(&input) if moved => draft = input,
                _ => return false,
            }
        }
    }

    /// Returns whether a draft depends on the network's inputs.
    pub fn moves(&self, draft: usize) -> bool {
        let (mut stack, mut seen) = (vec![draft], HashSet::new());
        while let Some(draft) = stack.pop() {
            match &self.drafts[draft].layer {
                None => return true,
                Some(Layer::LearnedTensor(_)) => {}
                Some(_) => {
                    stack.extend(self.drafts[draft].inputs.iter().filter(|input| seen.insert(**input)));
                }
            }
        }
        false
    }

    /// Returns the layer that produces `tensor`.
    pub fn layer(&self, tensor: &Tensor) -> Option<&Layer> {
        self.drafts[tensor.draft].layer.as_ref()
    }
}
