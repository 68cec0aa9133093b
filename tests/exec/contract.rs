//! The facets of every layer against its execution.

use std::collections::BTreeSet;

use cnnkit::exec::tensor::Tensor;
use cnnkit::layers::conv::PaddingMode;
use cnnkit::layers::{AxisReach, Layer, Reach, Role, Taps};

use super::{Use, examples};

#[test]
fn shapes_and_multiply_adds_are_as_stated() {
    for case in examples(2) {
        let (output, counter) = case.run(&case.inputs, &case.weights);
        assert_eq!(output.shape(), case.output, "{}: shape", case.label);
        assert_eq!(output.batch(), 2, "{}: batch", case.label);
        let cost = case.layer.cost(case.io()).expect("a small example");
        assert_eq!(counter.total(), 2 * cost.macs, "{}: multiply-adds of two images", case.label);
        assert_eq!(counter.sampling, 2 * cost.sampling_macs, "{}: sampling", case.label);
        for (declared, weight) in case.declared.iter().zip(&case.weights) {
            assert_eq!(weight.len() as u64, declared.shape.elements().expect("small"), "{}", case.label);
        }
    }
}

#[test]
fn images_of_a_batch_do_not_see_each_other() {
    for case in examples(2) {
        let (both, _) = case.run(&case.inputs, &case.weights);
        let second: Vec<Tensor<f64>> = case
            .inputs
            .iter()
            .map(|input| {
                let sizes = [&[1], input.image_sizes()].concat();
                Tensor::new(&sizes, input.image(1).to_vec()).expect("one image")
            })
            .collect();
        let (alone, _) = case.run(&second, &case.weights);
        assert_eq!(alone.data(), both.image(1), "{}", case.label);
    }
}

/// Indices of an input axis of `size` elements that output index `u` reads, by the definition in the doc comments.
fn indices(axis: &AxisReach, at: &[u64], size: u64) -> BTreeSet<u64> {
    let inside = |index: i128| u64::try_from(index).ok().filter(|&index| index < size);
    let wide = |value: u64| i128::from(value);
    match axis {
        AxisReach::Window { by, window } => (0..window.kernel)
            .filter_map(|t| {
                inside(wide(at[*by] * window.stride) - i128::from(window.before) + wide(t * window.dilation))
            })
            .collect(),
        AxisReach::Transposed { by, window } => (0..size)
            .filter(|&i| {
                (0..window.kernel).any(|t| {
                    wide(i * window.stride) - i128::from(window.before) + wide(window.dilation * t)
                        == wide(at[*by])
                })
            })
            .collect(),
        AxisReach::Blocks { by, outputs, inputs } => {
            let first = at[*by] / outputs * inputs;
            (first..first + inputs).collect()
        }
        AxisReach::Shuffle { by, groups, size } => {
            BTreeSet::from([(at[*by] % groups) * (size / groups) + at[*by] / groups])
        }
        AxisReach::Table { by, indices } => BTreeSet::from([indices[at[*by] as usize]]),
        AxisReach::Within { by, size } => BTreeSet::from([at[*by] % size]),
        AxisReach::Adaptive { by, input, output } => {
            (at[*by] * input / output..((at[*by] + 1) * input).div_ceil(*output)).collect()
        }
        AxisReach::Resize { by, input, output, taps: Taps::Nearest, .. } => {
            BTreeSet::from([(at[*by] * input / output).min(size - 1)])
        }
        AxisReach::Resize { by, input, output, taps, align_corners } => {
            let u = at[*by] as f64;
            let place = if *align_corners {
                if *output > 1 { u * (*input - 1) as f64 / (*output - 1) as f64 } else { 0.0 }
            } else {
                (u + 0.5) * *input as f64 / *output as f64 - 0.5
            };
            // Cubic interpolation repeats the border; linear stops at it.
            let place = if *taps == Taps::Linear { place.max(0.0) } else { place };
            let first = (place + 1e-9).floor();
            let neighbours = match taps {
                _ if place - first <= 1e-9 => 0.0..=0.0,
                Taps::Cubic => -1.0..=2.0,
                Taps::Linear | Taps::Nearest => 0.0..=1.0,
            };
            let inside = |index: f64| index.max(0.0) as u64;
            let mut read = BTreeSet::new();
            let mut step = *neighbours.start();
            while step <= *neighbours.end() {
                read.insert(inside(first + step).min(size - 1));
                step += 1.0;
            }
            read
        }
        // Inside it is a shift; the border may be any element.
        AxisReach::Reflected { by, before } => match inside(wide(at[*by]) - wide(*before)) {
            Some(index) => BTreeSet::from([index]),
            None => (0..size).collect(),
        },
        AxisReach::All => (0..size).collect(),
        AxisReach::Broadcast => BTreeSet::from([0]),
    }
}

