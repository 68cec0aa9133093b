//! Identities between convolutions: composed, factored, grouped, dilated.

use serde_json::json;

use super::Fact;
use super::tools::{at, conv, figure, kernel, run, same};
use crate::gridding::claims;
use crate::{Analysis, Seed};
use cnnkit_core::analysis::gridding::{Gridding, Stack};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::Layer;
use cnnkit_core::number;
use cnnkit_exec::tensor::Tensor;

/// Composes two kernels into one: `second` after `first`.
fn composed(first: &Tensor<f64>, second: &Tensor<f64>) -> Tensor<f64> {
    let (a, b) = (first.sizes().to_vec(), second.sizes().to_vec());
    let sizes = [b[0], a[1], a[2] + b[2] - 1, a[3] + b[3] - 1];
    kernel(sizes, |[o, c, y, x]| {
        let mut sum = 0.0;
        for m in 0..a[0] {
            for v in 0..b[2].min(y + 1) {
                for u in 0..b[3].min(x + 1) {
                    if y - v < a[2] && x - u < a[3] {
                        sum += at(second, [o, m, v, u]) * at(first, [m, c, y - v, x - u]);
                    }
                }
            }
        }
        sum
    })
}

pub(super) fn small(seed: u64) -> Result<Vec<Fact>, Problem> {
    let mut seed = Seed(seed);
    let input = seed.tensor(&[1, 3, 12, 11]);
    let (first, second) = (seed.tensor(&[4, 3, 3, 3]), seed.tensor(&[5, 4, 3, 3]));
    let middle = run(
        &conv(json!({"out_channels": 4, "kernel": 3, "bias": false}))?,
        &[&input],
        std::slice::from_ref(&first),
    )?;
    let stacked = run(
        &conv(json!({"out_channels": 5, "kernel": 3, "bias": false}))?,
        &[&middle],
        std::slice::from_ref(&second),
    )?;
    let whole = composed(&first, &second);
    let pairs = |weight: &Tensor<f64>| weight.len() / (weight.sizes()[0] * weight.sizes()[1]);
    let weights = format!("{} + {} against {}", pairs(&first), pairs(&second), pairs(&whole));
    let single = run(&conv(json!({"out_channels": 5, "kernel": 5, "bias": false}))?, &[&input], &[whole])?;
    let facts = Gridding::of(&Stack::uniform(3, &[1, 1], 2)?)?;
    Ok(vec![
        figure("support of two 3x3", "5x5", format!("{}x{}", facts.size()[0], facts.size()[1])),
        figure("positions of it that are read", "25", facts.covered()),
        same("two 3x3 against the composed 5x5", &stacked, &single),
        figure("weights, for each pair of channels", "9 + 9 against 25", weights),
    ])
}

pub(super) fn asymmetric(seed: u64) -> Result<Vec<Fact>, Problem> {
    let mut seed = Seed(seed);
    let input = seed.tensor(&[1, 1, 9, 10]);
    let (down, along) = (seed.tensor(&[1, 1, 3, 1]), seed.tensor(&[1, 1, 1, 3]));
    let middle = run(
        &conv(json!({"out_channels": 1, "kernel": [3, 1], "bias": false}))?,
        &[&input],
        std::slice::from_ref(&down),
    )?;
    let stacked = run(
        &conv(json!({"out_channels": 1, "kernel": [1, 3], "bias": false}))?,
        &[&middle],
        std::slice::from_ref(&along),
    )?;
    let outer = kernel([1, 1, 3, 3], |[_, _, y, x]| down.data()[y] * along.data()[x]);
    let weights = format!("{} against {}", down.len() + along.len(), outer.len());
    let single = run(&conv(json!({"out_channels": 1, "kernel": 3, "bias": false}))?, &[&input], &[outer])?;
    Ok(vec![
        same("3x1 then 1x3 against the outer product", &stacked, &single),
        figure("weights, for each pair of channels", "6 against 9", weights),
    ])
}

