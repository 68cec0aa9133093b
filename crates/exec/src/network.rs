//! A network with its weights.

use std::collections::HashMap;
use std::sync::Arc;

use crate::random::Stream;
use crate::scalar::Scalar;
use crate::tensor::{Tensor, batched};
use cnnkit_core::diagnostic::{Code, Problem, did_you_mean};
use cnnkit_core::graph::{Graph, NodeId, Op};
use cnnkit_core::layers::{Init, Weight};

/// How weights are initialised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// As the layers declare, which are PyTorch's defaults: convolutions and linear layers are uniform in
    /// +-1/sqrt(fan_in); norms start as the identity, the offsets of deformable convolutions and layer scales at 0 or
    /// near it.
    Declared,
    /// As declared, but without constants: a weight that would start as a constant c is uniform in c +- 1/2,
    /// so that no path is dead or hidden by a zero.
    Generic,
}

/// A graph with one tensor per weight that it declares; shared weights are stored once.
#[derive(Debug, Clone)]
pub struct Network<'g, S> {
    /// The graph.
    pub graph: &'g Graph,
    /// One list per node; empty where a node uses another's weights.
    own: Vec<Vec<Arc<Tensor<S>>>>,
}

/// Returns the node whose weights `id` uses.
fn owner(graph: &Graph, id: NodeId) -> NodeId {
    let mut id = id;
    while let Some(owner) = graph.node(id).shares {
        id = owner;
    }
    id
}

/// Returns the sizes of a weight.
fn sizes(weight: &Weight) -> Result<Vec<usize>, Problem> {
    let mut sizes = batched(1, &weight.shape)?;
    sizes.remove(0);
    Ok(sizes)
}

/// Returns the sizes of all weights of `graph` by their full names, such as `stage1.conv.weight`.
pub fn weight_sizes(graph: &Graph) -> Result<HashMap<String, Vec<usize>>, Problem> {
    let own = graph.nodes().iter().filter(|node| node.shares.is_none());
    let weights = own.flat_map(|node| node.weights.iter().map(move |weight| (node, weight)));
    weights.map(|(node, weight)| Ok((format!("{}.{}", node.id, weight.name), sizes(weight)?))).collect()
}

impl<'g, S: Scalar> Network<'g, S> {
    /// Returns a network with random weights, which depend only on the seed, on every machine.
    pub fn seeded(graph: &'g Graph, seed: u64, fill: Fill) -> Result<Self, Problem> {
        Self::filled(graph, |name, weight| {
            let mut stream = Stream::new(seed, name);
            let around = move |stream: &mut Stream, constant: f64| match fill {
                Fill::Declared => constant,
                Fill::Generic => constant + stream.within(0.5),
            };
            let init = weight.init;
            move || {
                S::from_f64(match init {
                    Init::FanIn(fan_in) => stream.within(1.0 / (fan_in.max(1) as f64).sqrt()),
                    Init::Zeros => around(&mut stream, 0.0),
                    Init::Ones => around(&mut stream, 1.0),
                    Init::Constant(constant) => around(&mut stream, constant),
                })
            }
        })
    }

    /// Returns a network with weights from `fill`, which is called with the full name and declaration of each weight
    /// and returns a function that yields the elements in order.
    pub fn filled<F: FnMut() -> S>(
        graph: &'g Graph,
        mut fill: impl FnMut(&str, &Weight) -> F,
    ) -> Result<Self, Problem> {
        let mut own = Vec::with_capacity(graph.nodes().len());
        for node in graph.nodes() {
            let mut tensors = Vec::new();
            if node.shares.is_none() {
                for weight in &node.weights {
                    let mut next = fill(&format!("{}.{}", node.id, weight.name), weight);
                    tensors.push(Arc::new(Tensor::from_fn(&sizes(weight)?, |_| next())));
                }
            }
            own.push(tensors);
        }
        Ok(Self { graph, own })
    }

    /// Returns the weights that node `id` uses, in the order in which its layer declares them.
    pub fn weights(&self, id: NodeId) -> &[Arc<Tensor<S>>] {
        &self.own[owner(self.graph, id).index()]
    }

    /// Returns the node whose weights `id` uses: itself, unless it shares them.
    pub fn owner(&self, id: NodeId) -> NodeId {
        owner(self.graph, id)
    }

    /// Iterates over all weights with their full names, such as `stage1.conv.weight`; shared ones appear once.
    pub fn named(&self) -> impl Iterator<Item = (String, NodeId, &Weight, &Arc<Tensor<S>>)> {
        self.graph.iter().flat_map(|(id, node)| {
            node.weights
                .iter()
                .zip(&self.own[id.index()])
                .map(move |(weight, tensor)| (format!("{}.{}", node.id, weight.name), id, weight, tensor))
        })
    }

