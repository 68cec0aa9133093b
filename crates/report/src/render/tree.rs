//! Traverses the nodes of a network, block by block.

use crate::network::Network;

/// A step through the blocks of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry<'a> {
    /// A block begins; its full id.
    Open(&'a str),
    /// The block that began last ends.
    Close,
    /// A node by its index.
    Node(usize),
}

/// Calls `visit` with the depth and each entry. A block that is left and entered again is visited twice.
pub(super) fn walk<'a>(network: &'a Network, visit: &mut impl FnMut(usize, Entry<'a>)) {
    let mut open: Vec<&str> = Vec::new();
    for (index, node) in network.nodes.iter().enumerate() {
        let path = node.block.split('.').filter(|part| !part.is_empty());
        // Byte lengths of the block's prefixes: "a", "a.b", ...
        let ends = path.scan(0, |end, part| {
            *end += part.len() + usize::from(*end > 0);
            Some(*end)
        });
        let wanted: Vec<&str> = ends.map(|end| &node.block[..end]).collect();
        let common = open.iter().zip(&wanted).take_while(|(a, b)| a == b).count();
        while open.len() > common {
            open.pop();
            visit(open.len(), Entry::Close);
        }
        for block in &wanted[common..] {
            visit(open.len(), Entry::Open(block));
            open.push(block);
        }
        visit(open.len(), Entry::Node(index));
    }
    while open.pop().is_some() {
        visit(open.len(), Entry::Close);
    }
}
