//! Tiles against the whole: a network runs on tiles of an image, and what is put together must equal the run on the whole
//! image bit for bit; with a margin that is smaller by one step of the lattice it must differ. `CNNKIT_NETWORKS=500` runs
//! more random networks, `CNNKIT_SEED` others.

use cnnkit::analysis::memory::Dtype;
use cnnkit::analysis::probe::Sizes;
use cnnkit::analysis::sizes::{Fixed, Trial};
use cnnkit::analysis::tiling::{Options, Schedule, Span, Tiling, Want, analyse};
use cnnkit::disk::Disk;
use cnnkit::exec::network::Network;
use cnnkit::exec::run::Reference;
use cnnkit::exec::tensor::Tensor;
use cnnkit::exec::tile::{self, Tiles};
use cnnkit::graph::{Graph, NodeId, Op};
use cnnkit::layers::Layer;
use cnnkit::resized::Spec;
use cnnkit::spec::{self, Overrides};
use cnnkit::verify::Seed;

use crate::support::convolutional::{Style, random, text};
use crate::support::network::network;
use crate::support::program::temporary;

/// Random networks of an ordinary run.
const NETWORKS: u64 = 40;

fn options(image: Vec<u64>, tile: Vec<u64>) -> Options {
    Options { image: Some(image), want: Want::Input(tile), dtype: Dtype::F32, max_offset: None }
}

/// Returns a network in which every position matters, with its input on the whole image: no activation clips a positive
/// number, and the outermost taps weigh most, so that what only they read is not lost in rounding.
fn seeded<'g>(graph: &'g Graph, whole: &Graph) -> (Network<'g, f64>, Vec<Tensor<f64>>) {
    let network = Network::filled(graph, |name, weight| {
        let sizes = weight.shape.sizes().to_vec();
        let taps = sizes.get(2..).unwrap_or(&[]).to_vec();
        let share = 1.0 / sizes.get(1).copied().unwrap_or(1) as f64;
        let mut random =
            Seed(name.bytes().fold(9, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte))));
        let constant = match weight.name {
            "running_var" => Some(1.0),
            "weight" if sizes.len() > 1 => None,
            "weight" => Some(1.0),
            // A unit that reads nothing must differ from padding.
            "bias" => Some(0.25),
            _ => Some(0.0),
        };
        let mut index = 0u64;
        move || {
            let mut rest = index;
            index += 1;
            let outer = taps.iter().rev().any(|&taps| {
                let tap = rest % taps;
                rest /= taps;
                tap == 0 || tap + 1 == taps
            });
            constant.unwrap_or(share * (1.0 + 0.2 * random.signed()) * if outer { 1.0 } else { 0.1 })
        }
    });
    let inputs = cnnkit::exec::network::random_inputs::<f64>(whole, 1, 11).expect("inputs");
    let positive = |tensor: Tensor<f64>| Tensor::from_array(tensor.array().mapv(|value| value.abs() + 0.1));
    (network.expect("weights"), inputs.into_iter().map(positive).collect())
}

fn same(a: &[Tensor<f64>], b: &[Tensor<f64>]) -> bool {
    let bits = |tensors: &[Tensor<f64>]| -> Vec<Vec<u64>> {
        tensors
            .iter()
            .map(|tensor| tensor.data().iter().map(|value| (value + 0.0).to_bits()).collect())
            .collect()
    };
    bits(a) == bits(b)
}

/// What a network showed: the number of tiles, and of margins that were made smaller.
#[derive(Debug, Default, Clone, Copy)]
struct Shown {
    tiles: u64,
    smaller: u64,
}

