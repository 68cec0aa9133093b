//! Deformable convolution: bilinear samples between pixels, with zeros outside (torchvision's rule).

use super::call::{Call, Counter, Gradients};
use super::conv::{channel_sums, convolve, convolve_backward, groups_of, image};
use super::space::{Sliding, unravel, wide};
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::conv::PaddingMode;
use cnnkit_core::layers::deform_conv::{DeformConv, Offsets};
use cnnkit_core::layers::deform_sample::DeformSample;
use cnnkit_core::layers::window::Window;

/// A sample: its value, the pixels that it interpolates with their weights, and its slopes along y and x.
struct Sample<S> {
    value: S,
    corners: [(Option<usize>, S); 4],
    slopes: [S; 2],
}

/// Samples `map` (`height` x `width`) at (y, x). Each of the four neighbours outside contributes 0.
fn sample<S: Scalar>(map: &[S], [height, width]: [usize; 2], y: S, x: S) -> Sample<S> {
    if y.is_nan() || x.is_nan() {
        let value = y + x;
        return Sample { value, corners: [(None, S::ZERO); 4], slopes: [value; 2] };
    }
    let (top, left) = (y.to_f64().floor(), x.to_f64().floor());
    let (down, right) = (y - S::from_f64(top), x - S::from_f64(left));
    let (up, away) = (S::ONE - down, S::ONE - right);
    let inside = |index: f64, size: usize| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be an index")]
        (index >= 0.0 && index < size as f64).then_some(index as usize)
    };
    let place = |dy: f64, dx: f64| Some(inside(top + dy, height)? * width + inside(left + dx, width)?);
    let places = [place(0.0, 0.0), place(0.0, 1.0), place(1.0, 0.0), place(1.0, 1.0)];
    let shares = [up * away, up * right, down * away, down * right];
    let [a, b, c, d] = places.map(|place| place.map_or(S::ZERO, |place| map[place]));
    let mut value = S::ZERO;
    for (share, (element, place)) in shares.iter().zip([a, b, c, d].into_iter().zip(places)) {
        // A pixel of weight 0 is not read: at integer positions a single pixel contributes, even beside a NaN.
        if place.is_some() && *share != S::ZERO {
            value += *share * element;
        }
    }
    let slopes = [away * (c - a) + right * (d - b), up * (b - a) + down * (d - c)];
    let mut corners = [(None, S::ZERO); 4];
    for (corner, (place, share)) in corners.iter_mut().zip(places.into_iter().zip(shares)) {
        *corner = (place, share);
    }
    Sample { value, corners, slopes }
}

/// The sampling positions of a `per_tap` convolution.
#[derive(Debug)]
pub struct Grid<'a> {
    /// One window per axis.
    pub windows: &'a [Window],
    /// Output positions per axis.
    pub outputs: [usize; 2],
    /// Sizes of the input.
    pub image: [usize; 2],
    /// Groups of input channels that share offsets.
    pub offset_groups: usize,
}

impl Grid<'_> {
    fn taps(&self) -> usize {
        self.windows.iter().map(|window| usize::try_from(window.kernel).unwrap_or(0)).product()
    }

    /// Samples `channel` at output `position` and `tap`. The offsets are `dy` then `dx` of each tap in turn, per
    /// offset group (torchvision's order).
    fn sample<S: Scalar>(
        &self,
        input: &[S],
        offsets: &[S],
        channel: (usize, usize),
        position: usize,
        tap: usize,
    ) -> Sample<S> {
        let (channel, group) = channel;
        let (taps, positions) = (self.taps(), self.outputs[0] * self.outputs[1]);
        let (mut at, mut tap_at) = ([0; 2], [0; 2]);
        unravel(position, &self.outputs, &mut at);
        let kernel = [0, 1].map(|axis| usize::try_from(self.windows[axis].kernel).unwrap_or(1));
        unravel(tap, &kernel, &mut tap_at);
        let coordinate = |axis: usize| {
            let window = &self.windows[axis];
            let regular = at[axis] as f64 * window.stride as f64 - window.before as f64
                + tap_at[axis] as f64 * window.dilation as f64;
            S::from_f64(regular) + offsets[(2 * (group * taps + tap) + axis) * positions + position]
        };
        let plane = self.image[0] * self.image[1];
        sample(&input[channel * plane..(channel + 1) * plane], self.image, coordinate(0), coordinate(1))
    }
}

