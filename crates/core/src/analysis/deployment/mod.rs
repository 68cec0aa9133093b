//! Memory of one inference as engines for small devices run it: activations in place, norms and activations fused into
//! their neighbours, concatenations as views, operators in the best order, all tensors at offsets of one arena.
//!
//! `operators` turns a graph into operators and tensors under one of these habits, `order` finds the order with the
//! smallest peak, `arena` the offsets, `patches` what it saves to run the first layers patch by patch. Everything is for one image: a batch of one.

mod arena;
mod operators;
mod order;
pub mod patches;

pub use arena::{Arena, Placed};
pub use operators::{Habit, Operator, Operators, Tensor};
pub use order::Ordered;

use crate::graph::Graph;

/// Peaks of one inference, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peaks {
    /// Elementwise layers overwrite their input if nothing else reads it, and depthwise convolutions do so plane by
    /// plane, through a buffer of one plane.
    pub in_place: u64,
    /// Norms with stored statistics and activations produce no tensor of their own, concatenations are views.
    pub fused: u64,
    /// The same in the best order of operators that was found.
    pub reordered: u64,
    /// No order has a smaller peak than this; equal to `reordered` if the search was complete.
    pub reordered_bound: u64,
    /// Bytes of an arena for that order.
    pub arena: u64,
}

/// A plan: operators in order, and the place of every tensor.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The operators, in the order of the graph.
    pub operators: Operators,
    /// The order in which they run, and its peak.
    pub ordered: Ordered,
    /// The place of every tensor.
    pub arena: Arena,
}

/// Plans one inference with elements of `width` bytes.
pub fn plan(graph: &Graph, width: u64) -> Plan {
    smaller(graph, width, planned(operators::of(graph, Habit::Fused, width)))
}

/// Returns `views`, or the plan with copies instead of views if its arena is smaller.
fn smaller(graph: &Graph, width: u64, views: Plan) -> Plan {
    // A view reserves the whole concatenation from its first part on, which can take more than copies.
    if !views.operators.has_views() {
        return views;
    }
    let copies = planned(operators::of(graph, Habit::FusedWithCopies, width));
    if copies.arena.bytes < views.arena.bytes { copies } else { views }
}

fn planned(operators: Operators) -> Plan {
    let ordered = order::best(&operators);
    let arena = arena::place(&operators, &ordered.order);
    Plan { operators, ordered, arena }
}

/// Computes the peaks with elements of `width` bytes.
pub fn peaks(graph: &Graph, width: u64) -> Peaks {
    let peak = |operators: &Operators| order::peak(operators, &operators.given());
    // One habit after the other: the operators of a dense block take more memory than its graph.
    let in_place = peak(&operators::of(graph, Habit::InPlace, width));
    let Plan { operators, ordered, arena } = planned(operators::of(graph, Habit::Fused, width));
    let (fused, has_views) = (peak(&operators), operators.has_views());
    drop(operators);
    let copies = has_views.then(|| planned(operators::of(graph, Habit::FusedWithCopies, width)).arena.bytes);
    Peaks {
        in_place,
        fused,
        reordered: ordered.peak,
        reordered_bound: ordered.bound,
        arena: copies.map_or(arena.bytes, |copies| copies.min(arena.bytes)),
    }
}