/// Runs a tiling against the whole image; with `smaller`, also with each margin smaller by one step.
fn proved(name: &str, trial: &dyn Trial, tiling: &Tiling, smaller: bool) -> Result<Shown, String> {
    let sizes = Sizes::new(trial, None).map_err(|problem| problem.to_string())?;
    let Schedule { image, spans, tiles: count, .. } = tiling.schedule.as_ref().ok_or("no schedule")?;
    let whole = sizes.at(image).ok_or("no network")?;
    let (network, inputs) = seeded(&tiling.graph, &whole);
    let run = |spans: &[Vec<Span>]| tile::run(&network, &sizes, &tiling.axes, spans, &inputs, &Reference);
    let expected = network.on(&whole).and_then(|whole| whole.run(inputs.clone(), &Reference, |_| ()));
    let expected = expected.map_err(|problem| problem.to_string())?.outputs;
    let stitched = run(spans).map_err(|problem| format!("{name}: {problem}"))?;
    if !same(&expected, &stitched) {
        return Err(format!("{name}: tiles {spans:?} differ from the whole"));
    }
    let mut shown = Shown { tiles: *count, smaller: 0 };
    let mut tiles =
        Tiles::new(&network, &sizes, &tiling.axes, image).map_err(|problem| problem.to_string())?;
    for axis in (0..spans.len()).filter(|_| smaller) {
        for side in 0..2 {
            let Some(less) =
                shrunk(&spans[axis], image[axis], tiling.axes[axis].lattice, tiling.axes[axis].step, side)
            else {
                continue;
            };
            let mut spans = spans.clone();
            spans[axis] = less;
            // A tile may even be too small for its kept part.
            let by = if side == 0 { tiling.axes[axis].lattice } else { tiling.axes[axis].step };
            if run(&spans).is_ok_and(|stitched| same(&expected, &stitched))
                && !reaches(&mut tiles, tiling, axis, side, by, &inputs)
            {
                return Err(format!(
                    "{name}: axis {axis}, side {side}: a smaller margin suffices: {spans:?}"
                ));
            }
            shown.smaller += 1;
        }
    }
    Ok(shown)
}

/// Returns whether what a tile keeps depends on the outermost `by` positions of its margin: they become NaN. A max pool may
/// hide a value that is only smaller.
fn reaches(
    tiles: &mut Tiles<'_, f64>,
    tiling: &Tiling,
    axis: usize,
    side: usize,
    by: u64,
    inputs: &[Tensor<f64>],
) -> bool {
    let schedule = tiling.schedule.as_ref().expect("tiles");
    let mut tile: Vec<Span> = schedule.spans.iter().map(|spans| spans[0]).collect();
    let inner = |span: &&Span| span.read[0] > 0 && span.read[1] < schedule.image[axis];
    let Some(&span) = schedule.spans[axis].iter().find(inner) else { return false };
    tile[axis] = span;
    let position = if side == 0 { span.read[0] } else { span.read[1] - by };
    let mut changed = inputs.to_vec();
    for input in &mut changed {
        let from = usize::try_from(position).expect("small");
        let mut part = input.section(axis + 2, from..from + usize::try_from(by).expect("small"));
        part.data_mut().fill(f64::NAN);
        let mut at = vec![0; input.sizes().len()];
        at[axis + 2] = from;
        input.place(&at, &part);
    }
    let mut kept = |inputs: &[Tensor<f64>]| -> Vec<Tensor<f64>> {
        let pieces = tiles.piece(&tile, inputs, &Reference).expect("a tile");
        pieces.into_iter().flatten().map(|(part, _)| part).collect()
    };
    !same(&kept(inputs), &kept(&changed))
}

/// Returns the spans with a smaller margin on one side where it is no border of the image; `None` if there is none.
fn shrunk(spans: &[Span], size: u64, lattice: u64, step: u64, side: usize) -> Option<Vec<Span>> {
    let mut changed = false;
    let one = |span: &Span| {
        let mut span = *span;
        let by = if side == 0 { lattice } else { step };
        // The length must stay one of the pattern.
        let room =
            if side == 0 { span.core[0] - span.read[0] } else { span.read[1].saturating_sub(span.core[1]) };
        let border = if side == 0 { span.read[0] == 0 } else { span.read[1] == size };
        if !border && room >= by && (side == 1 || step == lattice) {
            changed = true;
            if side == 0 { span.read[0] += by } else { span.read[1] -= by }
        }
        span
    };
    let spans: Vec<Span> = spans.iter().map(one).collect();
    changed.then_some(spans)
}