/// Implements `torchvision.ops.deform_conv2d`: a convolution of the samples, each multiplied by its mask if there is
/// one.
pub fn sampled_convolution<S: Scalar>(
    grid: &Grid<'_>,
    input: &Tensor<S>,
    offsets: &Tensor<S>,
    mask: Option<&Tensor<S>>,
    weight: &Tensor<S>,
    bias: Option<&Tensor<S>>,
    counter: &mut Counter,
) -> Tensor<S> {
    let channels = input.image_sizes()[0];
    let (outputs, members) = (weight.sizes()[0], weight.sizes()[1]);
    let per_group = outputs / groups_of(channels, weight.sizes()).max(1);
    let (taps, positions) = (grid.taps(), grid.outputs[0] * grid.outputs[1]);
    let per_offset_group = channels / grid.offset_groups.max(1);
    let mut output = Tensor::zeros(&image(input.batch(), outputs, &grid.outputs));
    for n in 0..input.batch() {
        let target = output.image_mut(n);
        for position in 0..positions {
            let mut column = Vec::with_capacity(channels * taps);
            for c in 0..channels {
                let group = c / per_offset_group;
                for tap in 0..taps {
                    let sample = grid.sample(input.image(n), offsets.image(n), (c, group), position, tap);
                    counter.sampling += 4;
                    let share = mask.map(|mask| mask.image(n)[(group * taps + tap) * positions + position]);
                    column.push(share.map_or(sample.value, |share| share * sample.value));
                }
            }
            for o in 0..outputs {
                let first = o / per_group * members * taps;
                let kernel = &weight.data()[o * members * taps..(o + 1) * members * taps];
                let mut sum = S::ZERO;
                for (&factor, &element) in kernel.iter().zip(&column[first..]) {
                    sum += factor * element;
                    counter.macs += 1;
                }
                target[o * positions + position] = bias.map_or(sum, |bias| sum + bias.data()[o]);
            }
        }
    }
    output
}

/// The values that the layer computes before sampling.
struct Plan<S> {
    main: Vec<Window>,
    outputs: [usize; 2],
    image: [usize; 2],
    offset_sliding: Sliding,
    /// The output of the offset convolution.
    raw: Tensor<S>,
}

fn plan<S: Scalar>(layer: &DeformConv, call: Call<'_, S>, counter: &mut Counter) -> Result<Plan<S>, Problem> {
    let input = call.input();
    let &[_, _, height, width] = input.sizes() else {
        return Err(Problem::shape("not supported: deformable convolution in 1 or 3 dimensions"));
    };
    let image = [height, width];
    let main = layer.main().windows(&wide(&image))?;
    let sliding = Sliding::new(&image, &main, PaddingMode::Zeros, false)?;
    let around = Window { kernel: 3, before: 1, after: 1, ..Window::POINT };
    let windows = match layer.offsets {
        Offsets::PerTap => layer.offset_windows(&main)?,
        Offsets::PerChannel => vec![around; 2],
    };
    let offset_sliding = Sliding::new(&image, &windows, PaddingMode::Zeros, false)?;
    if layer.offsets == Offsets::PerTap && offset_sliding.outputs != sliding.outputs {
        return Err(Problem::shape("the offset convolution has another output size than the convolution")
            .help("use an `offset_dilation` whose kernel fits where the convolution's own does"));
    }
    let raw =
        convolve(input, &offset_sliding, call.need("offset.weight")?, call.weight("offset.bias"), counter);
    let outputs = [sliding.outputs[0], sliding.outputs[1]];
    Ok(Plan { main, outputs, image, offset_sliding, raw })
}

