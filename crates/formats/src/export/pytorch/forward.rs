//! The `forward` of a class: calls are nested where a value is used once, otherwise assigned to variables.

use std::collections::{HashMap, HashSet};

use super::leaf::{Binds, Place};
use super::names::{reach, variable};
use super::{Writer, indent};
use crate::export::fold::Term;
use crate::export::outline::{Child, GroupId};
use cnnkit_core::graph::NodeId;

/// Maximum length of an expression that is nested into another.
const NESTED: usize = 72;
/// Maximum nesting of calls.
const DEPTH: usize = 4;

/// A value of the function.
#[derive(Debug, Clone)]
struct Value {
    text: String,
    binds: Binds,
    /// Nesting depth of its calls.
    depth: usize,
    /// Variables it uses.
    variables: Vec<String>,
    /// Number of uses that remain.
    uses: usize,
}

struct Function<'a, 'w> {
    writer: &'a Writer<'w>,
    group: GroupId,
    values: HashMap<NodeId, Value>,
    /// Uses of each value in this group.
    uses: HashMap<NodeId, usize>,
    lines: Vec<String>,
}

/// Returns the lines of `forward`, from `def` on.
pub(super) fn forward(writer: &Writer<'_>, group: GroupId) -> Vec<String> {
    let outline = writer.outline;
    let facts = &outline.groups[group];
    let mut uses: HashMap<NodeId, usize> = HashMap::new();
    let read = facts.children.iter().flat_map(|&child| outline.inputs(child)).copied();
    for node in read.chain(writer.returned(group)) {
        *uses.entry(node).or_default() += 1;
    }
    let mut function = Function { writer, group, values: HashMap::new(), uses, lines: vec![] };
    let inputs = function.parameters();
    function.lines.push(format!("def forward(self, {}):", inputs.join(", ")));
    for index in 0..facts.children.len() {
        function.child(index);
    }
    let returned: Vec<String> = writer.returned(group).iter().map(|&node| function.take(node).text).collect();
    function.lines.push(format!("    return {}", returned.join(", ")));
    function.lines
}

impl Function<'_, '_> {
    /// Returns the function's parameters: `x`, `y`, `z`; several inputs of the network have their own names.
    fn parameters(&mut self) -> Vec<String> {
        let inputs = self.writer.inputs(self.group);
        let mut taken = HashSet::new();
        let mut names = Vec::new();
        for &input in &inputs {
            let name = match (self.group, names.len()) {
                (0, _) if inputs.len() > 1 => variable(&self.writer.outline.graph.node(input).id),
                (_, place) => {
                    ["x", "y", "z"].get(place).map_or_else(|| format!("x{place}"), |&name| name.to_owned())
                }
            };
            let name = super::names::unique(name, &mut taken);
            let uses = self.uses.get(&input).copied().unwrap_or(0);
            self.values.insert(
                input,
                Value {
                    text: name.clone(),
                    binds: Binds::Atom,
                    depth: 0,
                    variables: vec![name.clone()],
                    uses,
                },
            );
            names.push(name);
        }
        names
    }

    /// Returns the value of `node` and counts one use.
    fn take(&mut self, node: NodeId) -> Value {
        let Some(value) = self.values.get_mut(&node) else {
            return Value { text: "None".into(), binds: Binds::Atom, depth: 0, variables: vec![], uses: 0 };
        };
        value.uses = value.uses.saturating_sub(1);
        value.clone()
    }

    fn child(&mut self, index: usize) {
        let outline = self.writer.outline;
        let child = outline.groups[self.group].children[index];
        let inputs: Vec<Value> =
            outline.inputs(child).to_vec().into_iter().map(|input| self.take(input)).collect();
        let (text, binds) = self.expression(child, &inputs);
        let mut variables: Vec<String> = inputs.iter().flat_map(|input| input.variables.clone()).collect();
        variables.sort_unstable();
        variables.dedup();
        let depth = inputs.iter().map(|input| input.depth).max().unwrap_or(0) + 1;
        let outputs = outline.outputs(child);
        let value = Value { text, binds, depth, variables, uses: 0 };
        match outputs.as_slice() {
            // No reader: it has no effect.
            [] => {}
            [output] => {
                let uses = self.uses.get(output).copied().unwrap_or(0);
                if uses == 1 && self.nests(index, *output, &value) {
                    self.values.insert(*output, Value { uses, ..value });
                } else if uses > 0 {
                    self.assign(&[*output], &value.text);
                }
            }
            several => self.assign(several, &value.text),
        }
    }

