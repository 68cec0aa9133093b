//! CK104: an id inside a block or branch that shadows the same id outside.

use super::{Context, Family, Finding, Location, Meta, Rule, Severity};
use cnnkit_core::diagnostic::Problem;
use std::collections::HashMap;

use cnnkit_core::graph::NodeId;

/// See the module documentation.
#[derive(Debug)]
pub struct ShadowedId;

static META: Meta = Meta {
    id: "CK104",
    name: "shadowed-id",
    family: Family::Style,
    severity: Severity::Note,
    default: false,
    summary: "an id that shadows the same id of an enclosing level",
    what: "Checks layers with a written id inside a block, branch or named group. Fires if an enclosing \
           level has a layer or group of the same id.",
    why: "A `from` inside the block reads the inner layer, one outside reads the outer; a person easily \
          confuses them, and moving a line changes what it reads.",
    instead: "Give one of them another id.",
    source: "docs/spec.md: ids are found from the inside out; as pylint's redefined-outer-name",
    bad: "input: [8, 32, 32]
layers:
  - {id: skip, relu: {}}
  - residual:
      body: [conv: {out_channels: 8, kernel: 1}]
      shortcut:
        - {id: skip, conv: {out_channels: 8, kernel: 1}}
",
    good: "input: [8, 32, 32]
layers:
  - {id: skip, relu: {}}
  - residual:
      body: [conv: {out_channels: 8, kernel: 1}]
      shortcut:
        - {id: projection, conv: {out_channels: 8, kernel: 1}}
",
    settings: &[],
    fixes: false,
};

impl Rule for ShadowedId {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn check(&self, context: &Context<'_>, found: &mut Vec<Finding>) -> Result<(), Problem> {
        let facts = context.facts;
        // The first layer of each level and each id.
        let mut first: HashMap<&str, NodeId> = HashMap::new();
        for (id, node) in facts.graph.iter() {
            let mut end = node.id.len();
            loop {
                first.entry(&node.id[..end]).or_insert(id);
                match node.id[..end].rfind('.') {
                    Some(dot) => end = dot,
                    None => break,
                }
            }
        }
        for (id, node, layer) in facts.layers() {
            let Some((mut level, name)) = node.id.rsplit_once('.') else { continue };
            // A generated name is the layer's kind and a number.
            let number = name.strip_prefix(layer.doc().name).filter(|rest| !rest.is_empty());
            if number.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit())) {
                continue;
            }
            let outer = loop {
                let (above, _) = level.rsplit_once('.').unwrap_or(("", level));
                let candidate = if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") };
                // A level inside a group of its own name is not a second layer.
                if let Some(&outer) = first.get(candidate.as_str())
                    && !node.id.starts_with(&format!("{candidate}."))
                {
                    break Some((outer, candidate));
                }
                if above.is_empty() {
                    break None;
                }
                level = above;
            };
            let Some((outer, full)) = outer else { continue };
            let message = format!("the id `{name}` of `{}` shadows `{full}`", node.id);
            found.push(
                Finding::new(Location::Node(id), message)
                    .related(Location::Node(outer), format!("`{full}` is here"))
                    .help("give one of them another id"),
            );
        }
        Ok(())
    }
}