    /// Returns the number of allocated elements, buffers included; a tensor that several nodes use counts once.
    pub fn elements(&self) -> u64 {
        let lists = self.graph.nodes().iter().zip(&self.own);
        let counted = |(node, list): (&cnnkit_core::graph::Node, &Vec<Arc<Tensor<S>>>)| -> u64 {
            let own = node.own_weights().filter_map(|(index, _)| Some((index, list.get(index)?)));
            own.map(|(index, tensor)| node.counted(index, tensor.len() as u64)).sum()
        };
        lists.map(counted).sum()
    }

    /// Returns the number of allocated bytes, buffers included.
    pub fn bytes(&self) -> u64 {
        self.own.iter().flatten().map(|tensor| tensor.bytes()).sum()
    }

    /// Replaces the weights: see [`Network::of_weights`].
    pub fn replace(&mut self, given: HashMap<String, Tensor<S>>) -> Result<(), Problem> {
        *self = Self::of_weights(self.graph, given)?;
        Ok(())
    }

    /// Returns a network with these weights, by name. `given` must contain every weight of the network and nothing else;
    /// the error lists all mismatches.
    pub fn of_weights(graph: &'g Graph, mut given: HashMap<String, Tensor<S>>) -> Result<Self, Problem> {
        let mut own = Vec::with_capacity(graph.nodes().len());
        let (mut names, mut flaws) = (Vec::new(), Vec::new());
        for node in graph.nodes() {
            let mut tensors = Vec::new();
            for weight in node.weights.iter().filter(|_| node.shares.is_none()) {
                let (name, wanted) = (format!("{}.{}", node.id, weight.name), sizes(weight)?);
                match given.remove(&name) {
                    None => flaws.push(format!("`{name}` {wanted:?} is missing")),
                    Some(tensor) if tensor.sizes() == wanted => tensors.push(Arc::new(tensor)),
                    Some(tensor) => {
                        flaws.push(format!("`{name}` is {:?}, the network needs {wanted:?}", tensor.sizes()));
                    }
                }
                names.push(name);
            }
            own.push(tensors);
        }
        // PyTorch stores this counter with every batch norm; inference does not use it.
        given.retain(|name, _| !name.ends_with("num_batches_tracked"));
        let mut strangers: Vec<&String> = given.keys().collect();
        strangers.sort();
        flaws.extend(strangers.iter().map(|name| format!("`{name}` belongs to no layer")));
        let Some(first) = flaws.first() else { return Ok(Self { graph, own }) };
        let more = if flaws.len() > 1 { format!(" (and {} more)", flaws.len() - 1) } else { String::new() };
        let problem = Problem::new(Code::Missing, format!("the weights do not fit: {first}{more}"));
        let known: Vec<&str> = names.iter().map(String::as_str).collect();
        let close = strangers.first().and_then(|name| did_you_mean(name, &known));
        Err(problem.help(
            close.unwrap_or_else(|| "names are `layer.weight`; `--save-weights` writes all of them".into()),
        ))
    }

    /// Returns the same weights on `graph`, the network at another input size; an error if it declares others.
    pub fn on<'h>(&self, graph: &'h Graph) -> Result<Network<'h, S>, Problem> {
        let fits = graph.nodes().len() == self.graph.nodes().len()
            && graph.nodes().iter().zip(self.graph.nodes()).all(|(node, mine)| {
                let shapes = |weights: &[Weight]| weights.iter().map(|w| w.shape.clone()).collect::<Vec<_>>();
                node.shares == mine.shares && shapes(&node.weights) == shapes(&mine.weights)
            });
        if fits {
            return Ok(Network { graph, own: self.own.clone() });
        }
        Err(Problem::shape("the network has other weights at another input size"))
    }

    /// Returns the same network in another number type.
    pub fn cast<T: Scalar>(&self) -> Network<'g, T> {
        let convert =
            |tensors: &Vec<Arc<Tensor<S>>>| tensors.iter().map(|tensor| Arc::new(tensor.cast())).collect();
        Network { graph: self.graph, own: self.own.iter().map(convert).collect() }
    }
}

/// Returns standard normal tensors for all inputs of `graph`.
pub fn random_inputs<S: Scalar>(graph: &Graph, batch: usize, seed: u64) -> Result<Vec<Tensor<S>>, Problem> {
    let tensor = |(_, node): (NodeId, &cnnkit_core::graph::Node)| {
        debug_assert_eq!(node.op, Op::Input);
        let mut stream = Stream::new(seed, &node.id);
        Ok(Tensor::from_fn(&batched(batch, &node.shape)?, |_| S::from_f64(stream.normal())))
    };
    graph.inputs().map(tensor).collect()
}
