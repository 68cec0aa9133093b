//! A layer graph as a Mermaid flowchart, which GitHub renders in Markdown, with one subgraph per block.

use std::fmt::Write as _;

use crate::network::{Network, Part};
use crate::render::tree::{Entry, walk};

/// Formats `network` as a flowchart.
pub fn render(network: &Network) -> String {
    let mut out = String::from("flowchart TD\n");
    let mut blocks = 0;
    walk(network, &mut |depth, entry| {
        let indent = "  ".repeat(depth + 1);
        let _ = match entry {
            Entry::Open(block) => {
                blocks += 1;
                writeln!(
                    out,
                    "{indent}subgraph b{blocks}[{}]",
                    quote(block.rsplit('.').next().unwrap_or(block))
                )
            }
            Entry::Close => writeln!(out, "{indent}end"),
            Entry::Node(index) => {
                let node = &network.nodes[index];
                let label = quote(&format!("{}\n{}\n{}", node.id, node.label(), node.shape_text()));
                let (open, close) = match node.part {
                    Part::Input => ("([", "])"),
                    Part::Weighted => ("[", "]"),
                    Part::Plain => ("(", ")"),
                };
                writeln!(out, "{indent}n{index}{open}{label}{close}")
            }
        };
    });
    for (to, node) in network.nodes.iter().enumerate() {
        for from in &node.inputs {
            let _ = writeln!(out, "  n{from} --> n{to}");
        }
    }
    out
}

/// Quotes a label. Mermaid writes labels into HTML, and has Markdown of its own between backticks.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out += "#quot;",
            '#' => out += "#35;",
            '&' => out += "#amp;",
            '<' => out += "#lt;",
            '>' => out += "#gt;",
            '`' => out += "#96;",
            '\n' => out += "<br>",
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