/// Tiles the network of `trial` on an image of a few tiles along the axes `along`, whole along the others; `parts` is the
/// least number of lattice steps that a tile keeps.
fn cut(trial: &dyn Trial, parts: u64, along: &[usize]) -> Result<Option<Tiling>, String> {
    let ask = |options: &Options| analyse(trial, options).map_err(|problem| problem.to_string());
    let first =
        ask(&Options { image: None, want: Want::Memory(u64::MAX), dtype: Dtype::F32, max_offset: None })?;
    if !first.tileable() || first.axes.iter().any(|axis| axis.margin.is_none()) {
        return Ok(None);
    }
    let (mut image, mut tile) = (Vec::new(), Vec::new());
    for (index, axis) in first.axes.iter().enumerate() {
        let margin = axis.margin.expect("a margin");
        let margins = margin[0] + margin[1];
        let core = axis.lattice * parts.max(margins.div_ceil(2 * axis.lattice));
        let wanted = if along.contains(&index) { margins + 3 * core } else { axis.base };
        let size = axis.base + wanted.saturating_sub(axis.base).div_ceil(axis.step) * axis.step;
        tile.push(if along.contains(&index) { margins + core } else { size });
        image.push(size);
    }
    ask(&options(image, tile)).map(Some)
}

/// The text of a spec with two channels where the paper has 16 and more: fields do not depend on them.
fn narrow(text: &str) -> String {
    let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    for i in 1..words.len() {
        let number: String = words[i].chars().take_while(char::is_ascii_digit).collect();
        let named = ["width:", "{width:", "out_channels:", "{out_channels:"].contains(&words[i - 1].as_str());
        if named && number.parse::<u64>().is_ok_and(|width| width >= 16) {
            words[i] = format!("2{}", &words[i][number.len()..]);
        }
    }
    words.join(" ")
}

/// A spec of the zoo with narrow layers, edited by `change`, at an input of these sizes.
fn zoo(
    name: &str,
    set: &[(&str, &str)],
    sizes: &[u64],
    change: impl Fn(String) -> String,
) -> (String, Overrides) {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("specs");
    let folder = temporary(&format!("tile_{name}"));
    for sub in ["zoo", "blocks"] {
        std::fs::create_dir_all(folder.join(sub)).expect("a folder");
    }
    let copy = |from: &str, change: &dyn Fn(String) -> String| {
        let text = std::fs::read_to_string(root.join(from)).expect("a spec");
        let to = folder.join(from);
        std::fs::write(&to, change(narrow(&text))).expect("a file");
        to.to_string_lossy().into_owned()
    };
    copy("blocks/resnet.yaml", &|text| text);
    let path = copy(&format!("zoo/{name}.yaml"), &change);
    let variables = set.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let channels = if name == "unet" { 1 } else { 3 };
    (path, Overrides { variables, inputs: vec![(String::new(), [&[channels], sizes].concat())] })
}

fn tiled(name: &str, path: &str, overrides: &Overrides, image: Vec<u64>, tile: Vec<u64>) -> (Tiling, Shown) {
    let (document, _) = spec::read(&Disk::of(path), path, overrides).expect("a spec");
    let trial = Spec::new(&document, overrides).unwrap_or_else(|errors| panic!("{path}: {errors:?}"));
    let tiling = analyse(&trial, &options(image, tile)).unwrap_or_else(|problem| panic!("{name}: {problem}"));
    assert!(tiling.tileable(), "{name}: {:?}", tiling.blockers);
    let shown = proved(name, &trial, &tiling, true).unwrap_or_else(|why| panic!("{why}"));
    assert!(shown.tiles > 1 && shown.smaller > 0, "{name}: {shown:?}");
    (tiling, shown)
}

