//! Stacks of dilated convolutions in a network, and how many of their taps lie on the feature map.
//!
//! A chain is a maximal sequence of stride-1 convolutions at one resolution with only pointwise layers, merges and
//! 1x1 convolutions between them: a residual module's branch continues the chain that its shortcut skips. Parallel
//! rates (ASPP) are different chains. Pools, strides and resizes end a chain.

use std::rc::Rc;

use crate::analysis::gridding::{Layer, Stack};
use crate::diagnostic::{Code, Problem};
use crate::graph::{Graph, Node, NodeId, Op};
use crate::layers::window::Window;
use crate::layers::{AxisReach, Role};

/// A maximal chain of dilated convolutions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its convolutions, in order.
    pub nodes: Vec<NodeId>,
    /// Per spatial axis, the rates in order.
    pub rates: Vec<Vec<u64>>,
    /// Per spatial axis, the kernels in order.
    pub kernels: Vec<Vec<u64>>,
}

impl Chain {
    /// Returns the chain as a stack, one layer per convolution.
    pub fn stack(&self) -> Result<Stack, Problem> {
        let axes = self.rates.len();
        let layers = (0..self.nodes.len()).map(|layer| Layer {
            kernel: (0..axes).map(|axis| self.kernels[axis][layer]).collect(),
            rate: (0..axes).map(|axis| self.rates[axis][layer]).collect(),
            stride: vec![1; axes],
        });
        Stack::new(axes, layers.collect())
    }

    /// Returns the kernel size and the rates if all layers and axes agree: the published rule covers no other case.
    pub fn uniform(&self) -> Option<(u64, Vec<u64>)> {
        let rates = self.rates.first()?;
        let kernel = *self.kernels.first()?.first()?;
        let alike = self.rates.iter().all(|axis| axis == rates)
            && self.kernels.iter().all(|axis| axis.iter().all(|&size| size == kernel));
        alike.then(|| (kernel, rates.clone()))
    }
}

/// The chains of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chains {
    /// The chains, in the order of their first convolutions.
    pub chains: Vec<Chain>,
    /// Whether there are more than could be listed (parallel branches multiply them).
    pub truncated: bool,
}

/// Maximum number of listed chains.
const MAX_CHAINS: usize = 256;

/// Returns every maximal chain with at least one rate above 1; an error beyond 4,096 stride-1 convolutions.
pub fn chains(graph: &Graph) -> Result<Chains, Problem> {
    let taps: Vec<Taps> = graph.iter().map(|(_, node)| taps(graph, node)).collect();
    let members: Vec<NodeId> =
        graph.iter().filter(|(id, _)| matches!(taps[id.0], Taps::Member(_))).map(|(id, _)| id).collect();
    // Without dilation there is nothing to list, however many convolutions there are.
    if !members.iter().any(|id| is_dilated(&taps[id.0])) {
        return Ok(Chains::default());
    }
    if members.len() > 4096 {
        return Err(Problem::new(
            Code::Limit,
            format!("not supported: chains among {} convolutions", members.len()),
        )
        .help("the limit is 4,096 stride-1 convolutions"));
    }
    let order = |id: NodeId| members.binary_search(&id).unwrap_or(usize::MAX);
    // For each node, the member convolutions whose outputs it reads through pointwise layers only.
    let mut behind: Vec<Rc<[usize]>> = Vec::with_capacity(graph.nodes.len());
    let mut previous: Vec<Rc<[usize]>> = vec![Rc::default(); members.len()];
    for (id, node) in graph.iter() {
        let reached = joint(carried(graph, node).map(|operand| &behind[operand.0]));
        behind.push(match taps[id.0] {
            Taps::Member(_) => {
                previous[order(id)] = reached;
                Rc::from([order(id)])
            }
            Taps::Point => reached,
            Taps::Break => Rc::default(),
        });
    }
    Ok(longest(graph, &members, &taps, reduced(&previous)))
}

