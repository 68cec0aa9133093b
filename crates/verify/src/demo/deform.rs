//! Deformable convolution: the effect of its offsets.

use serde_json::json;

use super::Fact;
use super::tools::{conv, run, same};
use crate::Seed;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::window::Window;
use cnnkit_exec::reference::{Counter, Grid, sampled_convolution};
use cnnkit_exec::tensor::Tensor;

const SIDE: usize = 9;

pub(super) fn deformable(seed: u64) -> Result<Vec<Fact>, Problem> {
    let mut seed = Seed(seed);
    let input: Tensor<f64> = seed.tensor(&[1, 2, SIDE, SIDE]);
    let weight = seed.tensor(&[3, 2, 3, 3]);
    let padded = conv(json!({"out_channels": 3, "kernel": 3, "padding": 1, "bias": false}))?;
    let window = Window { kernel: 3, before: 1, after: 1, ..Window::POINT };
    let sampled = |dy: f64, dx: f64| {
        let grid =
            Grid { windows: &[window, window], outputs: [SIDE, SIDE], image: [SIDE, SIDE], offset_groups: 1 };
        let offsets = Tensor::from_fn(&[1, 18, SIDE, SIDE], |flat| {
            if (flat / (SIDE * SIDE)).is_multiple_of(2) { dy } else { dx }
        });
        sampled_convolution(&grid, &input, &offsets, None, &weight, None, &mut Counter::default())
    };
    let shifted = |dy: i64, dx: i64| {
        Tensor::from_fn(&[1, 2, SIDE, SIDE], |flat| {
            let (c, y, x) = (flat / (SIDE * SIDE), flat / SIDE % SIDE, flat % SIDE);
            let place = |i: usize, by: i64| {
                usize::try_from(i64::try_from(i).unwrap_or(0) + by).ok().filter(|&i| i < SIDE)
            };
            match (place(y, dy), place(x, dx)) {
                (Some(y), Some(x)) => input.data()[(c * SIDE + y) * SIDE + x],
                _ => 0.0,
            }
        })
    };
    // Away from the border, where the padding of the shifted map would begin one pixel later.
    let middle = |map: &Tensor<f64>| {
        Tensor::from_fn(&[1, 3, SIDE - 6, SIDE - 6], |flat| {
            let side = SIDE - 6;
            let (c, y, x) = (flat / (side * side), flat / side % side + 3, flat % side + 3);
            map.data()[(c * SIDE + y) * SIDE + x]
        })
    };
    let plain = run(&padded, &[&input], std::slice::from_ref(&weight))?;
    let moved = run(&padded, &[&shifted(1, -2)], std::slice::from_ref(&weight))?;
    let (a, b) = (0.25, 0.5);
    let parts = [(0, 0, (1.0 - a) * (1.0 - b)), (0, 1, (1.0 - a) * b), (1, 0, a * (1.0 - b)), (1, 1, a * b)];
    let mut mixed: Tensor<f64> = Tensor::zeros(&[1, 2, SIDE, SIDE]);
    for (dy, dx, share) in parts {
        mixed
            .data_mut()
            .iter_mut()
            .zip(shifted(dy, dx).data())
            .for_each(|(sum, value)| *sum += share * value);
    }
    let bilinear = run(&padded, &[&mixed], std::slice::from_ref(&weight))?;
    Ok(vec![
        same("offsets of 0 against the conv", &plain, &sampled(0.0, 0.0)),
        same(
            "offsets of (1, -2) against the conv of the shifted map",
            &middle(&moved),
            &middle(&sampled(1.0, -2.0)),
        ),
        same(
            "offsets of (1/4, 1/2) against the conv of the bilinear map",
            &middle(&bilinear),
            &middle(&sampled(a, b)),
        ),
    ])
}
