//! Identities of connections: shuffles, shortcuts, concatenations, gates.

use serde_json::json;

use super::Fact;
use super::tools::{conv, declared, figure, layer, run, same};
use crate::{Marks, Seed};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::Layer;
use cnnkit_exec::scalar::Scalar as _;
use cnnkit_exec::tensor::Tensor;

pub(super) fn shuffle(_: u64) -> Result<Vec<Fact>, Problem> {
    // Forward pass in dependence bits: input channel c has bit c, and each output channel collects the bits it
    // depends on.
    let input = Tensor::from_fn(&[1, 12, 1, 1], Marks::bit);
    let weight = Tensor::from_fn(&[12, 4, 1, 1], |_| Marks::ONE);
    let grouped = conv(json!({"out_channels": 12, "kernel": 1, "groups": 3, "bias": false}))?;
    let deal = Layer::ChannelShuffle(layer(json!({"groups": 3}))?);
    let first = run(&grouped, &[&input], std::slice::from_ref(&weight))?;
    let dealt = run(&deal, &[&first], &[])?;
    let least =
        |tensor: &Tensor<Marks>| tensor.data().iter().map(|marks| marks.0.count_ones()).min().unwrap_or(0);
    let without = run(&grouped, &[&first], std::slice::from_ref(&weight))?;
    let with = run(&grouped, &[&dealt], std::slice::from_ref(&weight))?;
    Ok(vec![
        figure(
            "input channels that an output channel reads, with the shuffle",
            "12 of 12",
            format!("{} of 12", least(&with)),
        ),
        figure("the same without it", "4 of 12", format!("{} of 12", least(&without))),
    ])
}

pub(super) fn residual(seed: u64) -> Result<Vec<Fact>, Problem> {
    const MODULES: usize = 5;
    let mut seed = Seed(seed);
    let input: Tensor<f64> = seed.tensor(&[1, 3, 6, 6]);
    let module = conv(json!({"out_channels": 3, "kernel": 3, "padding": 1, "bias": false}))?;
    let weights: Vec<Tensor<f64>> = (0..MODULES).map(|_| seed.tensor(&[3, 3, 3, 3])).collect();
    let add = Layer::Add(layer(json!({}))?);
    let mut net = input.clone();
    for weight in &weights {
        let branch = run(&module, &[&net], std::slice::from_ref(weight))?;
        net = run(&add, &[&net, &branch], &[])?;
    }
    let mut lengths = [0; MODULES + 1];
    let mut sum: Tensor<f64> = Tensor::zeros(input.sizes());
    for path in 0..1usize << MODULES {
        let mut map = input.clone();
        for (index, weight) in weights.iter().enumerate().filter(|(index, _)| path >> index & 1 == 1) {
            let _ = index;
            map = run(&module, &[&map], std::slice::from_ref(weight))?;
        }
        lengths[path.count_ones() as usize] += 1;
        sum = run(&add, &[&sum, &map], &[])?;
    }
    Ok(vec![
        same(&format!("{MODULES} modules against the sum of {} paths", 1 << MODULES), &net, &sum),
        figure("paths by length", "[1, 5, 10, 10, 5, 1]", format!("{lengths:?}")),
    ])
}

pub(super) fn dense(seed: u64) -> Result<Vec<Fact>, Problem> {
    let mut seed = Seed(seed);
    let concat = Layer::Concat(layer(json!({}))?);
    let grow = conv(json!({"out_channels": 4, "kernel": 3, "padding": 1, "bias": false}))?;
    let mut map: Tensor<f64> = seed.tensor(&[1, 8, 5, 5]);
    let mut parts = vec![map.clone()];
    for _ in 0..3 {
        let weight = seed.tensor(&[4, map.image_sizes()[0], 3, 3]);
        let new = run(&grow, &[&map], &[weight])?;
        map = run(&concat, &[&map, &new], &[])?;
        parts.push(new);
    }
    let together = run(&concat, &parts.iter().collect::<Vec<_>>(), &[])?;
    Ok(vec![
        same("the block against the concatenation of all its layers", &map, &together),
        figure("channels after 3 layers of growth 4 on 8", 20, map.image_sizes()[0]),
    ])
}

pub(super) fn gate(seed: u64) -> Result<Vec<Fact>, Problem> {
    let mut seed = Seed(seed);
    let input: Tensor<f64> = seed.tensor(&[1, 8, 5, 5]);
    let block = Layer::SqueezeExcite(layer(json!({"reduction": 4, "gate": "hardsigmoid"}))?);
    let (_, weights) = declared(&block, &[&input])?;
    // A last bias of 3 saturates the hard sigmoid at 1, for any map.
    let fill = |open: bool, seed: &mut Seed| {
        let one = |weight: &cnnkit_core::layers::Weight| {
            let sizes: Vec<usize> = weight.shape.sizes().iter().map(|&size| size as usize).collect();
            match weight.name {
                "fc2.weight" if open => Tensor::zeros(&sizes),
                "fc2.bias" if open => Tensor::from_fn(&sizes, |_| 3.0),
                _ => seed.tensor(&sizes),
            }
        };
        weights.iter().map(one).collect::<Vec<Tensor<f64>>>()
    };
    let open = fill(true, &mut seed);
    let output = run(&block, &[&input], &open)?;
    let free = fill(false, &mut seed);
    let gated = run(&block, &[&input], &free)?;
    let changes = super::tools::difference(&input, &gated) > 0.0;
    Ok(vec![
        same("the gate at 1 against the input", &input, &output),
        figure("a free gate changes the map", "true", changes),
    ])
}