impl<S: Scalar> Plan<S> {
    fn grid(&self, offset_groups: usize) -> Grid<'_> {
        Grid { windows: &self.main, outputs: self.outputs, image: self.image, offset_groups }
    }

    /// Returns the mask of a modulated layer: the sigmoid of the channels after the offsets.
    fn mask(&self, modulated: bool) -> Option<Tensor<S>> {
        if !modulated {
            return None;
        }
        let planes = self.raw.image_sizes()[0];
        let positions = self.outputs[0] * self.outputs[1];
        let (masks, first) = (planes / 3, planes / 3 * 2);
        Some(Tensor::from_fn(&image(self.raw.batch(), masks, &self.outputs), |flat| {
            let (n, rest) = (flat / (masks * positions), flat % (masks * positions));
            self.raw.image(n)[first * positions + rest].map(|x| 1.0 / (1.0 + libm::exp(-x)))
        }))
    }

    /// Shifts the map of each input channel by its own pair (dy, dx) of offset channels.
    fn resampled(
        &self,
        input: &Tensor<S>,
        mut visit: impl FnMut(usize, usize, usize, &Sample<S>),
    ) -> Tensor<S> {
        let plane = self.image[0] * self.image[1];
        let channels = input.image_sizes()[0];
        let mut moved = Tensor::zeros(input.sizes());
        for n in 0..input.batch() {
            for flat in 0..channels * plane {
                let (c, position) = (flat / plane, flat % plane);
                let base = [position / self.image[1], position % self.image[1]];
                let at = |axis: usize| {
                    S::from_f64(base[axis] as f64) + self.raw.image(n)[(2 * c + axis) * plane + position]
                };
                let map = &input.image(n)[c * plane..(c + 1) * plane];
                let sample = sample(map, self.image, at(0), at(1));
                visit(n, c, position, &sample);
                moved.image_mut(n)[flat] = sample.value;
            }
        }
        moved
    }

    /// Returns the windows of the convolution over the shifted map.
    fn after(&self) -> Result<Sliding, Problem> {
        Sliding::new(&self.image, &self.main, PaddingMode::Zeros, false)
    }
}

pub(super) fn forward<S: Scalar>(
    layer: &DeformConv,
    call: Call<'_, S>,
    counter: &mut Counter,
) -> Result<Tensor<S>, Problem> {
    let plan = plan(layer, call, counter)?;
    let (weight, bias) = (call.need("weight")?, call.weight("bias"));
    if layer.offsets == Offsets::PerChannel {
        let mut samples = 0;
        let moved = plan.resampled(call.input(), |_, _, _, _| samples += 1);
        counter.sampling += 4 * samples;
        return Ok(convolve(&moved, &plan.after()?, weight, bias, counter));
    }
    let grid = plan.grid(usize::try_from(layer.offset_groups).unwrap_or(1));
    let mask = plan.mask(layer.modulated);
    Ok(sampled_convolution(&grid, call.input(), &plan.raw, mask.as_ref(), weight, bias, counter))
}

/// Implements the operator whose offsets and mask are inputs.
pub(super) fn sampled<S: Scalar>(
    layer: &DeformSample,
    call: Call<'_, S>,
    counter: &mut Counter,
) -> Result<Tensor<S>, Problem> {
    let plan = sampled_plan(layer, call)?;
    let grid = plan.grid(usize::try_from(layer.offset_groups).unwrap_or(1));
    let mask = sampled_mask(layer, call)?;
    let weight = call.need("weight")?;
    Ok(sampled_convolution(
        &grid,
        call.input(),
        &plan.raw,
        mask.as_ref(),
        weight,
        call.weight("bias"),
        counter,
    ))
}

fn sampled_plan<S: Scalar>(layer: &DeformSample, call: Call<'_, S>) -> Result<Plan<S>, Problem> {
    let &[_, _, height, width] = call.input().sizes() else {
        return Err(Problem::shape("not supported: deformable convolution in 1 or 3 dimensions"));
    };
    let image = [height, width];
    let main = layer.main().windows(&wide(&image))?;
    let sliding = Sliding::new(&image, &main, PaddingMode::Zeros, false)?;
    let outputs = [sliding.outputs[0], sliding.outputs[1]];
    let raw = if layer.learned_offsets { repeated(call, "offset")? } else { call.inputs[1].clone() };
    Ok(Plan { main, outputs, image, offset_sliding: sliding, raw })
}

