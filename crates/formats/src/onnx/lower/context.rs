//! What an operator's lowering works with: its node, the values so far, and the drafts that it adds.

use std::collections::{HashMap, HashSet};

use crate::onnx::constant::Constant;
use crate::onnx::inline::title;
use crate::onnx::ir::Draft;
use crate::onnx::names::{ModulePath, place};
use crate::onnx::proto::{AttributeProto, DataType, NodeProto, TensorProto};
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::layers::{Io, Layer};
use cnnkit_core::shape::Shape;

/// Operator set of nodes whose own is of no matter.
pub(super) const LATEST: i64 = i64::MAX;

/// Why an operator did not become a layer.
#[derive(Debug)]
pub enum Flaw {
    /// The vocabulary has nothing for it: the node is kept as an opaque one. The reason.
    Unsupported(String),
    /// The model is wrong.
    Invalid(Problem),
}

impl From<Problem> for Flaw {
    fn from(problem: Problem) -> Self {
        Self::Invalid(problem)
    }
}

/// One value an output of the node.
pub type Outcome = Result<Vec<Value>, Flaw>;

/// What a name of the model stands for.
#[derive(Debug, Clone)]
pub enum Value {
    /// Something computed from the network's inputs.
    Tensor(Tensor),
    /// A constant.
    Constant(Constant),
    /// A value whose shape cannot be known; why. [`Lower::unknown`] has the draft that makes it.
    Unknown(String),
}

/// A tensor of the model.
#[derive(Debug, Clone)]
pub struct Tensor {
    /// The draft that makes it.
    pub draft: usize,
    /// Its sizes as the model sees it, batch included.
    pub dims: Vec<u64>,
    /// Which of them is the batch; none if the tensor has no batch axis (a batch of 1 that was reshaped away).
    pub batch: Option<usize>,
}

impl Tensor {
    /// The axis of the graph's shape that is axis `axis` of the model's tensor; none for the batch.
    pub fn axis(&self, axis: usize) -> Option<usize> {
        match self.batch {
            Some(batch) if axis == batch => None,
            Some(batch) if axis > batch => Some(axis - 1),
            _ => Some(axis),
        }
    }

    /// Its shape in the graph.
    pub fn shape(&self) -> Shape {
        shape(&self.dims, self.batch)
    }
}

/// The shape in the graph of a tensor of the model: without the batch axis, at least one axis.
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
    /// What each name stands for.
    pub values: HashMap<String, Value>,
    /// Shapes that the file itself states, batch included; a size that it does not state is none.
    pub stated: HashMap<String, Vec<Option<u64>>>,
    /// The layers so far.
    pub drafts: Vec<Draft>,
    /// Which of `tensors` stood in nodes, and are fixed: initialisers are learned.
    pub in_nodes: HashSet<usize>,
    /// Inputs whose elements are whole numbers.
    pub whole: HashMap<usize, DataType>,
    /// Whether the model has no initialisers, so that what stands in nodes is learned (Paddle, spox).
    pub weights_in_nodes: bool,
    /// Images at once in the file.
    pub batch: u64,
    /// The drafts that make values of unknown shape, by the values' names.
    pub unknown: HashMap<String, usize>,
    /// Remarks about the whole model.
    pub remarks: Vec<String>,
    /// How deep in the branches of `If` we are.
    pub depth: usize,
    /// Nodes lowered so far, those of branches included.
    pub lowered: usize,
    /// Whether every stored tensor counts, numbers too, and every shape is stated: an exported program of PyTorch.
    pub exact: bool,
    /// Elements of large computed constants that may still be kept: 2^25 in all, 256 MiB.
    pub room: u64,
}

/// A node, and the version of its operators.
#[derive(Debug, Clone, Copy)]
pub struct Use<'a> {
    /// The node.
    pub node: &'a NodeProto,
    /// The version.
    pub opset: i64,
}

impl<'a> Use<'a> {
    /// The attribute `name`.
    pub fn attribute(&self, name: &str) -> Option<&'a AttributeProto> {
        self.node.attribute.iter().find(|attribute| attribute.name == name)
    }

    /// An integer.
    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).and_then(|attribute| attribute.i).unwrap_or(default)
    }

    /// A number.
    pub fn float(&self, name: &str, default: f64) -> f64 {
        self.attribute(name).and_then(|attribute| attribute.f).map_or(default, shortest)
    }

    /// Integers.
    pub fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.attribute(name).map(|attribute| attribute.ints.as_slice())
    }

    /// A text.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        std::str::from_utf8(self.attribute(name)?.s.as_ref()?).ok()
    }

    /// Whether input `index` is given.
    pub fn has(&self, index: usize) -> bool {
        self.node.input.get(index).is_some_and(|name| !name.is_empty())
    }

    /// How many outputs it has.
    pub fn outputs(&self) -> usize {
        self.node.output.len()
    }

    /// An axis that may count from the end.
    pub fn axis(&self, axis: i64, rank: usize) -> Result<usize, Problem> {
        let found = if axis < 0 { axis + rank as i64 } else { axis };
        usize::try_from(found).ok().filter(|&axis| axis < rank).ok_or_else(|| {
            Problem::new(
                Code::InvalidValue,
                format!("axis {axis} of a tensor with {rank} axes does not exist"),
            )
        })
    }

    /// That something is not supported.
    pub fn unsupported<T>(&self, what: impl Into<String>) -> Result<T, Flaw> {
        Err(Flaw::Unsupported(what.into()))
    }
}