    /// Returns whether the value of `output`, which is used once, is written inline where it is used.
    fn nests(&self, index: usize, output: NodeId, value: &Value) -> bool {
        let outline = self.writer.outline;
        let rest = &outline.groups[self.group].children[index + 1..];
        let Some((distance, &reader)) =
            rest.iter().enumerate().find(|(_, child)| outline.inputs(**child).contains(&output))
        else {
            // It is returned.
            return rest.is_empty();
        };
        let joins = outline.inputs(reader).len() > 1;
        let once = match reader {
            Child::Node(node) => {
                let call = &self.writer.leaf(node).call;
                call.matches("{0").count() <= 1 && !call.contains(".of({0})")
            }
            Child::Group(_) => true,
        };
        let shallow = if joins { value.depth <= 1 } else { value.depth < DEPTH };
        once && shallow && value.text.len() <= NESTED && (distance == 0 || value.depth <= 1)
    }

    /// Writes `a = text`, or `a, b = text`.
    fn assign(&mut self, outputs: &[NodeId], text: &str) {
        let mut names: Vec<String> = Vec::new();
        for &output in outputs {
            let name = self.free(output, &names);
            names.push(name);
        }
        self.lines.push(format!("    {} = {text}", names.join(", ")));
        for (&output, name) in outputs.iter().zip(names) {
            let uses = self.uses.get(&output).copied().unwrap_or(0);
            self.values.insert(
                output,
                Value { text: name.clone(), binds: Binds::Atom, depth: 0, variables: vec![name], uses },
            );
        }
    }

    /// Returns a variable whose value is no longer needed: `x` for a value that is used once, the layer's name for
    /// one that is used again later.
    fn free(&self, output: NodeId, also: &[String]) -> String {
        let live = |name: &str| {
            also.iter().any(|other| other == name)
                || self
                    .values
                    .values()
                    .any(|value| value.uses > 0 && value.variables.iter().any(|v| v == name))
        };
        let relative = self.writer.outline.relative(self.group, output);
        let own = self.writer.spoken(self.group, output).unwrap_or_else(|| variable(relative));
        let again = self.uses.get(&output).is_some_and(|&uses| uses > 1) || !also.is_empty();
        let flow = if again { &[][..] } else { &["x", "y", "z"][..] };
        let numbered = (2..).map(|number| format!("{own}_{number}"));
        let mut candidates =
            flow.iter().map(|&name| name.to_owned()).chain(std::iter::once(own.clone())).chain(numbered);
        candidates.find(|name| !live(name)).unwrap_or(own)
    }

    fn expression(&self, child: Child, inputs: &[Value]) -> (String, Binds) {
        let outline = self.writer.outline;
        match child {
            Child::Group(inner) => {
                let facts = &outline.groups[inner];
                let module = match &facts.shares {
                    Some(other) => self.writer.below(self.group, other).to_owned(),
                    None => facts.name.clone(),
                };
                let list: Vec<&str> = inputs.iter().map(|input| input.text.as_str()).collect();
                (format!("{}({})", reach("self", &module), list.join(", ")), Binds::Atom)
            }
            Child::Node(node) => {
                let leaf = self.writer.leaf(node);
                let owner = outline.owner(node).unwrap_or(node);
                let mut text =
                    leaf.call.replace("{self}", &reach("self", outline.relative(self.group, owner)));
                for (index, arg) in leaf.args.iter().enumerate().filter(|(_, arg)| arg.place == Place::Call) {
                    let value = match self.writer.term((self.group, child), index) {
                        Some(Term::Param { index, times, over }) => {
                            let name = self.writer.saved(self.group, *index);
                            super::product(&format!("self.{name}"), *times, *over)
                        }
                        Some(Term::Literal(text)) => text.clone(),
                        None => arg.value.clone(),
                    };
                    text = text.replace(&format!("{{{}}}", arg.name), &value);
                }
                (fill(&text, inputs), leaf.binds)
            }
        }
    }
}

/// Inserts the inputs into a pattern. `{0}` accepts any expression; `{0!}` precedes a dot, `{0*}` and `{0+}` are
/// operands: expressions that bind less tightly get parentheses there.
fn fill(pattern: &str, inputs: &[Value]) -> String {
    let list: Vec<&str> = inputs.iter().map(|input| input.text.as_str()).collect();
    let mut text = pattern.replace("{*}", &list.join(", "));
    // Later inputs first: an input's own text contains no pattern, but `{1}` must not match in `{10}`.
    for (index, input) in inputs.iter().enumerate().rev() {
        let bracketed = format!("({})", input.text);
        let at_least = |least: Binds| if input.binds >= least { &input.text } else { &bracketed };
        for (mark, least) in [("", Binds::Sum), ("!", Binds::Atom), ("*", Binds::Product), ("+", Binds::Sum)]
        {
            text = text.replace(&format!("{{{index}{mark}}}"), at_least(least));
        }
    }
    text
}

/// Returns the lines of a method, wrapped where they are too long.
pub(super) fn method(lines: &[String]) -> String {
    lines.iter().map(|line| indent(line, 4)).collect()
}