/// Returns what is in one of the sorted lists, sorted; lists that say the same are shared.
fn joint<'a>(lists: impl Iterator<Item = &'a Rc<[usize]>>) -> Rc<[usize]> {
    let mut first: Option<&Rc<[usize]>> = None;
    let mut all: Vec<usize> = Vec::new();
    for list in lists.filter(|list| !list.is_empty()) {
        match first {
            None => first = Some(list),
            Some(first) if Rc::ptr_eq(first, list) => {}
            Some(first) => {
                if all.is_empty() {
                    all.extend_from_slice(first);
                }
                all.extend_from_slice(list);
            }
        }
    }
    all.sort_unstable();
    all.dedup();
    match first {
        Some(first) if all.is_empty() || **first == *all => Rc::clone(first),
        _ => all.into(),
    }
}

/// Returns the operands that share their positions with `node`: neither a vector that is broadcast over the map, nor
/// a map whose spatial axes a reshape reduces to a single position.
fn carried<'a>(graph: &Graph, node: &'a Node) -> impl Iterator<Item = NodeId> + use<'a> {
    let reaches = graph.reach(node);
    let axes = node.shape.spatial().len();
    // For each operand, whether all that is read of it is broadcast; `None` if nothing is read.
    let mut spread: Vec<Option<bool>> = vec![None; node.inputs.len()];
    for reach in &reaches {
        let broadcast = reach
            .axes
            .get(1..)
            .is_some_and(|axes| !axes.is_empty() && axes.iter().all(|axis| *axis == AxisReach::Broadcast));
        if let Some(own) = spread.get_mut(reach.input) {
            *own = Some(own.unwrap_or(true) && broadcast);
        }
    }
    let same = |operand: NodeId| graph.node(operand).shape.spatial().len() == axes;
    let kept: Vec<bool> =
        node.inputs.iter().zip(&spread).map(|(&id, spread)| same(id) && *spread != Some(true)).collect();
    node.inputs.iter().zip(kept).filter(|(_, kept)| *kept).map(|(&operand, _)| operand)
}

/// The role of a node in chains.
enum Taps {
    /// A stride-1 convolution with a kernel above 1 on some axis: one window per spatial axis.
    Member(Vec<Window>),
    /// Each output position reads only the same input position.
    Point,
    /// Ends every chain.
    Break,
}

fn is_dilated(taps: &Taps) -> bool {
    matches!(taps, Taps::Member(windows) if windows.iter().any(|window| window.dilation > 1 && window.kernel > 1))
}

fn taps(graph: &Graph, node: &Node) -> Taps {
    if matches!(node.op, Op::Input) {
        return Taps::Break;
    }
    let mut result = Taps::Point;
    for reach in graph.reach(node).iter().filter(|reach| reach.role != Role::Context) {
        let windows: Option<Vec<Window>> = reach
            .axes
            .iter()
            .enumerate()
            .skip(1)
            .map(|(axis, reach)| match reach {
                AxisReach::Window { by, window } if *by == axis && window.stride == 1 => Some(*window),
                AxisReach::Reflected { by, .. } if *by == axis => Some(Window::POINT),
                _ => None,
            })
            .collect();
        let Some(windows) = windows else {
            // A vector that is broadcast over the map does not interrupt the map's chain.
            if reach.axes.iter().skip(1).all(|axis| *axis == AxisReach::Broadcast) && reach.axes.len() > 1 {
                continue;
            }
            return Taps::Break;
        };
        if windows.iter().any(|window| window.kernel > 1) {
            if !crate::analysis::paths::is_weighted(node) {
                return Taps::Break;
            }
            result = Taps::Member(windows);
        }
    }
    result
}

