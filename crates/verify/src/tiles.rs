//! Claims about tiles: put together they equal the whole image bit for bit, and no smaller margin is enough.
//!
//! The network runs with as few channels as its structure allows, on an image of a few tiles along one axis. That a smaller
//! margin is not enough is claimed where each position of the reach matters. It is not enough if the outermost step of the
//! margin reaches what is kept (it is set to NaN, which no weight is too small to pass on), or if a tile without it lacks what
//! should be kept.

use crate::predict::Predict;
use crate::rebuild::slim;
use crate::{Kind, Options, Outcome};
use cnnkit_core::analysis::memory::Dtype;
use cnnkit_core::analysis::probe::Sizes;
use cnnkit_core::analysis::sizes::Fixed;
use cnnkit_core::analysis::tiling::{self, Schedule, Span, Tiling, Want};
use cnnkit_core::analysis::totals;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, Node, Op};
use cnnkit_core::layers::upsample::Interpolation;
use cnnkit_core::layers::window::Window;
use cnnkit_core::layers::{Arithmetic, Layer};
use cnnkit_exec::network::{Fill, Network, random_inputs};
use cnnkit_exec::run::Reference;
use cnnkit_exec::scalar::Scalar as _;
use cnnkit_exec::tensor::Tensor;
use cnnkit_exec::tile::{self, Piece, Tiles};

/// Steps of the lattice that a tile keeps, at least: a tile can be too small for a layer.
const PARTS: [u64; 4] = [1, 6, 24, 48];

pub(super) fn measure(
    graph: &Graph,
    predict: &(dyn Predict + Sync),
    options: &Options,
    outcome: &mut Outcome,
) -> Result<(), Problem> {
    if !options.wants(Kind::Tiles) || is_opaque(graph) || may_round(graph) {
        return Ok(());
    }
    let slim = slim(graph);
    let trial = Fixed::new(&slim.graph);
    // Networks with inputs of different sizes, or without spatial axes, have no tiles.
    let Ok(sizes) = Sizes::new(&trial, None) else { return Ok(()) };
    let ask =
        tiling::Options { image: None, want: Want::Memory(u64::MAX), dtype: Dtype::F32, max_offset: None };
    let Ok(first) = predict.tiling(&trial, &ask) else { return Ok(()) };
    let names = axis_names(first.axes.len());
    for axis in 0..first.axes.len() {
        if !first.axes[axis].cut || first.axes[axis].margin.is_none() {
            continue;
        }
        let Some(tiling) = PARTS.iter().find_map(|&parts| cut(predict, &trial, &first, axis, parts)) else {
            outcome
                .notes
                .push(format!("tiles along {}: no image of a few tiles fits the network", names[axis]));
            continue;
        };
        let Some(Schedule { image, .. }) = &tiling.schedule else { continue };
        let steps = sizes.at(image).map_or(u64::MAX, |graph| {
            let counts = totals::of_graph(&graph);
            counts.macs.saturating_add(counts.activations.saturating_mul(8))
        });
        // The whole, as much again in tiles, and single tiles.
        if steps.saturating_mul(8) > options.effort.budget() {
            outcome.notes.push(format!(
                "tiles along {}: too expensive for this effort; --thorough measures them",
                names[axis]
            ));
            continue;
        }
        one(&tiling, &sizes, axis, &names, &slim.how, options, outcome)?;
    }
    Ok(())
}

/// Returns whether parts of a map may round otherwise than the whole: a linear or cubic resize by a factor that is no power
/// of 2, and a deformable convolution, compute their shares from the index in floating point.
pub(super) fn may_round(graph: &Graph) -> bool {
    let resizes = |node: &Node| {
        let Op::Layer(layer) = &node.op else { return false };
        if matches!(layer, Layer::DeformConv(_) | Layer::DeformSample(_)) {
            return true;
        }
        let Layer::Upsample(layer) = layer else { return false };
        let input = graph.input_shapes(node);
        let sizes = input.first().map_or(&[] as &[u64], |shape| shape.spatial());
        let exact = |(&before, &after): (&u64, &u64)| {
            before > 0 && after.is_multiple_of(before) && (after / before).is_power_of_two()
        };
        // A map of one position may keep its size at any factor.
        let factors = layer.scale_factor.as_ref().and_then(|factors| factors.resolve(sizes.len()).ok());
        let whole = |&factor: &f64| factor >= 1.0 && factor.log2().fract() == 0.0;
        layer.mode != Interpolation::Nearest
            && !(sizes.iter().zip(node.shape.spatial()).all(exact) && factors.iter().flatten().all(whole))
    };
    graph.nodes().iter().any(resizes)
}

