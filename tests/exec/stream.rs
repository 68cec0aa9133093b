//! Chunks against the whole: a network runs on a sequence that arrives in chunks of 1, 7 and 160 hops, and must equal the
//! run on the whole sequence bit for bit; what it keeps, its latency and its look-ahead must be those that are predicted.
//! `CNNKIT_NETWORKS=300` runs more random networks, `CNNKIT_SEED` others.

use cnnkit::analysis::probe::Sizes;
use cnnkit::analysis::sizes::{Fixed, Trial};
use cnnkit::analysis::streaming::{Streaming, analyse};
use cnnkit::disk::Disk;
use cnnkit::exec::network::{Fill, Network, random_inputs};
use cnnkit::exec::run::Reference;
use cnnkit::exec::stream::Stream;
use cnnkit::exec::tensor::Tensor;
use cnnkit::graph::{Graph, Op};
use cnnkit::layers::Layer;
use cnnkit::layers::conv::PaddingMode;
use cnnkit::resized::Spec;
use cnnkit::spec::{self, Overrides};

use crate::support::convolutional::{Style, random, text};
use crate::support::network::network;

/// Random networks of an ordinary run.
const NETWORKS: u64 = 40;

fn bits(tensors: &[Tensor<f32>]) -> Vec<Vec<u32>> {
    tensors.iter().map(|tensor| tensor.data().iter().map(|value| (value + 0.0).to_bits()).collect()).collect()
}

/// A network whose time axis is cut into chunks.
struct Case<'a> {
    name: String,
    sizes: Sizes<'a>,
    streaming: &'a Streaming,
    /// The network on a whole sequence, with its input.
    whole: Graph,
    inputs: Vec<Tensor<f32>>,
    length: usize,
}

impl<'a> Case<'a> {
    /// A sequence of at least `least` positions.
    fn new(name: &str, trial: &'a dyn Trial, streaming: &'a Streaming, least: u64) -> Self {
        let sizes = Sizes::new(trial, None).expect("a network");
        let plan = streaming.plan.as_ref().unwrap_or_else(|| panic!("{name}: {:?}", streaming.blockers));
        let length = plan.base + least.saturating_sub(plan.base).div_ceil(plan.step) * plan.step;
        let mut input = sizes.own();
        input[streaming.axis] = length;
        let whole = sizes.at(&input).unwrap_or_else(|| panic!("{name}: no network at {length}"));
        let inputs = random_inputs(&whole, 1, 5).expect("inputs");
        Self {
            name: name.into(),
            sizes,
            streaming,
            whole,
            inputs,
            length: usize::try_from(length).expect("small"),
        }
    }