fn unravel(mut flat: u64, sizes: &[u64]) -> Vec<u64> {
    let mut at = vec![0; sizes.len()];
    for (index, &size) in at.iter_mut().zip(sizes).rev() {
        *index = flat % size;
        flat /= size;
    }
    at
}

/// Flat input elements that the stated dependences of `input` allow for one output element.
fn stated(case: &Use, reaches: &[Reach], input: usize, output: u64) -> BTreeSet<u64> {
    let sizes = case.shapes[input].sizes();
    let at = unravel(output, case.output.sizes());
    let mut all = BTreeSet::new();
    for reach in reaches.iter().filter(|reach| reach.input == input) {
        let mut flat = BTreeSet::from([0]);
        for (axis, &size) in reach.axes.iter().zip(sizes) {
            // Samples move anywhere in space.
            let moved = matches!(reach.role, Role::Sampled(_)) && !matches!(axis, AxisReach::Blocks { .. });
            let found = if moved { (0..size).collect() } else { indices(axis, &at, size) };
            flat = flat.iter().flat_map(|base| found.iter().map(move |index| base * size + index)).collect();
        }
        all.extend(flat);
    }
    all
}

/// Layers whose stated dependence is a product of axes that contains the true one, as their doc comments say, and
/// those that read by data.
fn is_a_bound(case: &Use) -> bool {
    matches!(
        &case.layer,
        Layer::PixelShuffle(_)
            | Layer::PixelUnshuffle(_)
            | Layer::DeformConv(_)
            | Layer::DeformSample(_)
            | Layer::DynamicConv(_)
            | Layer::Flatten(_)
            | Layer::Reshape(_)
            | Layer::Pad(_)
    )
}

fn mirrors(case: &Use) -> bool {
    matches!(&case.layer, Layer::Conv(conv) if conv.padding_mode != PaddingMode::Zeros)
}

/// Whether a tap of the output at `at` lies on padding.
fn touches_padding(case: &Use, reaches: &[Reach], at: &[u64]) -> bool {
    let sizes = case.shapes[0].sizes();
    reaches[0].axes.iter().zip(sizes).any(|(axis, &size)| match axis {
        AxisReach::Window { window, .. } => (indices(axis, at, size).len() as u64) < window.kernel,
        _ => false,
    })
}

/// A not-a-number spreads to everything computed from it, whatever the weights: setting one input element shows all
/// outputs that read it.
#[test]
fn dependences_are_as_stated() {
    for case in examples(1) {
        let reaches = case.layer.reach(case.io());
        for (input, shape) in case.shapes.iter().enumerate() {
            let outputs = case.output.elements().expect("small");
            let mut read: Vec<BTreeSet<u64>> = vec![BTreeSet::new(); outputs as usize];
            for element in 0..shape.elements().expect("small") {
                let mut inputs = case.inputs.clone();
                inputs[input].data_mut()[element as usize] = f64::NAN;
                let (output, _) = case.run(&inputs, &case.weights);
                for (reader, value) in read.iter_mut().zip(output.data()) {
                    if value.is_nan() {
                        reader.insert(element);
                    }
                }
            }
            for (output, read) in read.iter().enumerate() {
                let stated = stated(&case, &reaches, input, output as u64);
                let at = unravel(output as u64, case.output.sizes());
                // Mirrored, repeated and wrapped padding reads real elements, which the window of a convolution does not
                // say: receptive fields take the input as unbounded. Inside they agree.
                if mirrors(&case) && touches_padding(&case, &reaches, &at) {
                    continue;
                }
                if is_a_bound(&case) {
                    assert!(
                        read.is_subset(&stated),
                        "{}: output {at:?} reads {read:?} of input {input}, stated are {stated:?}",
                        case.label
                    );
                } else {
                    assert_eq!(*read, stated, "{}: what output {at:?} reads of input {input}", case.label);
                }
            }
        }
    }
}