pub(super) fn inception(seed: u64) -> Result<Vec<Fact>, Problem> {
    let mut seed = Seed(seed);
    let input: Tensor<f64> = seed.tensor(&[1, 6, 8, 8]);
    let mut branches = Vec::new();
    for (channels, size) in [(4usize, 1usize), (8, 3), (2, 5)] {
        let weight = seed.tensor(&[channels, 6, size, size]);
        let layer =
            conv(json!({"out_channels": channels, "kernel": size, "padding": "same", "bias": false}))?;
        branches.push((run(&layer, &[&input], std::slice::from_ref(&weight))?, weight));
    }
    let pool = Layer::MaxPool(super::tools::layer(json!({"kernel": 3, "stride": 1, "padding": 1}))?);
    let pooled = run(&pool, &[&input], &[])?;
    let concat = Layer::Concat(super::tools::layer(json!({}))?);
    let mut inputs: Vec<&Tensor<f64>> = branches.iter().map(|(output, _)| output).collect();
    inputs.push(&pooled);
    let module = run(&concat, &inputs, &[])?;
    // The three convs also equal one 5x5 conv: each kernel centred in zeros.
    let all = kernel([14, 6, 5, 5], |[o, c, y, x]| {
        let (branch, first) = [(0, 0), (1, 4), (2, 12)][usize::from(o >= 4) + usize::from(o >= 12)];
        let weight = &branches[branch].1;
        let margin = (5 - weight.sizes()[2]) / 2;
        let inside = |i: usize| i >= margin && i < 5 - margin;
        if inside(y) && inside(x) { at(weight, [o - first, c, y - margin, x - margin]) } else { 0.0 }
    });
    let single = run(
        &conv(json!({"out_channels": 14, "kernel": 5, "padding": 2, "bias": false}))?,
        &[&input],
        &[all],
    )?;
    let slice = |from: usize, to: usize| {
        Tensor::new(&[1, to - from, 8, 8], module.data()[from * 64..to * 64].to_vec())
    };
    Ok(vec![
        figure(
            "channels of the module",
            "4 + 8 + 2 + 6 = 20",
            format!("4 + 8 + 2 + 6 = {}", module.image_sizes()[0]),
        ),
        same("its convs against one 5x5 with zeros around", &slice(0, 14)?, &single),
        same("its last channels against the pool", &slice(14, 20)?, &pooled),
    ])
}

pub(super) fn bottleneck(seed: u64) -> Result<Vec<Fact>, Problem> {
    let mut seed = Seed(seed);
    let mut map: Tensor<f64> = seed.tensor(&[1, 256, 4, 4]);
    let input = map.clone();
    let mut allocated = 0;
    for (channels, size) in [(64usize, 1usize), (64, 3), (256, 1)] {
        let layer =
            conv(json!({"out_channels": channels, "kernel": size, "padding": "same", "bias": false}))?;
        let weight = seed.tensor(&[channels, map.image_sizes()[0], size, size]);
        allocated += weight.len();
        map = run(&layer, &[&map], &[weight])?;
    }
    let weight = seed.tensor(&[256, 256, 3, 3]);
    let plain = run(
        &conv(json!({"out_channels": 256, "kernel": 3, "padding": 1, "bias": false}))?,
        &[&input],
        std::slice::from_ref(&weight),
    )?;
    Ok(vec![
        figure("weights of the bottleneck", "69,632", number::grouped(allocated as u64)),
        figure("weights of the plain 3x3", "589,824", number::grouped(weight.len() as u64)),
        figure("shape of both", format!("{:?}", plain.sizes()), format!("{:?}", map.sizes())),
    ])
}