    fn network(&self) -> Network<'a, f32> {
        Network::seeded(&self.streaming.graph, 3, Fill::Generic).expect("weights")
    }

    fn run(&self, inputs: Vec<Tensor<f32>>) -> Vec<Tensor<f32>> {
        let network = self.network();
        network
            .on(&self.whole)
            .expect("the same weights")
            .run(inputs, &Reference, |_| ())
            .expect("runs")
            .outputs
    }

    fn chunk(&self, from: usize, to: usize) -> Vec<Tensor<f32>> {
        self.inputs.iter().map(|input| input.section(self.streaming.axis + 2, from..to)).collect()
    }

    /// Streams the sequence in chunks of `hops` hops; returns the outputs, the state after each chunk, and the number of
    /// units of the first output after each chunk.
    fn stream(&self, hops: u64) -> (Vec<Tensor<f32>>, Vec<u64>, Vec<usize>) {
        let plan = self.streaming.plan.as_ref().expect("it streams");
        let step = usize::try_from(plan.hop * hops).expect("small");
        let network = self.network();
        let mut stream = Stream::new(&network, &self.sizes, self.streaming, &Reference, 1)
            .unwrap_or_else(|problem| panic!("{}: {problem}", self.name));
        let outputs = self.whole.outputs();
        let mut parts: Vec<Vec<Tensor<f32>>> = vec![Vec::new(); outputs.len()];
        let (mut states, mut units) = (Vec::new(), Vec::new());
        let time = |index: usize| match &self.streaming.along.tracks[outputs[index].index()] {
            cnnkit::analysis::along::Track::Follows { axis, .. } => axis + 1,
            other => panic!("{other:?}"),
        };
        let mut from = 0;
        while from < self.length {
            let to = (from + step).min(self.length);
            let new = stream
                .push(self.chunk(from, to))
                .unwrap_or_else(|problem| panic!("{}: {problem}", self.name));
            new.into_iter().zip(&mut parts).for_each(|(new, parts)| parts.extend(new));
            states.push(stream.state());
            units.push(parts[0].iter().map(|part| part.sizes()[time(0)]).sum());
            from = to;
        }
        let last = stream.finish().unwrap_or_else(|problem| panic!("{}: {problem}", self.name));
        last.into_iter().zip(&mut parts).for_each(|(new, parts)| parts.extend(new));
        let joined = parts.iter().enumerate().map(|(index, parts)| {
            let parts: Vec<&Tensor<f32>> = parts.iter().collect();
            Tensor::joined(time(index), &parts).expect("parts of one output")
        });
        (joined.collect(), states, units)
    }

    /// Compares chunks of so many hops with the whole, and the state and the latency with those that are predicted.
    fn holds(&self, hops: &[u64]) -> Result<(), String> {
        let name = &self.name;
        let expected = bits(&self.run(self.inputs.clone()));
        let plan = self.streaming.plan.as_ref().expect("it streams");
        for &count in hops {
            let (outputs, states, units) = self.stream(count);
            if bits(&outputs) != expected {
                let found = bits(&outputs);
                let place = expected.iter().zip(&found).enumerate().find_map(|(output, (a, b))| {
                    let at = a.iter().zip(b).position(|(a, b)| a != b)?;
                    Some((output, at, f32::from_bits(a[at]), f32::from_bits(b[at])))
                });
                let lengths = |all: &[Vec<u32>]| all.iter().map(Vec::len).collect::<Vec<_>>();
                let (expected, found) = (lengths(&expected), lengths(&found));
                return Err(format!(
                    "{name}: chunks of {count} hops differ from the whole: {place:?}, {found:?} elements for {expected:?}"
                ));
            }
            let whole = usize::try_from(plan.hop * count).expect("small");
            let full = self.length / whole;
            let predicted = self.streaming.state();
            // After the start, the state is the same after every whole chunk.
            let steady = &states[full * 3 / 4..full];
            if steady.iter().any(|&state| state != predicted) {
                return Err(format!("{name}: chunks of {count} hops keep {steady:?}, predicted {predicted}"));
            }
            let scale = self.streaming.along.scale(self.whole.outputs()[0]).expect("it follows");
            let mut latency = 0i128;
            let mut before = 0;
            for (index, &after) in units[..full].iter().enumerate() {
                let end = ((index + 1) * whole) as i128;
                // Mirrored padding makes the first outputs wait once.
                for unit in (before..after).filter(|_| index >= full.div_ceil(4)) {
                    let own = (num(unit) / scale).floor().to_integer();
                    latency = latency.max(end - 1 - own);
                }
                before = after;
            }
            let predicted = self.streaming.latency(plan.hop * count).expect("it streams");
            let single = self.whole.outputs().len() == 1;
            if single && full > 3 && i128::from(predicted) != latency {
                return Err(format!("{name}: chunks of {count} hops wait {latency}, predicted {predicted}"));
            }
        }
        Ok(())
    }

    /// Measures the look-ahead: the distance from a changed position back to the first output that changes.
    fn measured_look_ahead(&self) -> i128 {
        let plan = self.streaming.plan.as_ref().expect("it streams");
        let axis = self.streaming.axis + 2;
        let output = self.whole.outputs()[0];
        let (scale, time) = match &self.streaming.along.tracks[output.index()] {
            cnnkit::analysis::along::Track::Follows { axis, scale } => (*scale, axis + 1),
            other => panic!("{other:?}"),
        };
        let expected = &self.run(self.inputs.clone())[0];
        let period = usize::try_from(plan.step).expect("small");
        let middle = self.length / 2 / period * period;
        let mut furthest = 0;
        // A small change may be lost in rounding, a large one in a gate that it closes.
        let changes = [0.3f32, 4.0, -4.0, 1e3, -1e3];
        let all = (middle..middle + period).flat_map(|position| changes.map(|change| (position, change)));
        for (position, change) in all {
            let mut inputs = self.inputs.clone();
            for input in &mut inputs {
                let mut at = vec![0; input.sizes().len()];
                at[axis] = position;
                let changed = input.section(axis, position..position + 1);
                let values: Vec<f32> = changed.data().iter().map(|value| value * 0.5 + change).collect();
                input.place(&at, &Tensor::new(changed.sizes(), values).expect("sizes"));
            }
            let found = &self.run(inputs)[0];
            let first = (0..found.sizes()[time])
                .find(|&unit| found.section(time, unit..unit + 1) != expected.section(time, unit..unit + 1));
            if let Some(first) = first {
                let own = (num(first) / scale).floor().to_integer();
                furthest = furthest.max(position as i128 - own);
            }
        }
        furthest
    }
}

