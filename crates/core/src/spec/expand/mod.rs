//! Expansion of blocks, repetitions and conditions into nodes of the graph.
//!
//! Ids follow the structure: a layer is its kind and a number within its block (`conv2`); the layers of a block have
//! the block's own id as a prefix (`stage2.bottleneck1.conv2`). `repeat` and the body of `residual` and `dense` add
//! no level; the shortcut and each branch do. A written `id` replaces the generated name.

mod again;
mod block;
mod constructs;
mod counts;
mod entry;
mod level;
mod names;
mod shape;

use std::collections::HashMap;
use std::sync::Arc;

use crate::diagnostic::{Code, Diagnostic};
use crate::graph::{Builder, Graph, NodeId, Unbuilt};
use crate::shape::Shape;
use crate::source::{Origin, Span};
use crate::spec::Overrides;
use crate::spec::document::Document;
use crate::spec::env::Env;
use crate::spec::evaluate::evaluate;
use crate::spec::expr::Variables as _;
use crate::spec::grammar;
use crate::value::{Located, Value, decode};

use level::{Frame, Group};
use names::Unresolved;

pub use shape::input_shapes;

/// Maximum number of visited items of layer lists, so that empty repetitions end as well.
const MAX_STEPS: usize = 1_000_000;
/// Maximum number of nodes of a graph.
const MAX_NODES: usize = 200_000;
/// Maximum nesting of blocks in blocks (a block may use itself under a condition).
const MAX_DEPTH: usize = 48;
/// Number of errors after which nothing more is expanded; fewer are shown.
const MAX_FLAWS: usize = 500;
/// Replaces a size that is unknown because of an earlier error.
const STAND_IN: u64 = 720_720 * 64;

/// Returns the graph of `document`, or all errors in it.
pub fn expand(document: &Document, overrides: &Overrides) -> Result<Graph, Unbuilt> {
    let mut expander = Expander {
        document,
        builder: Builder::new(),
        frames: vec![Frame::root(Arc::clone(&document.files[0].env))],
        groups: HashMap::new(),
        unresolved: vec![],
        steps: 0,
        stopped: false,
        silenced: 0,
    };
    let first = expander.inputs(overrides);
    if let Some(first) = first {
        let outer = expander.env();
        let builtins = expander.builtins(Some(first), &outer);
        expander.frame().env = Env::inside(&outer, builtins);
    }
    let last = expander.list(&document.layers, first);
    expander.finish(last)
}

struct Expander<'a> {
    document: &'a Document,
    builder: Builder,
    frames: Vec<Frame>,
    /// Named groups and blocks, by full id.
    groups: HashMap<String, Group<'a>>,
    unresolved: Vec<Unresolved>,
    steps: usize,
    stopped: bool,
    /// Number of errors that only follow from one that was already reported.
    silenced: usize,
}