/// Repeats a learned tensor for each image.
fn repeated<S: Scalar>(call: Call<'_, S>, name: &str) -> Result<Tensor<S>, Problem> {
    let (weight, batch) = (call.need(name)?, call.input().batch());
    Tensor::new(&[&[batch], weight.sizes()].concat(), weight.data().repeat(batch))
}

fn sampled_mask<S: Scalar>(layer: &DeformSample, call: Call<'_, S>) -> Result<Option<Tensor<S>>, Problem> {
    match (layer.modulated, layer.learned_offsets) {
        (false, _) => Ok(None),
        (true, true) => repeated(call, "mask").map(Some),
        (true, false) => Ok(call.inputs.get(2).map(|&mask| mask.clone())),
    }
}

/// Sums over the images.
fn summed<S: Scalar>(tensor: &Tensor<S>) -> Vec<S> {
    let mut sum = vec![S::ZERO; tensor.image_len()];
    for n in 0..tensor.batch() {
        sum.iter_mut().zip(tensor.image(n)).for_each(|(sum, &value)| *sum += value);
    }
    sum
}

pub(super) fn sampled_backward<S: Scalar>(
    layer: &DeformSample,
    call: Call<'_, S>,
    vector: &Tensor<S>,
) -> Result<Gradients<S>, Problem> {
    let plan = sampled_plan(layer, call)?;
    let mask = sampled_mask(layer, call)?;
    let mut to_offsets = Tensor::zeros(plan.raw.sizes());
    let mut to_mask = mask.as_ref().map(|mask| Tensor::zeros(mask.sizes()));
    let (to_input, to_weight) = taps_backward(
        layer.offset_groups,
        &plan,
        call,
        vector,
        mask.as_ref(),
        |n, place, target| match target {
            Target::Offset(gradient) => to_offsets.image_mut(n)[place] += gradient,
            Target::Mask(gradient) => {
                if let Some(to_mask) = &mut to_mask {
                    to_mask.image_mut(n)[place] += gradient;
                }
            }
        },
    )?;
    let mut gradients = call.zero_gradients();
    gradients.inputs[0] = to_input;
    if layer.learned_offsets {
        call.put(&mut gradients, "offset", summed(&to_offsets));
        to_mask.iter().for_each(|to_mask| call.put(&mut gradients, "mask", summed(to_mask)));
    } else {
        gradients.inputs[1] = to_offsets;
        if let Some(to_mask) = to_mask {
            gradients.inputs[2] = to_mask;
        }
    }
    call.put(&mut gradients, "weight", to_weight);
    call.put(&mut gradients, "bias", channel_sums(vector));
    Ok(gradients)
}

pub(super) fn backward<S: Scalar>(
    layer: &DeformConv,
    call: Call<'_, S>,
    vector: &Tensor<S>,
) -> Result<Gradients<S>, Problem> {
    let plan = plan(layer, call, &mut Counter::default())?;
    let mut gradients = call.zero_gradients();
    let mut to_raw = Tensor::zeros(plan.raw.sizes());
    let (mut to_input, to_weight) = match layer.offsets {
        Offsets::PerTap => per_tap_backward(layer, &plan, call, vector, &mut to_raw)?,
        Offsets::PerChannel => per_channel_backward(&plan, call, vector, &mut to_raw)?,
    };
    // The offsets depend on the input too.
    let (more, to_offset) =
        convolve_backward(call.input(), &plan.offset_sliding, call.need("offset.weight")?, &to_raw);
    for (sum, &value) in to_input.data_mut().iter_mut().zip(more.data()) {
        *sum += value;
    }
    gradients.inputs[0] = to_input;
    call.put(&mut gradients, "weight", to_weight);
    call.put(&mut gradients, "bias", channel_sums(vector));
    call.put(&mut gradients, "offset.weight", to_offset);
    call.put(&mut gradients, "offset.bias", channel_sums(&to_raw));
    Ok(gradients)
}