fn num(unit: usize) -> cnnkit::analysis::along::Scale {
    cnnkit::analysis::along::Scale::from_integer(unit as i128)
}

fn zoo(name: &str, set: &[(&str, &str)], input: &[u64], check: impl Fn(&dyn Trial, &Streaming)) {
    let path = format!("{}/specs/zoo/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    let variables = set.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let inputs = if input.is_empty() { vec![] } else { vec![(String::new(), input.to_vec())] };
    let overrides = Overrides { variables, inputs };
    let (document, _) = spec::read(&Disk::of(&path), &path, &overrides).expect("a spec");
    let trial = Spec::new(&document, &overrides).unwrap_or_else(|errors| panic!("{path}: {errors:?}"));
    let streaming = analyse(&trial, None).unwrap_or_else(|problem| panic!("{name}: {problem}"));
    check(&trial, &streaming);
}

#[test]
fn the_tcn_keeps_dilation_times_kernel_less_one_per_layer() {
    // Bai et al. 2018: two causal convolutions of 5 taps per level with rates 1, 2, 4, 8; 88 channels in, 150 inside.
    zoo("tcn", &[], &[], |_, streaming| {
        assert!(streaming.causal() && streaming.breaks.is_empty());
        let inside: u64 = [1, 2, 4, 8].iter().map(|rate| 2 * 4 * rate * 150).sum();
        assert_eq!(streaming.state(), inside - 4 * 150 + 4 * 88);
        assert_eq!(streaming.latency(1), Some(0));
        let plan = streaming.plan.as_ref().expect("it streams");
        assert_eq!((plan.hop, plan.outputs), (1, 1));
    });
}

#[test]
fn wavenet_keeps_one_buffer_per_gate() {
    // Both halves of a gate read the same 32 channels: the rate is what they keep, once.
    zoo("wavenet", &[], &[], |_, streaming| {
        assert!(streaming.causal());
        assert_eq!(streaming.state(), 256 + 3 * 1023 * 32);
    });
}

#[test]
fn the_tcn_of_the_zoo_equals_its_chunks() {
    zoo("tcn", &[("channels", "4"), ("classes", "2")], &[3, 64], |trial, streaming| {
        let case = Case::new("tcn", trial, streaming, 700);
        case.holds(&[1, 7, 160]).unwrap_or_else(|why| panic!("{why}"));
    });
}

#[test]
fn the_wavenet_of_the_zoo_equals_its_chunks() {
    let small = [("residual", "2"), ("skip", "2"), ("classes", "2")];
    zoo(
        "wavenet",
        &[&small[..], &[("stacks", "2"), ("depth", "6")]].concat(),
        &[2, 64],
        |trial, streaming| {
            let case = Case::new("wavenet", trial, streaming, 640);
            case.holds(&[1, 7, 160]).unwrap_or_else(|why| panic!("{why}"));
        },
    );
    zoo("wavenet", &small, &[2, 64], |trial, streaming| {
        let case = Case::new("wavenet", trial, streaming, 4480);
        case.holds(&[160]).unwrap_or_else(|why| panic!("{why}"));
    });
}

/// A U-Net in time: strided causal convolutions down, nearest neighbours up, skips.
const UNET: &str = "
input: [2, 64]
defaults: {conv: {out_channels: 3, kernel: 3, padding: causal}}
layers:
  - {id: a, conv: {}}
  - silu
  - conv: {kernel: 2, stride: 2, padding: [[1, 0]]}
  - {id: b, conv: {dilation: 2}}
  - silu
  - conv: {kernel: 2, stride: 2, padding: [[1, 0]]}
  - conv: {}
  - silu
  - upsample: {scale_factor: 2}
  - concat: [previous, b]
  - conv: {}
  - upsample: {scale_factor: 2}
  - concat: [previous, a]
  - conv: {}
";

/// An encoder and decoder of waveforms like denoiser's (Defossez et al. 2020, section 2.2), without its LSTM: 8 taps, stride
/// 4, gated 1x1 convolutions, transposed convolutions, skips that are added.
const DENOISER: &str = "
input: [1, 468]
blocks:
  down:
    args: {width: ~}
    layers: [conv: {out_channels: $width, kernel: 8, stride: 4}, silu, conv: {out_channels: $width * 2, kernel: 1}, glu]
  up:
    args: {width: ~}
    inputs: [x, skip]
    layers:
      - add: [x, skip]
      - conv: {out_channels: $in_channels * 2, kernel: 1}
      - glu
      - conv_transpose: {out_channels: $width, kernel: 8, stride: 4}
layers:
  - {id: d1, down: {width: 2}}
  - {id: d2, down: {width: 4}}
  - {id: d3, down: {width: 6}}
  - {up: {width: 4}, from: [previous, d3]}
  - {up: {width: 2}, from: [previous, d2]}
  - {up: {width: 1}, from: [previous, d1]}
";

#[test]
fn a_causal_unet_equals_its_chunks() {
    let graph = network(UNET);
    let trial = Fixed::new(&graph);
    let streaming = analyse(&trial, None).expect("an answer");
    assert!(streaming.causal(), "{:?}", streaming.breaks);
    assert_eq!((streaming.plan.as_ref().expect("it streams").hop, streaming.latency(4)), (4, Some(3)));
    let case = Case::new("unet", &trial, &streaming, 1400);
    case.holds(&[1, 7, 160]).unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn an_encoder_and_decoder_like_denoisers_equals_its_chunks() {
    let graph = network(DENOISER);
    let trial = Fixed::new(&graph);
    let streaming = analyse(&trial, None).expect("an answer");
    let plan = streaming.plan.as_ref().expect("it streams");
    assert!(!streaming.causal() && plan.hop == 64);
    assert!(
        streaming.breaks.iter().all(|(node, _)| graph.node(*node).op.name() == "conv"),
        "{:?}",
        streaming.breaks
    );
    let case = Case::new("denoiser", &trial, &streaming, 64 * 330);
    case.holds(&[7, 160]).unwrap_or_else(|why| panic!("{why}"));
    let case = Case::new("denoiser", &trial, &streaming, 64 * 20);
    case.holds(&[1]).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(case.measured_look_ahead(), i128::from(plan.look_ahead));
}

#[test]
fn a_video_network_streams_along_its_first_axis() {
    let text = "{input: [1, 8, 6, 5], layers: [conv: {out_channels: 2, kernel: 3, padding: [[2, 0], [1, 1], [1, 1]]}, silu, \
                max_pool: {kernel: [2, 2, 2], stride: [2, 2, 2]}, conv: {out_channels: 2, kernel: [3, 1, 1], padding: [[1, 1], 0, 0]}]}";
    let text = text.replace("[[1, 1], 0, 0]", "[[1, 1], [0, 0], [0, 0]]");
    let graph = network(&text);
    let trial = Fixed::new(&graph);
    let streaming = analyse(&trial, None).expect("an answer");
    assert_eq!(streaming.axis, 0);
    let case = Case::new("video", &trial, &streaming, 48);
    case.holds(&[1, 2]).unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn a_pool_over_time_is_what_does_not_stream() {
    // FullSubNet-plus#10: said to be causal, though a squeeze-and-excitation reads the mean over time.
    let graph = network(
        "{input: [4, 64], layers: [conv: {out_channels: 4, kernel: 3, padding: causal}, {id: se, squeeze_excite: {reduction: 2}}]}",
    );
    let streaming = analyse(&Fixed::new(&graph), None).expect("an answer");
    assert!(streaming.plan.is_none() && !streaming.causal());
    assert_eq!(streaming.blockers.iter().map(|b| graph.node(b.node).id.as_str()).collect::<Vec<_>>(), ["se"]);
}

/// Random network 20861: a quarter of the sequence, whose length is not known; and its first positions, of which there are no
/// more later. A crop of the end grows with the sequence.
#[test]
fn a_part_of_the_sequence_does_not_stream() {
    let blockers = |layer: &str| {
        let graph = network(&format!("input: [3, 64]\nlayers:\n  - relu\n  - {{id: part, {layer}}}\n"));
        let streaming = analyse(&Fixed::new(&graph), None).expect("an answer");
        streaming.blockers.iter().map(|blocker| graph.node(blocker.node).id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(blockers("chunk: {chunks: 4, index: 0, axis: 1}"), ["part"]);
    assert_eq!(blockers("chunk: {chunks: 63, index: 0, axis: 1}"), ["part"]);
    assert_eq!(blockers("slice: {axis: 1, start: 0, end: 16}"), ["part"]);
    assert!(blockers("crop: {amount: [[0, 5]]}").is_empty());
    assert!(blockers("max_pool: {kernel: 3, stride: 2}").is_empty());
}

/// Whether a border holds copies of positions inside: its units may look further ahead than those in the middle, where the
/// look-ahead is measured.
fn copies_at_borders(graph: &Graph) -> bool {
    graph.nodes().iter().any(|node| match &node.op {
        Op::Layer(Layer::Pad(layer)) => layer.mode != PaddingMode::Zeros,
        _ => false,
    })
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures of a run of hundreds by hand")]
fn random_networks_equal_their_chunks_bit_for_bit() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("CNNKIT_SEED").unwrap_or(0);
    let wanted = number("CNNKIT_NETWORKS").unwrap_or(NETWORKS);
    let (mut streamed, mut causal, mut stateful) = (0, 0, 0);
    let mut failures = Vec::new();
    for number in first..first + wanted {
        let style = if number % 2 == 0 { Style::Causal } else { Style::Sequence };
        let graph = random(number, style);
        let trial = Fixed::new(&graph);
        let result = std::panic::catch_unwind(|| {
            let streaming = analyse(&trial, None).map_err(|problem| problem.to_string())?;
            let Some(plan) = &streaming.plan else { return Ok(None) };
            let case = Case::new(graph.name(), &trial, &streaming, plan.hop * 340);
            case.holds(&[1, 7, 160])?;
            let small = Case::new(graph.name(), &trial, &streaming, 160 + 8 * plan.hop);
            let measured = small.measured_look_ahead();
            let predicted = i128::from(plan.look_ahead);
            if measured > predicted || (measured < predicted && !copies_at_borders(&graph)) {
                return Err(format!(
                    "{}: it looks {measured} ahead, predicted {}",
                    graph.name(),
                    plan.look_ahead
                ));
            }
            Ok(Some((streaming.causal(), streaming.state() > 0)))
        });
        match result {
            Ok(Ok(Some((ahead, state)))) => {
                streamed += 1;
                causal += u64::from(ahead);
                stateful += u64::from(state);
            }
            Ok(Ok(None)) => {}
            Ok(Err(why)) => failures.push(format!("{why}\n{}", text(&graph))),
            Err(_) => failures.push(format!("{} panicked\n{}", graph.name(), text(&graph))),
        }
    }
    let count = failures.len();
    failures.truncate(6);
    assert!(failures.is_empty(), "{count} of {wanted}:\n{}", failures.join("\n\n"));
    println!("{streamed} networks stream, {causal} of them causal, {stateful} with state");
    assert!(
        streamed * 10 > wanted * 9 && causal * 4 > wanted && stateful * 2 > wanted,
        "{streamed} {causal} {stateful}"
    );
}
