//! Buffer allocation of a planned network: values that are alive at the same time lie in different buffers, and
//! inputs of a concatenation are computed in place inside it, so that nothing is left to copy.

use super::fusion::Chain;
use super::kernel::{Kernel, Prepared};

use cnnkit_core::graph::{Graph, NodeId};

/// How much larger the buffers may become to avoid copies: an early input of a concatenation reserves the space of
/// all.
const GROWTH: f64 = 1.25;

/// The location of a node's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Nowhere,
    /// The network input of this index.
    Input(usize),
    /// Buffer, and offset of the first element in it.
    Buffer(usize, usize),
}

/// The location of every value.
#[derive(Debug)]
pub(super) struct Arrangement {
    pub places: Vec<Place>,
    /// Elements of each buffer.
    pub lengths: Vec<usize>,
    /// For each step, the nodes whose values are not needed after it.
    pub done: Vec<Vec<NodeId>>,
    /// For each step that concatenates along the outermost axis, the inputs that are not yet in place, each with the
    /// output element where it belongs.
    pub copies: Vec<Option<Vec<(NodeId, usize)>>>,
}

/// The value that contains a value, and the offset in it; often the value itself.
type Home = (NodeId, usize);

impl Arrangement {
    /// Plans the memory of the steps, in order.
    pub(super) fn new(graph: &Graph, sizes: &[Vec<usize>], steps: &[(Chain, Prepared)]) -> Self {
        let apart = Self::with(graph, sizes, steps, false);
        let joined = Self::with(graph, sizes, steps, true);
        let total = |arrangement: &Self| arrangement.lengths.iter().sum::<usize>() as f64;
        if total(&joined) <= GROWTH * total(&apart) { joined } else { apart }
    }

    fn with(graph: &Graph, sizes: &[Vec<usize>], steps: &[(Chain, Prepared)], join: bool) -> Self {
        let homes = if join { homes(graph, sizes, steps) } else { steps.iter().map(own).collect() };
        let last = last_uses(graph, steps);
        let mut home: Vec<Option<Home>> = vec![None; graph.nodes().len()];
        // The step after which no part of a containing value is needed; `None` if one part is an output.
        let mut end: Vec<Option<usize>> = vec![Some(0); graph.nodes().len()];
        for ((chain, _), &(root, start)) in steps.iter().zip(&homes) {
            home[chain.last().index()] = Some((root, start));
            end[root.index()] =
                end[root.index()].zip(last[chain.last().index()]).map(|(one, other)| one.max(other));
        }

        let mut places = vec![Place::Nowhere; graph.nodes().len()];
        for (number, (id, _)) in graph.inputs().enumerate() {
            places[id.index()] = Place::Input(number);
        }
        let mut buffers: Vec<Option<usize>> = vec![None; graph.nodes().len()];
        let (mut lengths, mut free): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
        let mut done: Vec<Vec<NodeId>> = vec![Vec::new(); steps.len()];
        for (node, step) in last.iter().enumerate() {
            if let Some(step) = step {
                done[*step].push(NodeId::new(node));
            }
        }
        let mut ends: Vec<Vec<NodeId>> = vec![Vec::new(); steps.len()];
        for (root, end) in end.iter().enumerate() {
            if let Some(ends) = end.and_then(|step| ends.get_mut(step)) {
                ends.push(NodeId::new(root));
            }
        }
        for (((chain, _), &(root, start)), ends) in steps.iter().zip(&homes).zip(&ends) {
            let buffer = *buffers[root.index()].get_or_insert_with(|| {
                let elements = sizes[root.index()].iter().product();
                take(&mut lengths, &mut free, elements)
            });
            places[chain.last().index()] = Place::Buffer(buffer, start);
            free.extend(ends.iter().filter_map(|root| buffers[root.index()].take()));
        }

        let copies = steps.iter().map(|(chain, prepared)| {
            let (root, start) = home[chain.last().index()]?;
            let parts = parts(graph, sizes, chain, prepared)?;
            let elsewhere = |&(input, at): &(NodeId, usize)| home[input.index()] != Some((root, start + at));
            Some(parts.into_iter().filter(elsewhere).collect())
        });
        Self { copies: copies.collect(), places, lengths, done }
    }
}

fn own((chain, _): &(Chain, Prepared)) -> Home {
    (chain.last(), 0)
}

/// Returns the last step that reads each value; for a value that nothing reads, the step that computes it; `None` for
/// outputs.
fn last_uses(graph: &Graph, steps: &[(Chain, Prepared)]) -> Vec<Option<usize>> {
    let mut last = vec![None; graph.nodes().len()];
    for (step, (chain, _)) in steps.iter().enumerate() {
        last[chain.last().index()] = Some(step);
        for input in graph.node(chain.members[0]).inputs.iter().chain(&chain.add) {
            last[input.index()] = Some(step);
        }
    }
    graph.outputs().iter().for_each(|output| last[output.index()] = None);
    last
}

/// Takes a buffer of at least `elements` elements: the smallest sufficient one, else the largest, enlarged.
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

/// Returns the inputs that a step concatenates whole, one after another, each with its offset.
fn parts(
    graph: &Graph,
    sizes: &[Vec<usize>],
    chain: &Chain,
    prepared: &Prepared,
) -> Option<Vec<(NodeId, usize)>> {
    let Kernel::Joined(joined) = &prepared.kernel else { return None };
    let elements: usize = sizes[chain.last().index()].iter().product();
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

/// Returns, for each step, where its value should lie: in the largest concatenation that it becomes a part of.
fn homes(graph: &Graph, sizes: &[Vec<usize>], steps: &[(Chain, Prepared)]) -> Vec<Home> {
    let mut home: Vec<Option<Home>> = vec![None; graph.nodes().len()];
    let mut made = vec![false; graph.nodes().len()];
    steps.iter().for_each(|(chain, _)| made[chain.last().index()] = true);
    // From last to first, so that a concatenation is placed before its inputs.
    for (chain, prepared) in steps.iter().rev() {
        let Some(parts) = parts(graph, sizes, chain, prepared) else { continue };
        let value = chain.last();
        let placed = parts.iter().map(|(input, _)| home[input.index()]).collect::<Option<Vec<Home>>>();
        // Its input is already part of a later concatenation and has the same neighbours there.
        let within = placed.filter(|_| home[value.index()].is_none()).and_then(|placed| {
            let (root, start) = *placed.first()?;
            let same = |((_, at), home): (&(NodeId, usize), &Home)| *home == (root, start + at);
            parts.iter().zip(&placed).all(same).then_some((root, start))
        });
        let (root, start) = home[value.index()].or(within).unwrap_or((value, 0));
        home[value.index()] = Some((root, start));
        for (input, at) in parts {
            if made[input.index()] && home[input.index()].is_none() {
                home[input.index()] = Some((root, start + at));
            }
        }
    }
    steps.iter().map(|step| home[step.0.last().index()].unwrap_or_else(|| own(step))).collect()
}