pub(super) fn separable(seed: u64) -> Result<Vec<Fact>, Problem> {
    let mut seed = Seed(seed);
    let input: Tensor<f64> = seed.tensor(&[1, 4, 9, 9]);
    let (depthwise, pointwise) = (seed.tensor(&[4, 1, 3, 3]), seed.tensor(&[6, 4, 1, 1]));
    let middle = run(
        &conv(json!({"out_channels": 4, "kernel": 3, "padding": 1, "groups": 4, "bias": false}))?,
        &[&input],
        std::slice::from_ref(&depthwise),
    )?;
    let both = run(
        &conv(json!({"out_channels": 6, "kernel": 1, "bias": false}))?,
        &[&middle],
        std::slice::from_ref(&pointwise),
    )?;
    let outer =
        kernel([6, 4, 3, 3], |[o, c, y, x]| at(&pointwise, [o, c, 0, 0]) * at(&depthwise, [c, 0, y, x]));
    let single = run(
        &conv(json!({"out_channels": 6, "kernel": 3, "padding": 1, "bias": false}))?,
        &[&input],
        std::slice::from_ref(&outer),
    )?;
    Ok(vec![
        same("depthwise then pointwise against the full conv", &both, &single),
        figure(
            "weights",
            "60 against 216",
            format!("{} against {}", depthwise.len() + pointwise.len(), outer.len()),
        ),
    ])
}

pub(super) fn grouped(seed: u64) -> Result<Vec<Fact>, Problem> {
    let mut seed = Seed(seed);
    let input: Tensor<f64> = seed.tensor(&[1, 6, 7, 7]);
    let weight = seed.tensor(&[9, 2, 3, 3]);
    let args = |groups: u64| json!({"out_channels": 9, "kernel": 3, "groups": groups, "bias": false});
    let grouped = run(&conv(args(3))?, &[&input], std::slice::from_ref(&weight))?;
    let blocks =
        kernel([9, 6, 3, 3], |[o, c, y, x]| if o / 3 == c / 2 { at(&weight, [o, c % 2, y, x]) } else { 0.0 });
    let full = run(&conv(args(1))?, &[&input], std::slice::from_ref(&blocks))?;
    Ok(vec![
        same("3 groups against the block-diagonal kernel", &grouped, &full),
        figure("weights", "162 against 486", format!("{} against {}", weight.len(), blocks.len())),
    ])
}

pub(super) fn dilated(seed: u64) -> Result<Vec<Fact>, Problem> {
    let mut seed = Seed(seed);
    let input: Tensor<f64> = seed.tensor(&[1, 2, 12, 13]);
    let weight = seed.tensor(&[3, 2, 3, 3]);
    let dilated = run(
        &conv(json!({"out_channels": 3, "kernel": 3, "dilation": 3, "bias": false}))?,
        &[&input],
        std::slice::from_ref(&weight),
    )?;
    let stuffed =
        kernel(
            [3, 2, 7, 7],
            |[o, c, y, x]| {
                if y % 3 == 0 && x % 3 == 0 { at(&weight, [o, c, y / 3, x / 3]) } else { 0.0 }
            },
        );
    let single = run(&conv(json!({"out_channels": 3, "kernel": 7, "bias": false}))?, &[&input], &[stuffed])?;
    Ok(vec![same("a 3x3 at rate 3 against a 7x7 stuffed with zeros", &dilated, &single)])
}

pub(super) fn gridding(_: u64) -> Result<Vec<Fact>, Problem> {
    let mut facts = Vec::new();
    for (rates, expected) in [([2, 2, 2], "120 of 169"), ([1, 2, 5], "0 of 289")] {
        let stack = Stack::uniform(3, &rates, 2)?;
        let grid = Gridding::of(&stack)?;
        facts.push(figure(
            &format!("positions never read by {rates:?}"),
            expected,
            format!("{} of {}", grid.total() - grid.covered(), grid.total()),
        ));
        for claim in claims(&stack, &Analysis)?.into_iter().flatten() {
            facts.push(Fact {
                what: format!("an impulse through {rates:?}"),
                expected: claim.predicted,
                found: claim.measured,
                ok: claim.ok,
            });
        }
    }
    Ok(facts)
}
