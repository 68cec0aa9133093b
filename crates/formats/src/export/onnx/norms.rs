//! Normalisations.

use super::emit::{Layer as Out, Value, float, int, ints};
use cnnkit_core::layers::group_norm::GroupNorm;
use cnnkit_core::layers::instance_norm::InstanceNorm;
use cnnkit_core::layers::layer_norm::{LayerNorm, NormAxis};
use cnnkit_core::layers::local_response_norm::LocalResponseNorm;

/// Returns the names of the learned scale and shift, or of ones and zeros.
fn scale_and_shift(out: &mut Out<'_>, affine: bool, size: u64) -> [String; 2] {
    if affine {
        return [out.weight("weight"), out.weight("bias")];
    }
    [out.filled("ones", size, 1.0), out.filled("zeros", size, 0.0)]
}

pub(super) fn batch_norm(out: &mut Out<'_>, x: &Value, eps: f64, affine: bool) {
    let [scale, shift] = scale_and_shift(out, affine, x.channels());
    let inputs = vec![x.name.clone(), scale, shift, out.weight("running_mean"), out.weight("running_var")];
    out.last("BatchNormalization", inputs, vec![float("epsilon", eps)], x.sizes.clone());
}

pub(super) fn instance_norm(out: &mut Out<'_>, x: &Value, layer: &InstanceNorm) {
    if layer.track_running_stats {
        batch_norm(out, x, layer.eps, layer.affine);
        return;
    }
    let [scale, shift] = scale_and_shift(out, layer.affine, x.channels());
    let inputs = vec![x.name.clone(), scale, shift];
    out.last("InstanceNormalization", inputs, vec![float("epsilon", layer.eps)], x.sizes.clone());
}

pub(super) fn group_norm(out: &mut Out<'_>, x: &Value, layer: &GroupNorm) {
    let [scale, shift] = scale_and_shift(out, layer.affine, x.channels());
    let attributes = vec![float("epsilon", layer.eps), int("num_groups", layer.num_groups as i64)];
    if x.rank() > 0 {
        out.last("GroupNormalization", vec![x.name.clone(), scale, shift], attributes, x.sizes.clone());
        return;
    }
    // The operator requires a spatial axis.
    let map = out.reshaped("map", x, &[x.channels(), 1]);
    let inputs = vec![map.name, scale, shift];
    let normal = out.before("normal", "GroupNormalization", inputs, attributes, [x.channels(), 1]);
    out.last_reshaped(&normal, &x.sizes);
}

pub(super) fn layer_norm(out: &mut Out<'_>, x: &Value, layer: &LayerNorm) {
    let last = x.sizes.last().copied().unwrap_or(1);
    let (axis, together) = match layer.axis {
        NormAxis::Channels => (-1, vec![x.channels()]),
        NormAxis::Last => (-1, vec![last]),
        NormAxis::Space => (2, x.spatial().to_vec()),
        NormAxis::All => (1, x.sizes.clone()),
    };
    let mut parameters = vec![if layer.elementwise_affine {
        out.weight("weight")
    } else {
        let count: u64 = together.iter().product();
        out.numbers("ones", &together, &vec![1.0; usize::try_from(count).unwrap_or(0)])
    }];
    if layer.elementwise_affine && layer.bias {
        parameters.push(out.weight("bias"));
    }
    let attributes = vec![int("axis", axis), float("epsilon", layer.eps)];
    if layer.axis != NormAxis::Channels || x.rank() == 0 {
        out.last(
            "LayerNormalization",
            [vec![x.name.clone()], parameters].concat(),
            attributes,
            x.sizes.clone(),
        );
        return;
    }
    // The operator normalises trailing axes: the channels are moved there and back.
    let rank = x.rank();
    let there: Vec<usize> = (1..=rank).chain([0]).collect();
    let back: Vec<usize> = [rank].into_iter().chain(0..rank).collect();
    let moved = out.transposed("channels_last", x, &there);
    let inputs = [vec![moved.name], parameters].concat();
    let normal = out.before("normal", "LayerNormalization", inputs, attributes, moved.sizes);
    let perm = std::iter::once(0).chain(back.iter().map(|&axis| axis as i64 + 1));
    out.last("Transpose", vec![normal.name], vec![ints("perm", perm)], x.sizes.clone());
}

pub(super) fn local_response_norm(out: &mut Out<'_>, x: &Value, layer: &LocalResponseNorm) {
    let sizes = x.sizes.clone();
    // ONNX's window has its odd neighbour on the other side, and ONNX Runtime supports images only.
    if x.rank() == 2 && layer.size % 2 == 1 {
        let attributes = vec![
            float("alpha", layer.alpha),
            float("beta", layer.beta),
            float("bias", layer.k),
            int("size", layer.size as i64),
        ];
        out.last("LRN", vec![x.name.clone()], attributes, sizes);
        return;
    }
    let square = out.before("square", "Mul", vec![x.name.clone(), x.name.clone()], vec![], sizes.clone());
    let positions: u64 = x.spatial().iter().product();
    let flat = out.reshaped("flat", &square, &[1, x.channels(), positions]);
    let (before, after) = ((layer.size / 2) as i64, (layer.size.saturating_sub(1) / 2) as i64);
    let attributes = vec![
        ints("kernel_shape", [layer.size as i64, 1]),
        ints("pads", [before, 0, after, 0]),
        int("count_include_pad", 1),
    ];
    let mean = out.before("mean", "AveragePool", vec![flat.name], attributes, [1, x.channels(), positions]);
    let mean = out.reshaped("near", &mean, &sizes);
    let (alpha, k, beta) =
        (out.scalar("alpha", layer.alpha), out.scalar("k", layer.k), out.scalar("beta", layer.beta));
    let scaled = out.before("scaled", "Mul", vec![mean.name, alpha], vec![], sizes.clone());
    let base = out.before("base", "Add", vec![scaled.name, k], vec![], sizes.clone());
    let power = out.before("power", "Pow", vec![base.name, beta], vec![], sizes.clone());
    out.last("Div", vec![x.name.clone(), power.name], vec![], sizes);
}
