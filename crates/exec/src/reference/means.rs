//! Layers whose outputs are fixed weighted means of input elements: average pools and interpolation.

use super::call::{Call, Gradients};
use super::data_movement::{self, Map};
use super::space::{Sliding, unravel, wide};
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::avg_pool::AvgPool;
use cnnkit_core::layers::axes::OutputSize;
use cnnkit_core::layers::conv::PaddingMode;
use cnnkit_core::layers::upsample::{Interpolation, KEYS, Upsample, cubic};

/// For each output position of one channel: the elements it reads with their factors, and the divisor of their sum.
pub(super) struct Means {
    /// Spatial sizes of the output; empty for a pool that drops them.
    outputs: Vec<usize>,
    rows: Vec<(Vec<(usize, f64)>, f64)>,
}

impl Means {
    pub(super) fn forward<S: Scalar>(&self, input: &Tensor<S>) -> Result<Tensor<S>, Problem> {
        let channels = input.image_sizes()[0];
        let plane = input.image_len() / channels.max(1);
        let mut data = Vec::with_capacity(input.batch() * channels * self.rows.len());
        for map in input.data().chunks(plane.max(1)) {
            for (taps, divisor) in &self.rows {
                let mut sum = S::ZERO;
                for &(place, factor) in taps {
                    sum += scaled(map[place], factor);
                }
                data.push(divided(sum, *divisor));
            }
        }
        Tensor::new(&super::conv::image(input.batch(), channels, &self.outputs), data)
    }

    pub(super) fn backward<S: Scalar>(&self, call: Call<'_, S>, vector: &Tensor<S>) -> Gradients<S> {
        let input = call.input();
        let plane = input.image_len() / input.image_sizes()[0].max(1);
        let mut gradients = call.zero_gradients();
        let targets = gradients.inputs[0].data_mut().chunks_mut(plane.max(1));
        for (target, from) in targets.zip(vector.data().chunks(self.rows.len().max(1))) {
            for ((taps, divisor), &gradient) in self.rows.iter().zip(from) {
                for &(place, factor) in taps {
                    target[place] += divided(scaled(gradient, factor), *divisor);
                }
            }
        }
        gradients
    }
}

fn scaled<S: Scalar>(value: S, factor: f64) -> S {
    // A factor of one is not multiplied, so that exact integers work too.
    if factor == 1.0 { value } else { S::from_f64(factor) * value }
}

fn divided<S: Scalar>(value: S, divisor: f64) -> S {
    if divisor == 1.0 { value } else { value / S::from_f64(divisor) }
}

pub(super) fn avg_pool(layer: &AvgPool, input: &[usize]) -> Result<Means, Problem> {
    let space = &input[1..];
    let windows = layer.windows(&wide(space))?;
    let sliding = Sliding::new(space, &windows, PaddingMode::Zeros, layer.ceil_mode)?;
    let (mut taps, mut position_on) = (Vec::new(), vec![0; space.len()]);
    let rows = (0..sliding.positions()).map(|position| {
        sliding.read(position, &mut taps);
        unravel(position, &sliding.outputs, &mut position_on);
        // Elements of the padded input in the window; what `ceil_mode` lets stick out beyond the padding never
        // counts.
        let padded = windows.iter().enumerate().map(|(axis, window)| {
            let first =
                i128::from(position_on[axis] as u64) * i128::from(window.stride) - i128::from(window.before);
            let end = i128::from(space[axis] as u64) + i128::from(window.after);
            (0..window.kernel).filter(|&tap| first + i128::from(tap) < end).count()
        });
        let padded: usize = padded.product();
        let real: Vec<(usize, f64)> = taps.iter().flatten().map(|&place| (place, 1.0)).collect();
        let counted = if layer.count_include_pad { padded } else { real.len() };
        let divisor = layer.divisor_override.map_or(counted as f64, |divisor| divisor as f64);
        (real, divisor)
    });
    Ok(Means { rows: rows.collect(), outputs: sliding.outputs.clone() })
}

/// Returns the flat indices that each output of an adaptive pool reads: on each axis from `floor(u * in / out)` to
/// `ceil((u + 1) * in / out)` (exclusive).
pub(super) fn adaptive_windows(
    size: &OutputSize,
    input: &[usize],
) -> Result<(Vec<usize>, Vec<Vec<usize>>), Problem> {
    let space = &input[1..];
    let outputs = super::space::sizes(&size.resolve(&wide(space))?)?;
    let mut at = vec![0; space.len()];
    let mut rows = Vec::new();
    for position in 0..outputs.iter().product() {
        unravel(position, &outputs, &mut at);
        let mut places = vec![0];
        for axis in 0..space.len() {
            let (size, count) = (space[axis], outputs[axis]);
            let (first, end) = (at[axis] * size / count, ((at[axis] + 1) * size).div_ceil(count));
            places = places.iter().flat_map(|&base| (first..end).map(move |i| base * size + i)).collect();
        }
        rows.push(places);
    }
    Ok((outputs, rows))
}

pub(super) fn adaptive_avg_pool(size: &OutputSize, input: &[usize]) -> Result<Means, Problem> {
    let (outputs, rows) = adaptive_windows(size, input)?;
    let mean = |places: Vec<usize>| {
        let divisor = places.len() as f64;
        (places.into_iter().map(|place| (place, 1.0)).collect(), divisor)
    };
    Ok(Means { outputs, rows: rows.into_iter().map(mean).collect() })
}

