//! A network, tried at other input sizes.

use std::borrow::Cow;

use super::Verdict;
use crate::graph::{Graph, Op};
use crate::layers::window::Window;
use crate::layers::{AxisReach, Io, Layer};
use crate::shape::Shape;

/// A network that can be tried at other input sizes.
pub trait Trial {
    /// Returns its inputs with their shapes, in order.
    fn inputs(&self) -> &[(String, Shape)];

    /// Returns the network with inputs of these shapes; `None` if it does not run there with its weights.
    fn at(&self, inputs: &[Shape]) -> Option<Sized<'_>>;
}

/// A network at one size.
pub enum Sized<'a> {
    /// A graph, with the shapes that its nodes have at this size.
    Reshaped(&'a Graph, Vec<Shape>),
    /// A graph that was built for this size.
    Built(Box<Graph>),
}

impl Sized<'_> {
    /// Returns the graph, whose own shapes may be those of another size.
    pub(super) fn graph(&self) -> &Graph {
        match self {
            Self::Reshaped(graph, _) => graph,
            Self::Built(graph) => graph,
        }
    }

    /// Returns the network with the shapes of this size, a graph of its own; `None` if it cannot be built.
    pub fn into_graph(self) -> Option<Graph> {
        match self {
            Self::Built(graph) => Some(*graph),
            Self::Reshaped(graph, shapes) => {
                let inputs: Vec<Shape> = graph.inputs().map(|(id, _)| shapes[id.0].clone()).collect();
                graph.rebuilt(&inputs, |node, layer, _| Ok((layer.clone(), node.inputs.clone()))).ok()
            }
        }
    }

    fn shape(&self, node: usize) -> &Shape {
        match self {
            Self::Reshaped(_, shapes) => &shapes[node],
            Self::Built(graph) => &graph.nodes[node].shape,
        }
    }

    /// Returns whether every strided window along `axes` divides its input evenly.
    fn lossless(&self, axes: &[usize]) -> bool {
        self.graph().iter().all(|(id, node)| {
            let Op::Layer(layer) = &node.op else { return true };
            // Layers that join have no windows, and may have thousands of inputs.
            if matches!(layer, Layer::Concat(_) | Layer::Add(_) | Layer::Multiply(_)) {
                return true;
            }
            let inputs: Vec<Shape> = node.inputs.iter().map(|input| self.shape(input.0).clone()).collect();
            let output = self.shape(id.0);
            layer.reach(Io { inputs: &inputs, output }).iter().all(|reach| {
                reach.axes.iter().enumerate().all(|(input_axis, how)| match how {
                    AxisReach::Window { by, window } if axes.contains(by) && window.stride > 1 => {
                        even(window, inputs[reach.input].sizes()[input_axis], output.sizes()[*by])
                    }
                    _ => true,
                })
            })
        })
    }
}

/// Returns whether the network works with inputs of these shapes, and whether it loses no pixel along `axes`.
pub(super) fn judge(trial: &dyn Trial, inputs: &[Shape], axes: &[usize]) -> Verdict {
    match trial.at(inputs) {
        None => Verdict::default(),
        Some(network) => Verdict { works: true, lossless: network.lossless(axes) },
    }
}

/// Returns whether a window divides `size` evenly. A padded window (padding of at least extent - stride, so
/// that it can give size / stride outputs) does if the stride divides the size; an unpadded one if its last
/// step ends at the border.
fn even(window: &Window, size: u64, outputs: u64) -> bool {
    let Ok(extent) = window.extent() else { return false };
    let (extent, stride) = (i128::from(extent), i128::from(window.stride));
    let (before, after) = (i128::from(window.before), i128::from(window.after));
    if before + after >= extent - stride {
        return i128::from(size) % stride == 0;
    }
    let end = (i128::from(outputs) - 1) * stride + extent;
    end >= i128::from(size) + before + after
}

/// A graph that is not expanded anew: an imported model, whose sizes may be constants of the export.
pub struct Fixed<'a> {
    graph: Cow<'a, Graph>,
    inputs: Vec<(String, Shape)>,
}

/// Returns the inputs of `graph` with their shapes.
pub fn inputs_of(graph: &Graph) -> Vec<(String, Shape)> {
    graph.inputs().map(|(_, node)| (node.id.clone(), node.shape.clone())).collect()
}

impl<'a> Fixed<'a> {
    /// Returns the trial of `graph`.
    pub fn new(graph: &'a Graph) -> Self {
        Self { graph: graph.joined(), inputs: inputs_of(graph) }
    }
}

impl Trial for Fixed<'_> {
    fn inputs(&self) -> &[(String, Shape)] {
        &self.inputs
    }

    fn at(&self, inputs: &[Shape]) -> Option<Sized<'_>> {
        self.graph.reinfer(inputs).ok().map(|shapes| Sized::Reshaped(&self.graph, shapes))
    }
}
