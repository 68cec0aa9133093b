//! Fast kernels in f32, equal to the [reference](super::reference) up to rounding.
//!
//! Nearly all the time of a network is spent in products with weights. They all end in one inner loop, the
//! `microkernel`: 8 x 48 sums in registers. It reads weights packed in its own order (`packing`) and columns that are
//! gathered, one panel of 48 positions at a time, from a copy of the input with its padding written out
//! (`padded_input`). What follows a product (bias, a norm folded into the weights, a sum, an activation) is applied
//! while its tile is in the cache (`epilogue`). [`Plan`] prepares a whole network; [`Fast`] runs single layers.
//!
//! The vector instructions are those of the machine that the program runs on (`isa`). Results do not depend on the
//! number of threads: one thread adds up each sum, in an order that the layer fixes. The last digits do depend on the
//! machine, because wider vectors split a dot product into more parts.
//!
//! These kernels multiply by padding, which the reference skips: an infinite or NaN weight times a padding zero gives
//! NaN. 3 x 3 convolutions of stride 1 use fewer products (`winograd`) computed from differences of inputs: an
//! infinite input gives NaN there as well. So do inverted residuals (`inverted`) whose inner channels, or the groups of them, do not
//! fill whole vectors.
//! No output depends on anything outside its window.

#![expect(clippy::inline_always, reason = "what runs with vectors must be compiled where they are enabled")]

mod activations;
mod attention;
mod blocked;
mod blocked_gates;
mod conv;
mod conv_channels_last;
mod data_movement;
mod deform;
mod depthwise;
mod depthwise_strips;
mod depthwise_sums;
mod disjoint_slices;
mod elementwise;
mod epilogue;
mod expanded;
mod functions;
mod fusion;
mod inverted;
mod inverted_geometry;
mod inverted_middle;
mod inverted_weights;
mod isa;
mod kernel;
mod layer_use;
mod linear;
mod live_taps;
mod memory_plan;
mod microkernel;
mod norms;
mod packing;
mod padded_input;
mod phases;
mod plan;
mod resize;
mod scratch;
mod select_gemm;
mod select_kernel;
mod spin_workers;
mod squeeze_excite;
mod transposed;
mod winograd;

pub use functions::{ERROR as FUNCTION_ERROR, FLUSHED as FUNCTION_FLUSHED};
pub use isa::Isa;
pub use plan::Plan;

use crate::reference::{Call, Counter};
use crate::run::Kernels;
use crate::tensor::{Tensor, batched};
use activations::Apply;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::activation::Activation;
use cnnkit_core::shape::Shape;
use layer_use::LayerUse;
use scratch::Scratch;

/// The state that all kernels share while they run.
#[derive(Debug)]
struct Context {
    isa: Isa,
    scratch: Scratch,
}

impl Context {
    /// Applies an activation, if there is one.
    fn activate(&self, curve: Option<Activation>, values: &mut [f32]) {
        if let Some(curve) = curve {
            self.isa.run(Apply { curve, values });
        }
    }
}

/// Fast kernels for single layers.
#[derive(Debug)]
pub struct Fast(Context);

impl Default for Fast {
    fn default() -> Self {
        Self::with(Isa::best())
    }
}

impl Fast {
    /// Returns kernels that use these instructions.
    pub fn with(isa: Isa) -> Self {
        Self(Context { isa, scratch: Scratch::default() })
    }

    /// Returns the name of the kernel that runs `layer` on inputs of these sizes (batch first); `definition` if there
    /// is no fast one.
    pub fn kernel(&self, layer: &Layer, call: Call<'_, f32>) -> Result<&'static str, Problem> {
        Ok(self.prepare(layer, call)?.0.kernel.name())
    }

    fn prepare(&self, layer: &Layer, call: Call<'_, f32>) -> Result<(kernel::Prepared, Vec<usize>), Problem> {
        let shapes: Vec<Shape> = call.inputs.iter().map(|input| input.shape()).collect();
        let output = batched(call.input().batch(), &layer.infer(&shapes)?)?;
        let inputs: Vec<&[usize]> = call.inputs.iter().map(|input| input.sizes()).collect();
        let site = LayerUse {
            layer,
            declared: call.declared,
            weights: call.weights,
            inputs: &inputs,
            output: &output,
        };
        Ok((select_kernel::prepare(&self.0, &site, None)?, output))
    }
}

impl Kernels<f32> for Fast {
    fn forward(
        &self,
        layer: &Layer,
        call: Call<'_, f32>,
        counter: &mut Counter,
    ) -> Result<Tensor<f32>, Problem> {
        let (prepared, sizes) = self.prepare(layer, call)?;
        let inputs: Vec<(&[usize], &[f32])> =
            call.inputs.iter().map(|input| (input.sizes(), input.data())).collect();
        let mut output = Tensor::zeros(&sizes);
        prepared.run(&self.0, &inputs, output.data_mut(), (None, None), counter)?;
        Ok(output)
    }

    fn mixes_taps(&self, layer: &Layer, call: Call<'_, f32>) -> Result<bool, Problem> {
        // No other layer mixes taps, and preparing a layer takes time.
        let convolves = matches!(layer, Layer::Conv(_));
        Ok(convolves && matches!(self.prepare(layer, call)?.0.kernel, kernel::Kernel::Winograd(_)))
    }

    fn scratch_bytes(&self) -> u64 {
        self.0.scratch.bytes()
    }
}