impl<'a> Expander<'a> {
    /// Adds the network's inputs; returns the node that the first layer reads, if there is only one input.
    fn inputs(&mut self, overrides: &Overrides) -> Option<NodeId> {
        let document = self.document;
        let mut ids = Vec::new();
        for (name, _) in &overrides.inputs {
            let known = document.inputs.iter().any(|(key, _)| key.name == *name);
            let only = name.is_empty() && document.inputs.len() == 1;
            if !known && !only {
                let names: Vec<&str> = document.inputs.iter().map(|(key, _)| key.name.as_str()).collect();
                let message = if name.is_empty() {
                    format!("`--input` gives one shape, the network has {} inputs", names.len())
                } else {
                    format!("`--input {name}=...`: the network has no input `{name}`")
                };
                let options: Vec<String> =
                    names.iter().map(|name| format!("`--input {name}=C,H,W`")).collect();
                self.builder.report(
                    Diagnostic::error(Code::UnknownName, message, None)
                        .help(format!("write {}", options.join(" or "))),
                );
            }
        }
        for (key, value) in &document.inputs {
            let replaced =
                overrides.inputs.iter().rev().find(|(name, _)| name.is_empty() || *name == key.name);
            // A shape from the command line has no position in the spec.
            let span = if replaced.is_some() { None } else { Some(value.span) };
            let origin = Origin { span, ..Origin::default() };
            let shape = match replaced {
                Some((_, sizes)) => {
                    let flaw = self.written_shape(value).and_then(|own| shape::mistaken(key, &own, sizes));
                    let fine = flaw.is_none();
                    flaw.into_iter().for_each(|error| self.builder.report(error));
                    fine.then(|| Shape::new(sizes.clone()))
                }
                None => self.eval(value).and_then(|value| {
                    match decode::<Vec<u64>>(&value, value.span, "`input`") {
                        Ok(sizes) => Some(Shape::new(sizes)),
                        Err(errors) => {
                            for mut error in errors {
                                error.help = vec!["a shape is [C, L], [C, H, W] or [C, D, H, W]".into()];
                                self.builder.report(error);
                            }
                            None
                        }
                    }
                }),
            };
            ids.push(match shape {
                Some(shape) => self.builder.input(&key.name, shape, origin),
                None => self.builder.poisoned(&key.name, vec![]),
            });
        }
        if ids.is_empty() {
            self.builder.report(
                Diagnostic::error(Code::Missing, "the network has no input", document.input_span)
                    .help("give at least one: `input: [3, 224, 224]`"),
            );
            return Some(self.builder.poisoned("", vec![]));
        }
        match ids.as_slice() {
            [only] => Some(*only),
            _ => None,
        }
    }

    /// Returns the shape that the spec gives an input, regardless of overrides; none if it is wrong.
    fn written_shape(&self, value: &Located) -> Option<Vec<u64>> {
        let value = evaluate(value, &self.env()).ok()?;
        decode(&value, value.span, "`input`").ok()
    }

    /// Expands a list of layers that starts from `current`; returns the output of the last one.
    fn list(&mut self, list: &'a Located, current: Option<NodeId>) -> Option<NodeId> {
        let items = match &list.value {
            Value::List(items) => items.as_slice(),
            Value::Null => &[],
            other => {
                let help = "start each layer with a dash: `- relu`";
                self.report(
                    Code::InvalidValue,
                    format!("expected a list of layers, found {}", other.describe()),
                    list.span,
                    help,
                );
                return current;
            }
        };
        let mut current = current;
        for item in items {
            if !self.step(item.span) {
                return current;
            }
            let known = (self.builder.errors(), self.unresolved(), self.silenced);
            let result = self.item(item, current);
            // Layers after an error must not cause further errors because of it.
            let failed =
                result.is_none() && known != (self.builder.errors(), self.unresolved(), self.silenced);
            current = if failed { Some(self.builder.poisoned("", vec![])) } else { result };
        }
        current
    }

    /// Returns the shape of `input` as variables (see [`grammar::BUILTINS`]), except for names that the file defines
    /// itself.
    fn builtins(&self, input: Option<NodeId>, file: &Env) -> Vec<(String, Value)> {
        let shape = input.and_then(|input| self.builder.shape(input));
        // The shape is unknown only after an error. Nothing is inferred from there on; a number with all usual
        // divisors lets expressions evaluate, so that later lines cause no further errors.
        let sizes = shape.map_or(&[STAND_IN; 4][..], Shape::sizes);
        let size = |size: &u64| Value::integer(i128::from(*size));
        let span = self.document.input_span;
        let spatial = sizes.iter().skip(1).map(|s| Located { value: size(s), span }).collect();
        let values = [sizes.first().map_or(Value::Null, size), Value::List(spatial)];
        let named = grammar::BUILTINS.iter().map(|(name, _)| (*name).to_owned()).zip(values);
        named.filter(|(name, _)| file.get(name).is_none()).collect()
    }

    /// Counts one more item; returns `false` once a limit is reached.
    fn step(&mut self, span: Span) -> bool {
        self.steps += 1;
        let (limit, what) = (self.steps > MAX_STEPS, self.builder.len() > MAX_NODES);
        // Only the first errors are shown, and connections beyond their limit are reported by the graph.
        if self.builder.is_full() || self.builder.errors() + self.unresolved() > MAX_FLAWS {
            self.stopped = true;
        }
        if !self.stopped && (limit || what) {
            self.stopped = true;
            let message = if what {
                format!("the network has more than {MAX_NODES} layers")
            } else {
                format!("expanding the network takes more than {MAX_STEPS} steps")
            };
            self.report(Code::Limit, message, span, "check the counts of `repeat`");
        }
        !self.stopped
    }