/// Removes the edges that a longer path makes redundant: a shortcut past a convolution is not a chain of its
/// own.
fn reduced(previous: &[Rc<[usize]>]) -> Vec<Vec<usize>> {
    let words = previous.len().div_ceil(64);
    let mut above: Vec<Vec<u64>> = Vec::with_capacity(previous.len());
    let mut kept = Vec::with_capacity(previous.len());
    for direct in previous {
        let mut far = vec![0u64; words];
        for &member in direct.iter() {
            far.iter_mut().zip(&above[member]).for_each(|(word, more)| *word |= more);
        }
        kept.push(
            direct.iter().copied().filter(|member| far[member / 64] >> (member % 64) & 1 == 0).collect(),
        );
        for member in direct.iter() {
            far[member / 64] |= 1 << (member % 64);
        }
        above.push(far);
    }
    kept
}

fn longest(graph: &Graph, members: &[NodeId], taps: &[Taps], previous: Vec<Vec<usize>>) -> Chains {
    let mut last = vec![true; members.len()];
    previous.iter().flatten().for_each(|&member| last[member] = false);
    let mut all = Chains::default();
    // Whether some path up to a member has a rate above 1: others, of which there may be any number, are no chains.
    let mut worth: Vec<bool> = Vec::with_capacity(members.len());
    for (member, id) in members.iter().enumerate() {
        worth.push(is_dilated(&taps[id.0]) || previous[member].iter().any(|&before| worth[before]));
    }
    // Depth first from the ends backwards; each path to a convolution without predecessor is a chain.
    for end in (0..members.len()).filter(|&end| last[end] && worth[end]) {
        let mut stack = vec![(vec![end], is_dilated(&taps[members[end].0]))];
        while let Some((path, dilated)) = stack.pop() {
            let Some(&head) = path.last() else { continue };
            if previous[head].is_empty() {
                if all.chains.len() >= MAX_CHAINS {
                    all.truncated = true;
                    return sorted(all);
                }
                all.chains.extend(chain(graph, members, taps, &path));
                continue;
            }
            if stack.len() > MAX_CHAINS {
                all.truncated = true;
                continue;
            }
            for &before in previous[head].iter().rev().filter(|&&before| dilated || worth[before]) {
                let mut longer = path.clone();
                longer.push(before);
                stack.push((longer, dilated || is_dilated(&taps[members[before].0])));
            }
        }
    }
    sorted(all)
}

fn sorted(mut all: Chains) -> Chains {
    all.chains.sort_by(|a, b| a.nodes.cmp(&b.nodes));
    all
}

fn chain(graph: &Graph, members: &[NodeId], taps: &[Taps], path: &[usize]) -> Option<Chain> {
    let nodes: Vec<NodeId> = path.iter().rev().map(|&member| members[member]).collect();
    let windows: Vec<&Vec<Window>> = nodes
        .iter()
        .filter_map(|id| match &taps[id.0] {
            Taps::Member(windows) => Some(windows),
            _ => None,
        })
        .collect();
    let axes = graph.node(*nodes.first()?).shape.spatial().len();
    let along = |pick: fn(&Window) -> u64| -> Vec<Vec<u64>> {
        (0..axes).map(|axis| windows.iter().filter_map(|list| list.get(axis)).map(pick).collect()).collect()
    };
    let chain =
        Chain { nodes, rates: along(|window| window.dilation), kernels: along(|window| window.kernel) };
    windows
        .iter()
        .any(|list| list.iter().any(|window| window.dilation > 1 && window.kernel > 1))
        .then_some(chain)
}

/// How many taps of a convolution lie on the feature map, position by position.
#[derive(Debug, Clone, PartialEq)]
pub struct TapsValid {
    /// The convolution.
    pub node: NodeId,
    /// Size of the feature map that it reads.
    pub map: Vec<u64>,
    /// Its rates.
    pub rates: Vec<u64>,
    /// Its kernel.
    pub kernel: Vec<u64>,
    /// Per axis, the number of output positions by the number of taps on the map, ascending by taps.
    pub classes: Vec<Vec<(u64, u64)>>,
    /// Share of all positions with all taps on the map.
    pub full_share: f64,
    /// Share of all positions with a single tap on the map: there the kernel has degenerated to 1x1.
    pub single_share: f64,
    /// Mean share of the taps that lie on the map.
    pub mean_share: f64,
}

