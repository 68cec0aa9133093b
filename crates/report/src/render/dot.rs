//! A layer graph for Graphviz, with a cluster for each block.

use std::fmt::Write as _;

use crate::network::{Network, Part};
use crate::render::tree::{Entry, walk};

/// Formats `network` as a `digraph`.
pub fn render(network: &Network) -> String {
    let mut out = format!("digraph {} {{\n", quote(&network.name));
    out += "  rankdir=TB;\n  node [shape=box, style=\"rounded,filled\", fillcolor=\"#f6f6f6\", fontname=\"Helvetica\"];\n";
    let mut clusters = 0;
    walk(network, &mut |depth, entry| {
        let indent = "  ".repeat(depth + 1);
        let _ = match entry {
            Entry::Open(block) => {
                clusters += 1;
                let name = block.rsplit('.').next().unwrap_or(block);
                writeln!(
                    out,
                    "{indent}subgraph cluster_{clusters} {{ label={}; color=\"#999999\";",
                    quote(name)
                )
            }
            Entry::Close => writeln!(out, "{indent}}}"),
            Entry::Node(index) => {
                let node = &network.nodes[index];
                let label = quote(&format!("{}\n{}\n{}", node.id, node.label(), node.shape_text()));
                let fill = match node.part {
                    Part::Input => ", fillcolor=\"#dff0d8\"",
                    Part::Weighted => ", fillcolor=\"#d9e8f6\"",
                    Part::Plain => "",
                };
                let border = if node.output { ", penwidth=2" } else { "" };
                writeln!(out, "{indent}n{index} [label={label}{fill}{border}];")
            }
        };
    });
    for (to, node) in network.nodes.iter().enumerate() {
        for from in &node.inputs {
            let _ = writeln!(out, "  n{from} -> n{to};");
        }
    }
    out + "}\n"
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
