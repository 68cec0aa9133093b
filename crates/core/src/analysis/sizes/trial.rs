//! A network tried at other input sizes.

use super::{AxisSizes, Verdict};
use crate::diagnostic::{Code, Diagnostic};
use crate::graph::{Graph, Op};
use crate::layers::window::Window;
use crate::layers::{AxisReach, Io, Weight};
use crate::shape::Shape;
use crate::spec::Overrides;
use crate::spec::document::Document;
use crate::spec::expand::{expand, input_shapes};
use crate::spec::names::reads_shapes;

/// A network that can be tried at other input sizes.
pub trait Trial {
    /// Its inputs with their shapes, in order.
    fn inputs(&self) -> &[(String, Shape)];

    /// The network with inputs of these shapes, if it runs there with the weights that it has.
    fn at(&self, inputs: &[Shape]) -> Option<Sized<'_>>;
}

/// A network at one size.
pub enum Sized<'a> {
    /// A graph with other shapes.
    Reshaped(&'a Graph, Vec<Shape>),
    /// A graph of its own.
    Built(Box<Graph>),
}

impl Sized<'_> {
    /// The graph, whose own shapes may be those of another size.
    pub(super) fn graph(&self) -> &Graph {
        match self {
            Self::Reshaped(graph, _) => graph,
            Self::Built(graph) => graph,
        }
    }

    fn shape(&self, node: usize) -> &Shape {
        match self {
            Self::Reshaped(_, shapes) => &shapes[node],
            Self::Built(graph) => &graph.nodes[node].shape,
        }
    }

    /// Whether every strided window along `axes` divides its input evenly.
    fn lossless(&self, axes: &[usize]) -> bool {
        self.graph().iter().all(|(id, node)| {
            let Op::Layer(layer) = &node.op else { return true };
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

/// How the network does with inputs of these shapes, of which `axes` are judged.
pub(super) fn judge(trial: &dyn Trial, inputs: &[Shape], axes: &[usize]) -> Verdict {
    match trial.at(inputs) {
        None => Verdict::default(),
        Some(network) => Verdict { works: true, lossless: network.lossless(axes) },
    }
}

/// A padded window (padding of at least extent - stride, so that it can give size / stride outputs) divides evenly if
/// the stride divides the size; an unpadded one if its last step ends at the border.
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

/// A graph that is what it is: an imported model, whose sizes may be constants of the export.
pub struct Fixed<'a> {
    graph: &'a Graph,
    inputs: Vec<(String, Shape)>,
}

fn inputs_of(graph: &Graph) -> Vec<(String, Shape)> {
    graph.inputs().map(|(_, node)| (node.id.clone(), node.shape.clone())).collect()
}

impl<'a> Fixed<'a> {
    /// The trial of `graph`.
    pub fn new(graph: &'a Graph) -> Self {
        Self { graph, inputs: inputs_of(graph) }
    }
}

impl Trial for Fixed<'_> {
    fn inputs(&self) -> &[(String, Shape)] {
        &self.inputs
    }

    fn at(&self, inputs: &[Shape]) -> Option<Sized<'_>> {
        self.graph.reinfer(inputs).ok().map(|shapes| Sized::Reshaped(self.graph, shapes))
    }
}

/// A spec, which is expanded anew for each size if it reads the sizes of its inputs (`$in_size`).
pub struct Spec<'a> {
    document: &'a Document,
    overrides: Overrides,
    inputs: Vec<(String, Shape)>,
    /// The network at the spec's own size; none if it does not fit there.
    own: Option<Graph>,
    /// What is wrong at the spec's own size.
    flaws: Vec<Diagnostic>,
    /// Whether other sizes can give another graph.
    changes: bool,
}

impl<'a> Spec<'a> {
    /// The trial of a spec, whether it fits its own size or not; its errors if no other size could mend them.
    pub fn new(document: &'a Document, overrides: &Overrides) -> Result<Self, Vec<Diagnostic>> {
        let (own, flaws) = match expand(document, overrides) {
            Ok(graph) => (Some(graph), vec![]),
            Err(errors) => (None, errors),
        };
        let of_size = |error: &Diagnostic| {
            matches!(
                error.code,
                Code::Shape | Code::InvalidValue | Code::Expression | Code::Overflow | Code::Limit
            )
        };
        let inputs = own.as_ref().map(inputs_of).or_else(|| input_shapes(document, overrides));
        match inputs {
            Some(inputs) if flaws.iter().all(of_size) => {
                let changes = reads_shapes(document);
                Ok(Self { document, overrides: overrides.clone(), inputs, own, flaws, changes })
            }
            _ => Err(flaws),
        }
    }

    /// What is wrong at the spec's own size; empty if it fits.
    pub fn flaws(&self) -> &[Diagnostic] {
        &self.flaws
    }

    /// Whether the weights depend on the size, so that each size is a network of its own. Where the spec fits, its own
    /// weights are kept.
    pub fn varies(&self, axes: &[AxisSizes]) -> bool {
        let near = |sizes: &AxisSizes, size: u64| {
            let (low, high) = sizes.works.around(size);
            high.or(low)
        };
        let with = |moved: Option<&AxisSizes>| -> Option<Graph> {
            let mut inputs: Vec<Vec<u64>> =
                self.inputs.iter().map(|(_, shape)| shape.sizes().to_vec()).collect();
            for sizes in axes {
                let own = near(sizes, sizes.current)?;
                let size = if moved == Some(sizes) { near(sizes, own + 1)? } else { own };
                for slot in &sizes.slots {
                    *inputs.get_mut(slot.input)?.get_mut(slot.axis + 1)? = size;
                }
            }
            let inputs: Vec<Shape> = inputs.into_iter().map(Shape::new).collect();
            self.built(&inputs).ok()
        };
        let Some(first) = with(None).filter(|_| self.own.is_none()) else { return false };
        axes.iter().filter_map(|sizes| with(Some(sizes))).any(|other| weights(&first) != weights(&other))
    }

    /// The network at the spec's own size, if it fits there.
    pub fn own(&self) -> Option<&Graph> {
        self.own.as_ref()
    }

    /// The network with inputs of these shapes, whatever its weights, or what is wrong there.
    pub fn built(&self, inputs: &[Shape]) -> Result<Graph, Vec<Diagnostic>> {
        let mut overrides = self.overrides.clone();
        let named = self.inputs.iter().zip(inputs);
        overrides.inputs = named.map(|((name, _), shape)| (name.clone(), shape.sizes().to_vec())).collect();
        expand(self.document, &overrides)
    }
}

/// The weights that are counted, in order.
fn weights(graph: &Graph) -> Vec<&Weight> {
    graph.nodes.iter().flat_map(|node| node.own_weights().map(|(_, weight)| weight)).collect()
}

impl Trial for Spec<'_> {
    fn inputs(&self) -> &[(String, Shape)] {
        &self.inputs
    }

    fn at(&self, inputs: &[Shape]) -> Option<Sized<'_>> {
        match &self.own {
            Some(own) if !self.changes => own.reinfer(inputs).ok().map(|shapes| Sized::Reshaped(own, shapes)),
            own => {
                let graph = self.built(inputs).ok()?;
                // Where the spec fits, other sizes are for the same weights.
                let same = own.as_ref().is_none_or(|own| weights(own) == weights(&graph));
                same.then(|| Sized::Built(Box::new(graph)))
            }
        }
    }
}
