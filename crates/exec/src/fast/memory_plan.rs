//! Where the values of a planned network lie: what is needed at the same time in different buffers, and what a
//! concatenation joins in the concatenation itself, so that nothing is left to copy.

use super::fusion::Chain;
use super::kernel::{Kernel, Prepared};

use cnnkit_core::graph::{Graph, NodeId};

/// How much larger the buffers may become for concatenations without copies: an early input needs the place of all.
const GROWTH: f64 = 1.25;

/// Where the value of a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Nowhere,
    /// With this number among the inputs.
    Input(usize),
    /// In this buffer, from this element on.
    Buffer(usize, usize),
}

/// Places for all values.
#[derive(Debug)]
pub(super) struct Arrangement {
    pub places: Vec<Place>,
    /// Elements of each buffer.
    pub lengths: Vec<usize>,
    /// For each step, nodes whose values are not needed after it.
    pub done: Vec<Vec<NodeId>>,
    /// For each step that joins along the outermost axis, what is not in its place: the input, and the element of the
    /// output where it belongs.
    pub copies: Vec<Option<Vec<(NodeId, usize)>>>,
}

/// A value in the value that it is a part of, from this element on; often itself.
type Home = (NodeId, usize);

impl Arrangement {
    /// For the steps in their order.
    pub(super) fn new(graph: &Graph, sizes: &[Vec<usize>], steps: &[(Chain, Prepared)]) -> Self {
        let apart = Self::with(graph, sizes, steps, false);
        let joined = Self::with(graph, sizes, steps, true);
        let total = |arrangement: &Self| arrangement.lengths.iter().sum::<usize>() as f64;
        if total(&joined) <= GROWTH * total(&apart) { joined } else { apart }
    }

    fn with(graph: &Graph, sizes: &[Vec<usize>], steps: &[(Chain, Prepared)], join: bool) -> Self {
        let homes = if join { homes(graph, sizes, steps) } else { steps.iter().map(own).collect() };
        let last = last_uses(graph, steps);
        let mut home: Vec<Option<Home>> = vec![None; graph.nodes.len()];
        // When nobody needs any part of a value that others are parts of; never, if one is an output.
        let mut end: Vec<Option<usize>> = vec![Some(0); graph.nodes.len()];
        for ((chain, _), &(root, start)) in steps.iter().zip(&homes) {
            home[chain.last().0] = Some((root, start));
            end[root.0] = end[root.0].zip(last[chain.last().0]).map(|(one, other)| one.max(other));
        }

        let mut places = vec![Place::Nowhere; graph.nodes.len()];
        for (number, (id, _)) in graph.inputs().enumerate() {
            places[id.0] = Place::Input(number);
        }
        let mut buffers: Vec<Option<usize>> = vec![None; graph.nodes.len()];
        let (mut lengths, mut free): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
        let mut done: Vec<Vec<NodeId>> = vec![Vec::new(); steps.len()];
        for (node, step) in last.iter().enumerate() {
            if let Some(step) = step {
                done[*step].push(NodeId(node));
            }
        }
        let mut ends: Vec<Vec<NodeId>> = vec![Vec::new(); steps.len()];
        for (root, end) in end.iter().enumerate() {
            if let Some(ends) = end.and_then(|step| ends.get_mut(step)) {
                ends.push(NodeId(root));
            }
        }
        for (((chain, _), &(root, start)), ends) in steps.iter().zip(&homes).zip(&ends) {
            let buffer = *buffers[root.0].get_or_insert_with(|| {
                let elements = sizes[root.0].iter().product();
                take(&mut lengths, &mut free, elements)
            });
            places[chain.last().0] = Place::Buffer(buffer, start);
            free.extend(ends.iter().filter_map(|root| buffers[root.0].take()));
        }

        let copies = steps.iter().map(|(chain, prepared)| {
            let (root, start) = home[chain.last().0]?;
            let parts = parts(graph, sizes, chain, prepared)?;
            let elsewhere = |&(input, at): &(NodeId, usize)| home[input.0] != Some((root, start + at));
            Some(parts.into_iter().filter(elsewhere).collect())
        });
        Self { copies: copies.collect(), places, lengths, done }
    }
}