/// Returns whether every position of the predicted reach changes an output: nothing selects channels, whose reach may be
/// smaller, no resampling leaves gaps, and no window reads padding only: none is larger than its map, nor than its padding.
pub(super) fn is_tight(graph: &Graph) -> bool {
    use Arithmetic as A;
    graph.nodes().iter().all(|node| {
        let Op::Layer(layer) = &node.op else { return true };
        let inputs = graph.input_shapes(node);
        let map = inputs.first().map_or(&[] as &[u64], |shape| shape.spatial());
        let arithmetic = layer.arithmetic();
        let windows = if let A::Conv(layer) = arithmetic {
            layer.windows(map)
        } else if let A::MaxPool(layer) = arithmetic {
            layer.windows(map)
        } else if let A::AvgPool(layer) = arithmetic {
            layer.windows(map)
        } else {
            if swallows(layer) {
                return false;
            }
            // Of any other layer, less is claimed.
            #[rustfmt::skip]
            let plain = matches!(
                arithmetic,
                A::Pointwise(_) | A::BatchNorm(_) | A::LayerScale(_) | A::Identity(_) | A::Dropout(_) | A::Pad(_)
                | A::Add(_) | A::Multiply(_) | A::Concat(_)
            );
            return plain;
        };
        let fits = |(window, &size): (&Window, &u64)| {
            let padding = window.before.max(window.after);
            window.extent().is_ok_and(|extent| extent <= size && padding < i64::try_from(extent).unwrap_or(i64::MAX))
        };
        windows.is_ok_and(|windows| windows.iter().zip(map).all(fits))
    })
}

/// Returns whether not-a-number does not pass: `x` to the power of 0 is 1, whatever `x` is.
pub(super) fn swallows(layer: &Layer) -> bool {
    matches!(layer.arithmetic(), Arithmetic::Pointwise(function) if !function.activation.value(f64::NAN).is_nan())
}

/// Returns whether some layer is not analysed: it cannot be run.
pub(super) fn is_opaque(graph: &Graph) -> bool {
    graph.nodes().iter().any(|node| matches!(node.op, Op::Layer(Layer::Opaque(_))))
}

fn axis_names(count: usize) -> Vec<String> {
    let names: &[&str] = match count {
        1 => &["the axis"],
        2 => &["the height", "the width"],
        _ => &["the depth", "the height", "the width"],
    };
    (0..count)
        .map(|axis| names.get(axis).map_or_else(|| format!("axis {axis}"), ToString::to_string))
        .collect()
}

/// Returns tiles of an image that has a few of them along `axis`; the other axes are whole. None if the network does not
/// run on such an image or such tiles.
fn cut(
    predict: &(dyn Predict + Sync),
    trial: &Fixed<'_>,
    first: &Tiling,
    axis: usize,
    parts: u64,
) -> Option<Tiling> {
    let (mut image, mut tile) = (Vec::new(), Vec::new());
    for (index, own) in first.axes.iter().enumerate() {
        if index != axis {
            image.push(own.base);
            tile.push(own.base);
            continue;
        }
        let [before, after] = own.margin?;
        let margins = before.checked_add(after)?;
        let lattice = own.lattice.max(1);
        let core = lattice.checked_mul(parts.max(margins.div_ceil(2 * lattice)))?;
        let wanted = margins.checked_add(core.checked_mul(3)?)?;
        let step = own.step.max(1);
        image.push(own.base + wanted.saturating_sub(own.base).div_ceil(step).checked_mul(step)?);
        tile.push(margins + core);
    }
    let options =
        tiling::Options { image: Some(image), want: Want::Input(tile), dtype: Dtype::F32, max_offset: None };
    predict.tiling(trial, &options).ok()
}