fn per_tap_backward<S: Scalar>(
    layer: &DeformConv,
    plan: &Plan<S>,
    call: Call<'_, S>,
    vector: &Tensor<S>,
    to_raw: &mut Tensor<S>,
) -> Result<(Tensor<S>, Vec<S>), Problem> {
    let mask = plan.mask(layer.modulated);
    let first = plan.raw.image_len() / 3 * 2;
    taps_backward(layer.offset_groups, plan, call, vector, mask.as_ref(), |n, place, target| match target {
        Target::Offset(gradient) => to_raw.image_mut(n)[place] += gradient,
        // Through the sigmoid that computed the mask.
        Target::Mask(gradient) => {
            let share = mask.as_ref().map_or(S::ONE, |mask| mask.image(n)[place]);
            to_raw.image_mut(n)[first + place] += gradient * share * (S::ONE - share);
        }
    })
}

/// The destination of a tap's gradient, besides the input and the weight.
enum Target<S> {
    Offset(S),
    Mask(S),
}

/// Computes the gradients of the sampled convolution with respect to its input and weight, and passes those of
/// offsets and mask to `put`, with their image and index in it.
fn taps_backward<S: Scalar>(
    offset_groups: u64,
    plan: &Plan<S>,
    call: Call<'_, S>,
    vector: &Tensor<S>,
    mask: Option<&Tensor<S>>,
    mut put: impl FnMut(usize, usize, Target<S>),
) -> Result<(Tensor<S>, Vec<S>), Problem> {
    let (input, weight) = (call.input(), call.need("weight")?);
    let offset_groups = usize::try_from(offset_groups).unwrap_or(1).max(1);
    let grid = plan.grid(offset_groups);
    let channels = input.image_sizes()[0];
    let (outputs, members) = (weight.sizes()[0], weight.sizes()[1]);
    let per_group = outputs / groups_of(channels, weight.sizes()).max(1);
    let (taps, positions, plane) =
        (grid.taps(), plan.outputs[0] * plan.outputs[1], plan.image[0] * plan.image[1]);
    let mut to_input = Tensor::zeros(input.sizes());
    let mut to_weight = vec![S::ZERO; weight.len()];
    for n in 0..input.batch() {
        let from = vector.image(n);
        for at in 0..positions * channels * taps {
            let (position, c, tap) = (at / (channels * taps), at / taps % channels, at % taps);
            let group = c / (channels / offset_groups);
            let sample = grid.sample(input.image(n), plan.raw.image(n), (c, group), position, tap);
            let masked = (group * taps + tap) * positions + position;
            let share = mask.map_or(S::ONE, |mask| mask.image(n)[masked]);
            let mut gradient = S::ZERO;
            for o in c / members * per_group..(c / members + 1) * per_group {
                let w = (o * members + c % members) * taps + tap;
                gradient += from[o * positions + position] * weight.data()[w];
                to_weight[w] += from[o * positions + position] * share * sample.value;
            }
            for (place, part) in sample.corners {
                if let Some(place) = place {
                    to_input.image_mut(n)[c * plane + place] += gradient * share * part;
                }
            }
            for (axis, slope) in sample.slopes.into_iter().enumerate() {
                let place = (2 * (group * taps + tap) + axis) * positions + position;
                put(n, place, Target::Offset(gradient * share * slope));
            }
            if mask.is_some() {
                put(n, masked, Target::Mask(gradient * sample.value));
            }
        }
    }
    Ok((to_input, to_weight))
}

fn per_channel_backward<S: Scalar>(
    plan: &Plan<S>,
    call: Call<'_, S>,
    vector: &Tensor<S>,
    to_raw: &mut Tensor<S>,
) -> Result<(Tensor<S>, Vec<S>), Problem> {
    let input = call.input();
    let moved = plan.resampled(input, |_, _, _, _| ());
    let (to_moved, to_weight) = convolve_backward(&moved, &plan.after()?, call.need("weight")?, vector);
    let plane = plan.image[0] * plan.image[1];
    let mut to_input = Tensor::zeros(input.sizes());
    plan.resampled(input, |n, c, position, sample| {
        let gradient = to_moved.image(n)[c * plane + position];
        for (place, part) in sample.corners {
            if let Some(place) = place {
                to_input.image_mut(n)[c * plane + place] += gradient * part;
            }
        }
        for (axis, &slope) in sample.slopes.iter().enumerate() {
            to_raw.image_mut(n)[(2 * c + axis) * plane + position] += gradient * slope;
        }
    });
    Ok((to_input, to_weight))
}