/// Counts the taps on the map for every convolution with a rate above 1 (DeepLab v3, figure 4: at rate 63 on a 65 x
/// 65 map, a 3x3 kernel reads one element).
pub fn taps_valid(graph: &Graph) -> Vec<TapsValid> {
    let mut all = Vec::new();
    for (id, node) in graph.iter().filter(|(_, node)| crate::analysis::paths::is_weighted(node)) {
        for reach in graph.reach(node).iter().filter(|reach| reach.role != Role::Context) {
            let Some(operand) = node.inputs.get(reach.input) else { continue };
            let sizes = graph.node(*operand).shape.spatial();
            let windows: Option<Vec<Window>> = reach
                .axes
                .iter()
                .skip(1)
                .map(|axis| if let AxisReach::Window { window, .. } = axis { Some(*window) } else { None })
                .collect();
            let Some(windows) = windows.filter(|list| list.iter().any(|w| w.dilation > 1 && w.kernel > 1))
            else {
                continue;
            };
            let outputs = node.shape.spatial();
            let classes: Option<Vec<_>> = windows
                .iter()
                .zip(sizes)
                .zip(outputs)
                .map(|((window, &size), &output)| classes(*window, size, output))
                .collect();
            let Some(classes) = classes else { continue };
            let share = |of: &dyn Fn(u64, u64) -> f64| -> f64 {
                classes
                    .iter()
                    .zip(&windows)
                    .map(|(list, window)| {
                        let units: u64 = list.iter().map(|(_, units)| units).sum();
                        let sum: f64 =
                            list.iter().map(|(taps, n)| of(*taps, window.kernel) * *n as f64).sum();
                        sum / units.max(1) as f64
                    })
                    .product()
            };
            all.push(TapsValid {
                node: id,
                map: sizes.to_vec(),
                rates: windows.iter().map(|window| window.dilation).collect(),
                kernel: windows.iter().map(|window| window.kernel).collect(),
                full_share: share(&|taps, kernel| f64::from(u8::from(taps == kernel))),
                single_share: share(&|taps, _| f64::from(u8::from(taps == 1))),
                mean_share: share(&|taps, kernel| taps as f64 / kernel as f64),
                classes,
            });
        }
    }
    all
}

/// Counts the positions out of `outputs` by the number of taps inside `0..size`; `None` if a number overflows
/// or the kernel is too large.
///
/// Tap `t` is inside for a run of positions; a sweep over the ends of the runs gives the counts between them.
fn classes(window: Window, size: u64, outputs: u64) -> Option<Vec<(u64, u64)>> {
    if window.kernel > 1 << 16 {
        return None;
    }
    let (stride, outputs) = (i128::from(window.stride.max(1)), i128::from(outputs));
    let mut events: Vec<(i128, i64)> = vec![(0, 0), (outputs, 0)];
    for t in 0..i128::from(window.kernel) {
        let offset = t * i128::from(window.dilation) - i128::from(window.before);
        // 0 <= u * stride + offset < size
        let from = (-offset + stride - 1).div_euclid(stride).clamp(0, outputs);
        let to = (i128::from(size) - offset + stride - 1).div_euclid(stride).clamp(from, outputs);
        events.push((from, 1));
        events.push((to, -1));
    }
    events.sort_unstable();
    let mut counts = std::collections::BTreeMap::<u64, u64>::new();
    let mut inside = 0i64;
    for pair in events.windows(2) {
        inside += pair[0].1;
        let run = u64::try_from(pair[1].0 - pair[0].0).unwrap_or(0);
        if run > 0 {
            *counts.entry(u64::try_from(inside).unwrap_or(0)).or_default() += run;
        }
    }
    Some(counts.into_iter().collect())
}