#[test]
fn the_padded_unet_of_the_zoo_equals_its_tiles() {
    let (path, overrides) = zoo("unet", &[("padding", "1")], &[320, 32], |text| text);
    tiled("unet", &path, &overrides, vec![320, 32], vec![288, 32]);
    let (path, overrides) = zoo("unet", &[("padding", "1")], &[32, 320], |text| text);
    tiled("unet", &path, &overrides, vec![32, 320], vec![32, 288]);
}

#[test]
fn the_unpadded_unet_of_the_paper_equals_its_tiles() {
    // Ronneberger et al. 2015, figure 2: the overlap-tile strategy; a tile of 572 gives 388.
    let (path, overrides) = zoo("unet", &[], &[252, 188], |text| text);
    let (tiling, _) = tiled("unet", &path, &overrides, vec![252, 188], vec![220, 188]);
    let axis = &tiling.axes[0];
    assert_eq!((axis.halo, axis.lattice, axis.margin), (Some([15, 199]), 16, Some([0, 188])));
}

#[test]
fn the_fcn_of_the_zoo_equals_its_tiles() {
    for (image, tile) in [([1104, 16], [1000, 16]), ([16, 1104], [16, 1000])] {
        let (path, overrides) = zoo("fcn_resnet50", &[], &image, |text| text);
        tiled("fcn_resnet50", &path, &overrides, image.to_vec(), tile.to_vec());
    }
}

#[test]
fn deeplab_without_its_pooling_branch_equals_its_tiles() {
    let without = |text: String| text.replace("        - [image_pooling]\n", "");
    let (path, overrides) = zoo("deeplabv3_resnet50", &[], &[1664, 16], without);
    tiled("deeplabv3_resnet50", &path, &overrides, vec![1664, 16], vec![1400, 16]);
}

#[test]
fn drn_c_26_without_its_classifier_equals_its_tiles() {
    let without =
        |text: String| text.replace("  - global_avg_pool\n  - linear: {out_features: $classes}\n", "");
    let (path, overrides) = zoo("drn_c_26", &[], &[960, 16], without);
    tiled("drn_c_26", &path, &overrides, vec![960, 16], vec![744, 16]);
}

/// The U-Net of StarDist 2D (stardist#68), narrow.
const STARDIST: &str = "
input: [1, 256, 256]
blocks:
  two:
    layers: [conv: {out_channels: 2, kernel: 3, padding: same}, silu, conv: {out_channels: 2, kernel: 3, padding: same}, silu]
  up:
    inputs: [x, skip]
    layers: [upsample: {scale_factor: 2}, concat: [previous, skip], conv: {out_channels: 2, kernel: 3, padding: same}, silu, conv: {out_channels: 2, kernel: 3, padding: same}, silu]
layers:
  - {id: d0, two: {}}
  - max_pool: {kernel: 2}
  - {id: d1, two: {}}
  - max_pool: {kernel: 2}
  - {id: d2, two: {}}
  - max_pool: {kernel: 2}
  - two
  - {up: {}, from: [previous, d2]}
  - {up: {}, from: [previous, d1]}
  - {up: {}, from: [previous, d0]}
  - conv: {out_channels: 2, kernel: 3, padding: same}
  - conv: {out_channels: 2, kernel: 1}
";

#[test]
fn the_halo_of_stardists_unet_is_52() {
    let graph = network(STARDIST);
    let trial = Fixed::new(&graph);
    let tiling = analyse(&trial, &options(vec![256, 32], vec![128, 32])).expect("tiles");
    for axis in &tiling.axes {
        assert_eq!((axis.halo, axis.lattice, axis.step), (Some([52, 52]), 8, 8));
    }
    let shown = proved("stardist", &trial, &tiling, true).unwrap_or_else(|why| panic!("{why}"));
    assert!(shown.tiles > 4 && shown.smaller == 2, "{shown:?}");
}