fn own((chain, _): &(Chain, Prepared)) -> Home {
    (chain.last(), 0)
}

/// The last step that reads each value; of a value that nobody reads, the step that makes it; none for outputs.
fn last_uses(graph: &Graph, steps: &[(Chain, Prepared)]) -> Vec<Option<usize>> {
    let mut last = vec![None; graph.nodes.len()];
    for (step, (chain, _)) in steps.iter().enumerate() {
        last[chain.last().0] = Some(step);
        for input in graph.node(chain.members[0]).inputs.iter().chain(&chain.add) {
            last[input.0] = Some(step);
        }
    }
    graph.outputs.iter().for_each(|output| last[output.0] = None);
    last
}

/// A buffer of at least so many elements: the smallest that is large enough; else the largest, made larger.
fn take(lengths: &mut Vec<usize>, free: &mut Vec<usize>, elements: usize) -> usize {
    let fits = (0..free.len()).filter(|&i| lengths[free[i]] >= elements);
    let found =
        fits.min_by_key(|&i| lengths[free[i]]).or_else(|| (0..free.len()).max_by_key(|&i| lengths[free[i]]));
    let buffer = found.map_or_else(
        || {
            lengths.push(0);
            lengths.len() - 1
        },
        |i| free.swap_remove(i),
    );
    lengths[buffer] = lengths[buffer].max(elements);
    buffer
}

/// What a step joins, if that is one whole after another: each input, and where it begins.
fn parts(
    graph: &Graph,
    sizes: &[Vec<usize>],
    chain: &Chain,
    prepared: &Prepared,
) -> Option<Vec<(NodeId, usize)>> {
    let Kernel::Joined(joined) = &prepared.kernel else { return None };
    let elements: usize = sizes[chain.last().0].iter().product();
    if joined.blocks.iter().sum::<usize>() != elements {
        return None;
    }
    let mut next = 0;
    let begin = |(&input, &block): (&NodeId, &usize)| {
        next += block;
        (input, next - block)
    };
    Some(graph.node(chain.members[0]).inputs.iter().zip(&joined.blocks).map(begin).collect())
}

/// For each step, where its value is to be: in the largest concatenation that it becomes a part of.
fn homes(graph: &Graph, sizes: &[Vec<usize>], steps: &[(Chain, Prepared)]) -> Vec<Home> {
    let mut home: Vec<Option<Home>> = vec![None; graph.nodes.len()];
    let mut made = vec![false; graph.nodes.len()];
    steps.iter().for_each(|(chain, _)| made[chain.last().0] = true);
    // From the last to the first: what joins a concatenation is already placed in it.
    for (chain, prepared) in steps.iter().rev() {
        let Some(parts) = parts(graph, sizes, chain, prepared) else { continue };
        let value = chain.last();
        let placed = parts.iter().map(|(input, _)| home[input.0]).collect::<Option<Vec<Home>>>();
        // A part of a later one that has the same neighbours there.
        let within = placed.filter(|_| home[value.0].is_none()).and_then(|placed| {
            let (root, start) = *placed.first()?;
            let same = |((_, at), home): (&(NodeId, usize), &Home)| *home == (root, start + at);
            parts.iter().zip(&placed).all(same).then_some((root, start))
        });
        let (root, start) = home[value.0].or(within).unwrap_or((value, 0));
        home[value.0] = Some((root, start));
        for (input, at) in parts {
            if made[input.0] && home[input.0].is_none() {
                home[input.0] = Some((root, start + at));
            }
        }
    }
    steps.iter().map(|step| home[step.0.last().0].unwrap_or_else(|| own(step))).collect()
}