/// Returns the spatial sizes that remain after a global pool.
pub(super) fn collapsed(keepdim: bool, input: &[usize]) -> Vec<usize> {
    vec![1; if keepdim { input.len() - 1 } else { 0 }]
}

pub(super) fn global_avg_pool(keepdim: bool, input: &[usize]) -> Means {
    let plane: usize = input[1..].iter().product();
    let row = ((0..plane).map(|place| (place, 1.0)).collect(), plane as f64);
    Means { outputs: collapsed(keepdim, input), rows: vec![row] }
}

/// A resize: either pure data movement or a weighted mean.
pub(super) enum Resize {
    Nearest(Map),
    Mixed(Means),
}

/// The index mapping of one axis.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Axis {
    input: usize,
    pub(crate) output: usize,
    /// The given factor: PyTorch maps indices by it, not by the ratio of the sizes.
    factor: Option<f64>,
    align_corners: bool,
}

impl Axis {
    /// Computes `floor(u * input / output)`, or `floor(u / factor)`.
    pub(crate) fn nearest(self, u: usize) -> usize {
        match self.factor {
            // Integer sizes on both sides are exact; dividing by a fractional factor rounds once.
            Some(factor) if (self.input as f64 * factor).fract() != 0.0 => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "clamped by the caller"
                )]
                let index = (u as f64 / factor).floor() as usize;
                index
            }
            _ => u * self.input / self.output,
        }
    }

    /// Returns where position `u` of the output lies on the input, in positions of the input. Rounded once, from whole
    /// numbers: where it is a position of the input, it is exactly that one, and its neighbours are not read.
    fn place(self, u: usize) -> f64 {
        let (input, output, u) = (self.input as f64, self.output as f64, u as f64);
        if self.align_corners {
            return if self.output > 1 { u * (input - 1.0) / (output - 1.0) } else { 0.0 };
        }
        match self.factor {
            Some(factor) if input * factor != output => 1.0 / factor * (u + 0.5) - 0.5,
            _ => ((2.0 * u + 1.0) * input - output) / (2.0 * output),
        }
    }

    /// Returns the two neighbours with their weights; a single one if the other has weight 0.
    pub(crate) fn linear(self, u: usize) -> Vec<(usize, f64)> {
        let at = self.place(u).max(0.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the axis")]
        let first = (at.floor() as usize).min(self.input - 1);
        let share = (at - first as f64).clamp(0.0, 1.0);
        if first + 1 >= self.input || share == 0.0 {
            return vec![(first, 1.0)];
        }
        vec![(first, 1.0 - share), (first + 1, share)]
    }

    /// Returns the four neighbours with their weights; beyond the border, those on it are repeated.
    pub(crate) fn cubic(self, u: usize) -> Vec<(usize, f64)> {
        let (at, input) = (self.place(u), self.input as f64);
        let mut taps: Vec<(usize, f64)> = Vec::with_capacity(4);
        for step in -1..=2 {
            let index = at.floor() + f64::from(step);
            let share = cubic(at - index, KEYS);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "clamped to the axis"
            )]
            let index = index.clamp(0.0, input - 1.0) as usize;
            match taps.last_mut().filter(|last| last.0 == index) {
                Some(last) => last.1 += share,
                None if share != 0.0 => taps.push((index, share)),
                None => {}
            }
        }
        taps
    }
}

/// Returns how a resize maps the spatial axes of an image of `input` sizes.
pub(crate) fn axes(layer: &Upsample, input: &[usize]) -> Result<Vec<Axis>, Problem> {
    let space = &input[1..];
    let outputs = super::space::sizes(&layer.output(&wide(space))?)?;
    let factors = match &layer.scale_factor {
        Some(scale) => scale.resolve(space.len())?.into_iter().map(Some).collect(),
        None => vec![None; space.len()],
    };
    let axis = |axis: usize| Axis {
        input: space[axis],
        output: outputs[axis],
        factor: factors[axis],
        align_corners: layer.align_corners,
    };
    Ok((0..space.len()).map(axis).collect())
}

pub(super) fn resize(layer: &Upsample, input: &[usize]) -> Result<Resize, Problem> {
    let axes = axes(layer, input)?;
    let outputs: Vec<usize> = axes.iter().map(|axis| axis.output).collect();
    match layer.mode {
        Interpolation::Nearest => {
            let sizes = [&input[..1], outputs.as_slice()].concat();
            Ok(Resize::Nearest(data_movement::nearest(sizes, input, |axis, u| axes[axis - 1].nearest(u))))
        }
        mode => {
            let mut at = vec![0; axes.len()];
            let rows = (0..outputs.iter().product()).map(|position| {
                unravel(position, &outputs, &mut at);
                let mut taps = vec![(0, 1.0)];
                for (axis, &u) in axes.iter().zip(&at) {
                    let pairs = match mode {
                        Interpolation::Bicubic => axis.cubic(u),
                        Interpolation::Nearest
                        | Interpolation::Linear
                        | Interpolation::Bilinear
                        | Interpolation::Trilinear => axis.linear(u),
                    };
                    let extend = |&(base, share): &(usize, f64)| {
                        pairs
                            .iter()
                            .map(move |&(i, part)| (base * axis.input + i, share * part))
                            .collect::<Vec<_>>()
                    };
                    taps = taps.iter().flat_map(extend).collect();
                }
                (taps, 1.0)
            });
            let rows = rows.collect();
            Ok(Resize::Mixed(Means { outputs, rows }))
        }
    }
}