fn one(
    tiling: &Tiling,
    sizes: &Sizes<'_>,
    axis: usize,
    names: &[String],
    how: &str,
    options: &Options,
    outcome: &mut Outcome,
) -> Result<(), Problem> {
    let Some(Schedule { image, spans, tiles: count, .. }) = &tiling.schedule else { return Ok(()) };
    let [before, after] = tiling.axes[axis].margin.unwrap_or_default();
    let lattice = tiling.axes[axis].lattice.max(1);
    let network = Network::<f64>::seeded(&tiling.graph, options.seed, Fill::Generic)?;
    let mut tiles = Tiles::new(&network, sizes, &tiling.axes, image)?;
    let inputs = random_inputs::<f64>(tiles.whole(), 1, options.seed)?;
    let expected = network.on(tiles.whole())?.run(inputs.clone(), &Reference, |_| ())?.outputs;
    let stitched = tile::run(&network, sizes, &tiling.axes, spans, &inputs, &Reference);
    let equal = stitched.is_ok_and(|stitched| same(&expected, &stitched));
    // Numbers that overflow equal each other by chance.
    let finite = expected.iter().all(|output| output.data().iter().all(|value| value.is_finite()));
    let tight = is_tight(&tiling.graph);
    let mut enough = Vec::new();
    if equal && finite && tight {
        for (side, margin) in [before, after].into_iter().enumerate() {
            let inner = spans[axis].iter().find(|span| {
                span.read[0] > 0 && span.read[1] < image[axis] && room(span, side) >= lattice && margin > 0
            });
            let Some(inner) = inner else { continue };
            let mut tile: Vec<Span> = spans.iter().map(|spans| spans[0]).collect();
            tile[axis] = *inner;
            if !needs(&mut tiles, &tile, axis, side, lattice, &inputs)? {
                enough.push(["before", "after"][side]);
            }
        }
    }
    let text =
        |what: &str| format!("{count} tiles along {}, margins {before} and {after}: {what}", names[axis]);
    let predicted = text(if tight { "equal, none smaller" } else { "equal" });
    let measured = match enough.as_slice() {
        _ if !equal => text("different"),
        [] => predicted.clone(),
        sides => text(&format!("equal, {lattice} less suffices {}", sides.join(" and "))),
    };
    let smaller =
        if tight { format!("; then the outermost {lattice} of each margin changed") } else { String::new() };
    outcome.claim(Kind::Tiles, None, predicted, measured).method(format!(
        "tiles put together against the run on the whole image of {}, bit for bit in f64{smaller}, {how}",
        crate::sizes(image)
    ));
    Ok(())
}

/// Returns the margin of a tile on one side.
fn room(span: &Span, side: usize) -> u64 {
    if side == 0 { span.core[0] - span.read[0] } else { span.read[1].saturating_sub(span.core[1]) }
}

/// Returns whether what is kept of a tile depends on the outermost `by` positions of its margin on one side.
fn needs(
    tiles: &mut Tiles<'_, f64>,
    tile: &[Span],
    axis: usize,
    side: usize,
    by: u64,
    inputs: &[Tensor<f64>],
) -> Result<bool, Problem> {
    let kept = tiles.piece(tile, inputs, &Reference)?;
    let span = tile[axis];
    let strip = if side == 0 {
        [span.read[0], span.read[0] + by]
    } else {
        [span.read[1].saturating_sub(by), span.read[1]]
    };
    let changed: Vec<Tensor<f64>> =
        inputs.iter().map(|input| blank(input, axis, strip, tile.len())).collect();
    if !equal(&kept, &tiles.piece(tile, &changed, &Reference)?) {
        return Ok(true);
    }
    // A layer that trims its map may leave fewer units than the field allows.
    let mut less = tile.to_vec();
    if side == 0 {
        less[axis].read[0] += by;
    } else {
        less[axis].read[1] -= by;
    }
    Ok(tiles.piece(&less, inputs, &Reference).map_or(true, |pieces| !equal(&kept, &pieces)))
}

/// Returns `input` with NaN at these positions of a spatial axis.
fn blank(input: &Tensor<f64>, axis: usize, strip: [u64; 2], axes: usize) -> Tensor<f64> {
    if input.sizes().len() != axes + 2 {
        return input.clone();
    }
    let [from, to] = strip.map(|position| usize::try_from(position).unwrap_or(usize::MAX));
    let mut part = input.section(axis + 2, from..to);
    part.data_mut().fill(f64::NAN);
    let mut at = vec![0; input.sizes().len()];
    at[axis + 2] = from;
    let mut changed = input.clone();
    changed.place(&at, &part);
    changed
}

fn equal(a: &[Piece<f64>], b: &[Piece<f64>]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|pair| match pair {
            (Some((a, at)), Some((b, other))) => at == other && same_bits(a, b),
            (None, None) => true,
            _ => false,
        })
}

/// Returns whether tensors are equal bit for bit; zeros of both signs are equal.
fn same_bits(a: &Tensor<f64>, b: &Tensor<f64>) -> bool {
    let bits = |value: &f64| (value + f64::ZERO).to_bits();
    a.sizes() == b.sizes() && a.data().iter().map(bits).eq(b.data().iter().map(bits))
}

pub(super) fn same(a: &[Tensor<f64>], b: &[Tensor<f64>]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_bits(a, b))
}