/// An f32 as the decimal number that was meant: 0.1, not 0.10000000149.
pub fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

impl Lower {
    /// What input `index` of a node is.
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

    /// Input `index`, which must be a tensor.
    pub fn tensor(&self, used: Use<'_>, index: usize) -> Result<Tensor, Flaw> {
        match self.value(used, index)? {
            Value::Tensor(tensor) => Ok(tensor.clone()),
            Value::Constant(_) => used.unsupported(format!("input {index} is a constant")),
            Value::Unknown(reason) => Err(Flaw::Unsupported(reason.clone())),
        }
    }

    /// Input `index`, which must be a constant.
    pub fn constant(&self, used: Use<'_>, index: usize) -> Result<Constant, Flaw> {
        match self.value(used, index)? {
            Value::Constant(constant) => Ok(constant.clone()),
            Value::Tensor(_) => used.unsupported(format!("input {index} is computed, not a constant")),
            Value::Unknown(reason) => Err(Flaw::Unsupported(reason.clone())),
        }
    }

    /// Input `index` if it is given; it must be a constant then.
    pub fn optional(&self, used: Use<'_>, index: usize) -> Result<Option<Constant>, Flaw> {
        if used.has(index) { self.constant(used, index).map(Some) } else { Ok(None) }
    }

    /// The integers of input `index`, which must be known.
    pub fn known_ints(&self, used: Use<'_>, index: usize) -> Result<Vec<i64>, Flaw> {
        match self.constant(used, index)?.as_ints() {
            Some(values) => Ok(values.to_vec()),
            None => used.unsupported(format!("the values of input {index} are not known")),
        }
    }

    /// Integers that older operator sets have as an attribute and newer ones as input `index`; none if neither is given.
    pub fn setting(&self, used: Use<'_>, name: &str, index: usize) -> Result<Option<Vec<i64>>, Flaw> {
        match used.ints(name) {
            Some(values) => Ok(Some(values.to_vec())),
            None if used.has(index) => self.known_ints(used, index).map(Some),
            None => Ok(None),
        }
    }

    /// Initialisers, and what is computed from them, are learned; tensors that stand in nodes, and what is computed from them
    /// or from shapes, are fixed.
    pub fn is_learned(&self, constant: &Constant) -> bool {
        constant.derived || constant.root.is_some_and(|root| !self.in_nodes.contains(&root))
    }

    /// Says something about the whole model, once.
    pub fn remark(&mut self, remark: String) {
        if !self.remarks.contains(&remark) {
            self.remarks.push(remark);
        }
    }

    /// Makes a tensor of the file known by its name.
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

    /// The module that a weight's name tells: `layer1.0.conv1` of `layer1.0.conv1.weight`. It says more than the node's
    /// name where an exporter folded a batch norm: the node is then named after that.
    fn owner(&self, weights: &[Constant]) -> Option<ModulePath> {
        let name = &self.tensors.get(weights.first()?.root?)?.name;
        let module = name.strip_suffix(".weight").filter(|module| !module.contains(['/', ':']))?;
        Some(ModulePath { module: module.to_owned(), leaf: "weight".to_owned() })
    }

    /// Adds a layer at another place than the node's.
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
        self.drafts.push(Draft { place, title, layer: Some(layer), inputs, shape: output, weights });
        Ok(Tensor { draft, dims, batch })
    }

    /// Adds a layer of one input that keeps the place of the batch.
    pub fn map(
        &mut self,
        used: Use<'_>,
        layer: Layer,
        input: &Tensor,
        weights: Vec<Constant>,
    ) -> Result<Tensor, Flaw> {
        self.emit(used, layer, &[input], weights, input.batch)
    }

    /// A layer of one input and no weights, as the node's only output.
    pub fn simple(&mut self, used: Use<'_>, layer: Layer, input: &Tensor) -> Outcome {
        Ok(vec![Value::Tensor(self.map(used, layer, input, vec![])?)])
    }

    /// `tensor` seen with these sizes of the model, which have as many elements; a `reshape` if the graph's shape
    /// changes.
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

    /// Whether a draft is an input of whole numbers, or moves the elements of one.
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

    /// Whether what a draft makes depends on the network's inputs.
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

    /// The layer that made `tensor`.
    pub fn layer(&self, tensor: &Tensor) -> Option<&Layer> {
        self.drafts[tensor.draft].layer.as_ref()
    }
}
