//! Random fully convolutional networks: windows, pools, resizes, transposed convolutions, pads, skips.

use cnnkit::graph::{Builder, Graph, Node, NodeId};
use cnnkit::source::Origin;
use cnnkit::verify::Seed;

use super::network::layer;

/// What the networks are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Tiles: 1 to 3 axes.
    Image,
    /// Chunks of a sequence: one axis, any padding.
    Sequence,
    /// Chunks of a sequence: one axis, no unit reads beyond its own position.
    Causal,
}

/// The limits of a style.
struct Limits {
    axes: usize,
    /// Size of the input along an axis, and the least size of a map.
    side: u64,
    least: u64,
    /// Elements of a map.
    most: u64,
    layers: u64,
    kernel: u64,
    dilation: u64,
    stride: u64,
    pad: u64,
}

impl Limits {
    fn of(style: Style, random: &mut Seed) -> Self {
        if style != Style::Image {
            return Self {
                axes: 1,
                side: 96,
                least: 8,
                most: 1000,
                layers: 8,
                kernel: 5,
                dilation: 4,
                stride: 3,
                pad: 4,
            };
        }
        let axes = [1, 1, 2, 2, 3][random.below(5) as usize];
        let (side, most) = [(48, 400), (16, 3000), (8, 4000)][axes - 1];
        Self { axes, side, least: 3, most, layers: 7, kernel: 4, dilation: 2, stride: 2, pad: 3 }
    }
}

/// Returns network number `number` of a style.
pub fn random(number: u64, style: Style) -> Graph {
    let salt = if style == Style::Image { 0x7113 } else { 0x57e4 };
    let mut random = Seed(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt);
    let limits = Limits::of(style, &mut random);
    let axes = limits.axes;
    let mut builder = Builder::new();
    let shape: Vec<u64> = std::iter::once(2).chain(vec![limits.side; axes]).collect();
    let mut nodes: Vec<NodeId> = vec![builder.input("input", shape.into(), Origin::default())];
    let count = 2 + random.below(limits.layers);
    let mut tries = 0;
    while (nodes.len() as u64) < count && tries < 80 {
        tries += 1;
        let last = nodes[nodes.len() - 1];
        let shape = builder.shape(last).expect("a shape").clone();
        let mut sources = vec![last];
        let (name, args) = match one(&mut random, &limits, style) {
            Some(found) => found,
            None => {
                let fits = |node: &&NodeId| {
                    let other = builder.shape(**node).expect("a shape");
                    other.spatial() == shape.spatial() && **node != last
                };
                let others: Vec<NodeId> = nodes.iter().filter(fits).copied().collect();
                let Some(&other) = others.get(random.below(others.len().max(1) as u64) as usize) else {
                    continue;
                };
                sources.push(other);
                ("concat", "{}".into())
            }
        };
        let made = layer(name, &args);
        let shapes: Vec<_> =
            sources.iter().map(|&node| builder.shape(node).expect("a shape").clone()).collect();
        let Ok(shape) = made.infer(&shapes) else { continue };
        if shape.elements().is_ok_and(|elements| elements > limits.most)
            || shape.spatial().iter().any(|&size| size < limits.least)
        {
            continue;
        }
        nodes.push(builder.layer(&format!("n{}", nodes.len()), made, sources, None, Origin::default()));
    }
    let last = nodes[nodes.len() - 1];
    let head = layer("conv", "{out_channels: 3, kernel: 1}");
    let head = builder.layer("head", head, vec![last], None, Origin::default());
    builder
        .finish(&format!("network {number}"), vec![head])
        .unwrap_or_else(|errors| panic!("{number}: {errors:?}"))
}

/// Returns the name and the arguments of a layer of one input; none for a merge.
fn one(random: &mut Seed, limits: &Limits, style: Style) -> Option<(&'static str, String)> {
    let axes = limits.axes;
    let each =
        |random: &mut Seed, most: u64| -> Vec<u64> { (0..axes).map(|_| 1 + random.below(most)).collect() };
    let (kernel, dilation) = (each(random, limits.kernel), each(random, limits.dilation));
    let stride = if random.below(3) == 0 { each(random, limits.stride) } else { vec![1; axes] };
    let causal = style == Style::Causal;
    let extent = |axis: usize| (kernel[axis] - 1) * dilation[axis];
    let sides: Vec<[u64; 2]> = (0..axes)
        .map(|axis| {
            let any = [random.below(extent(axis) + 1), random.below(extent(axis) + 1)];
            if causal { [extent(axis), 0] } else { any }
        })
        .collect();
    let out = 1 + random.below(3);
    let choice = random.below(13);
    Some(match choice {
        0..5 => {
            let window = format!("kernel: {kernel:?}, dilation: {dilation:?}, stride: {stride:?}");
            ("conv", format!("{{out_channels: {out}, {window}, padding: {sides:?}}}"))
        }
        5 => {
            let stride = each(random, 3);
            // What reaches beyond `size * stride` is trimmed; without causality, anything else, too.
            let trim: Vec<[u64; 2]> = (0..axes)
                .map(|axis| {
                    let any = [random.below(kernel[axis]), random.below(kernel[axis])];
                    if causal { [0, kernel[axis].saturating_sub(stride[axis])] } else { any }
                })
                .collect();
            let window = format!("kernel: {kernel:?}, stride: {stride:?}");
            ("conv_transpose", format!("{{out_channels: {out}, {window}, padding: {trim:?}}}"))
        }
        6 | 7 => {
            let kernel = each(random, 3);
            let before: Vec<[u64; 2]> = kernel.iter().map(|kernel| [kernel / 2, 0]).collect();
            let padding = if causal { format!(", padding: {before:?}") } else { String::new() };
            // What a change does not make larger is lost in a max pool: not where changes are measured.
            let name = if style == Style::Image && choice == 6 { "max_pool" } else { "avg_pool" };
            (name, format!("{{kernel: {kernel:?}, stride: {stride:?}{padding}}}"))
        }
        8 => ("upsample", format!("{{scale_factor: {:?}}}", each(random, 3))),
        9 if !causal => ("upsample", "{scale_factor: 2, mode: linear}".into()),
        9 | 10 => ("silu", "{}".into()),
        11 => {
            let mode = ["zeros", "replicate", "reflect"][random.below(3) as usize];
            let around: Vec<[u64; 2]> = (0..axes)
                .map(|_| [random.below(limits.pad), if causal { 0 } else { random.below(limits.pad) }])
                .collect();
            ("pad", format!("{{padding: {around:?}, mode: {mode}}}"))
        }
        _ => return None,
    })
}

/// Returns a network as text, for a failure.
pub fn text(graph: &Graph) -> String {
    let line = |node: &Node| {
        let inputs: Vec<&str> = node.inputs.iter().map(|&input| graph.node(input).id.as_str()).collect();
        format!("  {} = {:?} of {inputs:?}: {}", node.id, node.op, node.shape)
    };
    graph.nodes().iter().map(line).collect::<Vec<_>>().join("\n")
}
