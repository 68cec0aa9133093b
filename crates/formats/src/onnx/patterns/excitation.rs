//! Squeeze-and-excitation: a mean over space, two small layers and a gate that multiplies the map.

use super::{Match, View};
use crate::onnx::constant::{Change, Constant};
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::args::Groups;
use cnnkit_core::layers::reduce::Reduction;
use cnnkit_core::layers::squeeze_excite::{Gate, SqueezeActivation, SqueezeExcite};

/// Matches `x * gate(second(activation(first(mean(x)))))`; the small layers are 1x1 convolutions or linear
/// maps.
pub(super) fn squeeze_excite(view: &View<'_>, index: usize) -> Option<Match> {
    let Layer::Multiply(_) = view.layer(index)? else { return None };
    view.pairs(index).into_iter().find_map(|(x, factor)| excited(view, index, x, factor))
}

fn excited(view: &View<'_>, index: usize, x: usize, factor: usize) -> Option<Match> {
    let shape = &view.draft(x).shape;
    if shape.rank() < 2 || view.draft(index).shape != *shape {
        return None;
    }
    let at = vector(view, factor)?;
    let gate = match view.layer(at)? {
        Layer::Sigmoid(_) => Gate::Sigmoid,
        Layer::Hardsigmoid(_) => Gate::Hardsigmoid,
        _ => return None,
    };
    let (second, outer) = small(view, vector(view, view.input(at)?)?, shape.spatial().len())?;
    let at = vector(view, view.input(second)?)?;
    let activation = match view.layer(at)? {
        Layer::Relu(_) => SqueezeActivation::Relu,
        Layer::Silu(_) => SqueezeActivation::Silu,
        Layer::Gelu(layer) if layer.approximate == cnnkit_core::layers::gelu::Approximation::None => {
            SqueezeActivation::Gelu
        }
        Layer::Elu(layer) if layer.alpha == 1.0 => SqueezeActivation::Elu,
        Layer::Hardswish(_) => SqueezeActivation::Hardswish,
        _ => return None,
    };
    let (first, inner) = small(view, vector(view, view.input(at)?)?, shape.spatial().len())?;
    let mean = vector(view, view.input(first)?)?;
    let averages = match view.layer(mean)? {
        Layer::GlobalAvgPool(_) => true,
        Layer::AdaptiveAvgPool(_) => view.draft(mean).shape.spatial().iter().all(|&size| size == 1),
        Layer::Reduce(layer) => {
            layer.reduction == Reduction::Mean && layer.axes.iter().copied().eq(1..shape.rank() as u64)
        }
        _ => false,
    };
    let channels = shape.channels();
    let squeeze = inner.first()?.dims[0];
    let fits = inner[0].dims[1] == channels && outer[0].dims[..2] == [channels, squeeze];
    // Both have a bias, or neither.
    if !averages || view.input(mean)? != x || !fits || inner.len() != outer.len() {
        return None;
    }
    let bias = inner.len() == 2;
    let whole = channels / squeeze.max(1);
    let (reduction, squeeze) = match whole.checked_mul(squeeze) {
        Some(product) if product == channels => (whole, None),
        _ => (16, Some(squeeze)),
    };
    Some(Match {
        layer: Layer::SqueezeExcite(SqueezeExcite { reduction, squeeze, bias, activation, gate }),
        inputs: vec![x],
        weights: [inner, outer].concat(),
        named: index,
    })
}

/// Returns the layer before reshapes of a vector; it and the skipped layers must have no other reader.
fn vector(view: &View<'_>, index: usize) -> Option<usize> {
    let mut at = index;
    loop {
        if !view.single(at) {
            return None;
        }
        match view.layer(at)? {
            Layer::Reshape(_) | Layer::Flatten(_) => at = view.input(at)?,
            _ => return Some(at),
        }
    }
}

/// Returns a linear map of a vector, with its weights as 1x1 kernels over `rank` spatial axes.
fn small(view: &View<'_>, index: usize, rank: usize) -> Option<(usize, Vec<Constant>)> {
    let point = match view.layer(index)? {
        Layer::Linear(_) => {
            view.draft(index).shape.elements().ok()? == view.draft(index).shape.sizes().last().copied()?
        }
        Layer::Conv(conv) => {
            let one = |group: &Groups| matches!(group, Groups::Number(1));
            conv.kernel.is(1)
                && one(&conv.groups)
                && view.draft(index).shape.spatial().iter().all(|&size| size == 1)
        }
        _ => false,
    };
    let mut weights = view.draft(index).weights.clone();
    let kernel = weights.first_mut().filter(|_| point)?;
    let sizes = [&kernel.dims[..2], &vec![1; rank]].concat();
    if kernel.dims != sizes {
        *kernel = kernel.changed(Change::Reshape(sizes.clone()), sizes);
    }
    Some((index, weights))
}