    fn finish(mut self, last: Option<NodeId>) -> Result<Graph, Unbuilt> {
        let mut outputs = Vec::new();
        match &self.document.outputs {
            None => outputs.extend(last),
            Some(list) => {
                let items =
                    if let Value::List(items) = &list.value { items.clone() } else { vec![list.clone()] };
                for item in &items {
                    if let Value::Text(name) = &item.value {
                        outputs.extend(self.resolve(name, item.span, None));
                    } else {
                        let message = format!("expected an id, found {}", item.value.describe());
                        self.report(Code::InvalidValue, message, item.span, "`outputs` lists ids of layers");
                    }
                }
            }
        }
        if outputs.is_empty() && self.document.inputs.len() != 1 && !self.stopped {
            let help = "give `layers`, or `outputs: [id]`";
            self.report(Code::Missing, "the network has no output".into(), self.document.layers.span, help);
        }
        self.report_unresolved();
        let name = self.document.name.clone();
        let graph = self.builder.finish(&name, outputs)?;
        check_totals(&graph).map_err(|flaw| Unbuilt::Flaws(vec![flaw]))?;
        Ok(graph)
    }

    fn frame(&mut self) -> &mut Frame {
        // `expand` pushes the root frame, and nothing pops it.
        let last = self.frames.len() - 1;
        &mut self.frames[last]
    }

    fn env(&self) -> Arc<Env> {
        Arc::clone(&self.frames[self.frames.len() - 1].env)
    }

    fn report(&mut self, code: Code, message: String, span: Span, help: &str) {
        let mut error = Diagnostic::error(code, message, span);
        if !help.is_empty() {
            error.help.push(help.to_owned());
        }
        self.report_in_block(error);
    }

    /// Reports an error together with the uses of the blocks that contain it.
    fn report_in_block(&mut self, mut error: Diagnostic) {
        let uses = &self.frames[self.frames.len() - 1].used_at;
        error.related.extend(uses.iter().map(|(block, span)| (*span, format!("in this use of `{block}`"))));
        self.builder.report(error);
    }

    /// Evaluates the expressions in a value; reports an error and returns `None` if one fails.
    fn eval(&mut self, value: &Located) -> Option<Located> {
        match evaluate(value, &self.env()) {
            Ok(value) => Some(value),
            Err(unevaluated) => {
                self.report_all(unevaluated.into_flaws());
                None
            }
        }
    }

    /// Reports the errors found in a value, apart from those that were reported at their origin.
    fn report_all(&mut self, errors: Vec<Diagnostic>) {
        self.silenced += 1;
        errors.into_iter().for_each(|error| self.report_in_block(error));
    }
}

/// Checks that counts which are sums over the whole network fit into 64 bits as well.
fn check_totals(graph: &Graph) -> Result<(), Diagnostic> {
    let mut totals = [0u64; 3];
    for node in &graph.nodes {
        let weights = node.weights.iter().try_fold(0u64, |sum, w| sum.checked_add(w.shape.elements().ok()?));
        let ops = node.cost.ops.total().ok();
        // FLOPs are 2 x MACs + other operations, bytes 4 x elements: leave room for both.
        for (total, part) in totals.iter_mut().zip([weights, Some(node.cost.macs), ops]) {
            match part.and_then(|part| total.checked_add(part)).filter(|&sum| sum <= u64::MAX / 16) {
                Some(sum) => *total = sum,
                None => {
                    let message =
                        format!("up to layer `{}`, the network's totals do not fit into 64 bits", node.id);
                    return Err(Diagnostic::error(Code::Overflow, message, node.origin.span)
                        .help("check the sizes: no real network is this large"));
                }
            }
        }
    }
    Ok(())
}