#[test]
fn a_crop_inside_needs_more_than_its_field() {
    // The field of `crop` ends inside the tile, but its unit does not exist there: the pad behind it writes zeros.
    let graph = network(
        "{input: [1, 64], layers: [crop: {amount: 4}, pad: {padding: 4}, conv: {out_channels: 2, kernel: 1}]}",
    );
    let trial = Fixed::new(&graph);
    let tiling = analyse(&trial, &options(vec![64], vec![24])).expect("tiles");
    assert_eq!((tiling.axes[0].halo, tiling.axes[0].margin), (Some([0, 0]), Some([4, 4])));
    let shown = proved("crop", &trial, &tiling, true).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(shown.smaller, 2);
}

/// Whether a transposed convolution leaves positions between those that it writes.
fn leaves_gaps(graph: &Graph) -> bool {
    graph.nodes().iter().any(|node| match &node.op {
        Op::Layer(Layer::ConvTranspose(layer)) => !layer.stride.is(1),
        _ => false,
    })
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures of a run of hundreds by hand")]
fn random_networks_equal_their_tiles_bit_for_bit() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("CNNKIT_SEED").unwrap_or(0);
    let wanted = number("CNNKIT_NETWORKS").unwrap_or(NETWORKS);
    let (mut shown, mut networks, mut blocked, mut loose) = (Shown::default(), 0, 0, 0);
    let mut failures = Vec::new();
    for number in first..first + wanted {
        let graph = random(number, Style::Image);
        let trial = Fixed::new(&graph);
        // A tile can be too small for a layer.
        let axes = graph.node(NodeId::new(0)).shape.spatial().len();
        let one = usize::try_from(number).expect("small") % axes;
        let along = if axes == 2 && number.is_multiple_of(3) { vec![0, 1] } else { vec![one] };
        let tiling =
            [1 + number % 3, 6, 24].into_iter().map(|parts| cut(&trial, parts, &along)).find(Result::is_ok);
        let result = match tiling.unwrap_or_else(|| cut(&trial, 48, &along)) {
            Ok(Some(tiling)) => proved(graph.name(), &trial, &tiling, true),
            Ok(None) => {
                blocked += 1;
                continue;
            }
            Err(why) => Err(why),
        };
        match result {
            Ok(one) => {
                networks += 1;
                shown.tiles += one.tiles;
                shown.smaller += one.smaller;
            }
            // Where a dilation meets the gaps of a transposed convolution, a margin may be a step too large.
            Err(why) if why.contains("a smaller margin suffices") && leaves_gaps(&graph) => loose += 1,
            Err(why) => failures.push(format!("{why}\n{}", text(&graph))),
        }
    }
    let count = failures.len();
    failures.truncate(6);
    assert!(failures.is_empty(), "{count} of {wanted}:\n{}", failures.join("\n\n"));
    assert!(loose * 20 <= wanted, "{loose} of {wanted} have a margin that is too large");
    println!(
        "{networks} networks, {blocked} not tileable, {loose} loose, {} tiles, {} smaller margins",
        shown.tiles, shown.smaller
    );
    assert!(networks * 4 > wanted * 3, "only {networks} of {wanted} can be tiled");
    assert!(shown.smaller * 4 > networks * 3, "only {} margins in {networks} networks", shown.smaller);
}

#[test]
fn what_needs_the_whole_map_is_named() {
    let text = "{input: [4, 32, 32], layers: [conv: {out_channels: 4, kernel: 3}, {id: se, squeeze_excite: {reduction: 2}}, \
                {id: gn, group_norm: {num_groups: 2}}, conv: {out_channels: 4, kernel: 3}, {id: pool, global_avg_pool: {}}]}";
    let graph = network(text);
    let tiling = analyse(&Fixed::new(&graph), &options(vec![64], vec![64])).expect("an answer");
    assert!(!tiling.tileable() && tiling.schedule.is_none());
    let named: Vec<&str> =
        tiling.blockers.iter().map(|blocked| graph.node(blocked.node).id.as_str()).collect();
    assert_eq!(named, ["se"]);
    assert_eq!(
        tiling.part.ends.iter().map(|&end| graph.node(end).id.as_str()).collect::<Vec<_>>(),
        ["conv1"]
    );
}
