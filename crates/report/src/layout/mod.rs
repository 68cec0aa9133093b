//! The layout of a layer graph: where its nodes lie, how its connections run, and which blocks are open.
//!
//! A layered drawing in the manner of Sugiyama, Tagawa and Toda ("Methods for visual understanding of hierarchical
//! system structures", 1981), block by block:
//!
//! 1. [`Tree`] divides the graph into blocks by the dotted paths of its ids. A block is a run of consecutive nodes, so
//!    that folding one never makes a cycle.
//! 2. Every block is a drawing of its own: its children in ranks (`rank`), ordered so that few connections cross
//!    (`order`). Ranks and orders depend on no size and on no other block, so they are computed once.
//! 3. [`place`](place::place) gives positions for the sizes at hand and for any choice of open blocks, from the inside
//!    outwards. The page of `cnnkit report` has the same steps in JavaScript (`html/page/place.js`), so that it can fold.
//!
//! The connections of one output form one *net*: it leaves the node once, runs down a single *lane* past the ranks in
//! between, and branches where it is read. A dense block of n layers thus has n lanes rather than n^2 / 2 lines.
//!
//! ```
//! # use cnnkit_report::layout::{Spacing, Tree, place, Shown};
//! # fn draw(graph: &cnnkit_core::graph::Graph) -> Option<()> {
//! let tree = Tree::of(graph)?; // `None`: too many connections to draw
//! let open = tree.open_to(1); // which blocks are open: one level here, like `--depth 1`
//! let size = |item: Shown| [20.0 + 7.0 * tree.label(graph, item).chars().count() as f64, 28.0];
//! let drawing = place(&tree, &open, &size, &Spacing::default());
//! for placed in &drawing.boxes {
//!     let _ = (placed.item, placed.open, placed.at, placed.size); // top left corner, width and height
//! }
//! for wire in &drawing.wires {
//!     let _ = (wire.node, &wire.points); // from top to bottom; vertical, or from a rank's end to the next one's start
//! }
//! # Some(())
//! # }
//! ```

mod blocks;
mod order;
mod place;
mod rank;
mod tree;

pub use blocks::{Block, Net, Shown, Slot, Tree};
pub use place::{Drawing, Placed, Spacing, Wire, place};
