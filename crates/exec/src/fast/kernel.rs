//! A layer prepared for fast execution: weights packed in the kernel's order, geometry precomputed.

use std::sync::Arc;

use super::Context;
use super::attention::Attention;
use super::conv::Convolution;
use super::conv_channels_last::Across;
use super::data_movement::{self, Joined, Lookup, Strided};
use super::deform::Deformable;
use super::depthwise::Depthwise;
use super::elementwise::{self, Affine, Joining};
use super::epilogue::Finish;
use super::expanded::Expanded;
use super::inverted::Inverted;
use super::linear::Linear;
use super::norms::{self, Norm, Sets};
use super::padded_input::Frame;
use super::resize::Resize;
use super::squeeze_excite::Gates;
use super::transposed::Transposed;
use super::winograd::Winograd;
use crate::reference::{self, Call, Counter};
use crate::tensor::Tensor;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::layers::activation::Activation;
use cnnkit_core::layers::{Layer, Weight};

/// The kernel that runs a layer.
#[derive(Debug)]
pub(super) enum Kernel {
    Convolution(Box<Convolution>),
    Across(Box<Across>),
    Winograd(Box<Winograd>),
    Depthwise(Box<Depthwise>),
    Expanded(Box<Expanded>),
    Inverted(Box<Inverted>),
    Transposed(Box<Transposed>),
    Deformable(Box<Deformable>),
    Linear(Box<Linear>),
    Attention(Box<Attention>),
    Activation(Activation),
    Affine(Affine),
    Joining(Joining),
    Gates(Box<Gates>),
    Norm(Norm),
    Softmax(Sets),
    /// The maximum or the mean of each channel of `plane` elements.
    Global {
        largest: bool,
        plane: usize,
    },
    Copy,
    Strided(Strided),
    Joined(Joined),
    Lookup(Lookup),
    Resize(Resize),
    Pad(Box<Frame>),
    /// No fast kernel: runs the reference.
    Definition {
        layer: Box<Layer>,
        declared: Vec<Weight>,
        weights: Vec<Arc<Tensor<f32>>>,
    },
}

/// A kernel with its bias.
#[derive(Debug)]
pub(super) struct Prepared {
    pub kernel: Kernel,
    /// Added to each output channel.
    pub bias: Option<Vec<f32>>,
}

impl Kernel {
    /// Returns its display name.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Convolution(convolution)
                if convolution.frame.direct && convolution.frame.taps.len() == 1 =>
            {
                "product"
            }
            Self::Across(across) if across.frame.direct && across.frame.taps.len() == 1 => "product",
            Self::Convolution(_) | Self::Across(_) => "gathered product",
            Self::Winograd(_) => "Winograd",
            Self::Depthwise(_) => "rows",
            Self::Expanded(_) => "product, rows",
            Self::Inverted(kernel) if kernel.gates.is_some() => "product, rows, gates, product",
            Self::Inverted(_) => "product, rows, product",
            Self::Transposed(_) => "product, added up",
            Self::Deformable(_) => "sampled product",
            Self::Linear(_) => "product",
            Self::Attention(_) => "attention",
            Self::Gates(_) => "gates",
            Self::Global { .. } | Self::Norm(_) | Self::Softmax(_) => "reduction",
            Self::Activation(_) | Self::Affine(_) | Self::Joining(_) => "elementwise",
            Self::Copy | Self::Strided(_) | Self::Joined(_) | Self::Lookup(_) | Self::Pad(_) => "copy",
            Self::Resize(_) => "interpolation",
            Self::Definition { .. } => "definition",
        }
    }

    /// Returns the bytes of its own copy of the weights.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Convolution(kernel) => kernel.weights.bytes(),
            Self::Across(kernel) => kernel.bytes(),
            Self::Expanded(kernel) => kernel.convolution.weights.bytes(),
            Self::Inverted(kernel) => kernel.bytes(),
            Self::Winograd(kernel) => kernel.bytes(),
            Self::Transposed(kernel) => kernel.bytes(),
            Self::Deformable(kernel) => kernel.bytes(),
            Self::Linear(kernel) => kernel.bytes(),
            _ => 0,
        }
    }

    /// Returns whether the kernel can apply an epilogue (sum with another tensor, any activation) as it
    /// writes its output.
    pub(super) fn finishes(&self) -> bool {
        match self {
            Self::Convolution(_)
            | Self::Across(_)
            | Self::Expanded(_)
            | Self::Inverted(_)
            | Self::Winograd(_)
            | Self::Transposed(_)
            | Self::Deformable(_)
            | Self::Linear(_) => true,
            Self::Depthwise(kernel) => matches!(kernel.reduction, super::depthwise::Reduction::Weights(_)),
            _ => false,
        }
    }

    /// Absorbs an activation that follows, if the kernel supports it.
    pub(super) fn absorb(&mut self, curve: Activation) -> bool {
        let own = match self {
            Self::Affine(kernel) => &mut kernel.curve,
            Self::Joining(kernel) => &mut kernel.curve,
            _ => return false,
        };
        let free = own.is_none();
        *own = own.or(Some(curve));
        free
    }
}

impl Prepared {
    /// Runs it on a batch. `add` and `curve` are for kernels with an [epilogue](Kernel::finishes).
    pub(super) fn run(
        &self,
        context: &Context,
        inputs: &[(&[usize], &[f32])],
        out: &mut [f32],
        (add, curve): (Option<&[f32]>, Option<Activation>),
        counter: &mut Counter,
    ) -> Result<(), Problem> {
        let (sizes, input) = inputs[0];
        let batch = sizes.first().copied().unwrap_or(1) as u64;
        let finish = Finish { bias: self.bias.as_deref(), add, curve };
        match &self.kernel {
            Kernel::Convolution(kernel) => {
                counter.macs += batch * kernel.macs();
                kernel.run(context, input, out, finish);
            }
            Kernel::Across(kernel) => {
                counter.macs += batch * kernel.macs();
                kernel.run(context, input, out, finish);
            }
            Kernel::Winograd(kernel) => {
                counter.macs += batch * kernel.macs();
                kernel.run(context, input, out, finish);
            }
            Kernel::Depthwise(kernel) => {
                counter.macs += batch * kernel.macs();
                kernel.run(context, input, out, finish);
            }
            Kernel::Expanded(kernel) => {
                counter.macs += batch * kernel.macs();
                kernel.run(context, input, out, finish);
            }
            Kernel::Inverted(kernel) => {
                counter.macs += batch * kernel.macs();
                kernel.run(context, input, out, finish);
            }
            Kernel::Transposed(kernel) => {
                counter.macs += batch * kernel.macs();
                kernel.run(context, input, out, finish);
            }
            Kernel::Deformable(kernel) => {
                let (macs, sampling) = kernel.macs();
                counter.macs += batch * macs;
                counter.sampling += batch * sampling;
                kernel.run(context, input, out, finish);
            }
            Kernel::Linear(kernel) => {
                counter.macs += kernel.features as u64 * out.len() as u64;
                kernel.run(context, input, out, finish);
            }
            Kernel::Attention(kernel) => {
                counter.macs += kernel.macs();
                let inputs: Vec<&[f32]> = inputs.iter().map(|&(_, data)| data).collect();
                kernel.run(context, &inputs, out);
            }
            Kernel::Gates(kernel) => {
                counter.macs += batch * kernel.macs();
                kernel.run(context, input, out);
            }
            Kernel::Activation(curve) => elementwise::curve(context, *curve, input, out),
            Kernel::Affine(kernel) => kernel.run(context, input, out),
            Kernel::Joining(kernel) => {
                let inputs: Vec<&[f32]> = inputs.iter().map(|&(_, data)| data).collect();
                kernel.run(context, &inputs, out);
            }
            Kernel::Norm(kernel) => kernel.run(context, input, out),
            Kernel::Softmax(sets) => norms::softmax(context, *sets, input, out),
            Kernel::Global { largest, plane } => elementwise::global(context, *largest, *plane, input, out),
            Kernel::Copy => data_movement::copy_all(out, input),
            Kernel::Strided(kernel) => kernel.run(input, out),
            Kernel::Joined(kernel) => {
                let inputs: Vec<&[f32]> = inputs.iter().map(|&(_, data)| data).collect();
                kernel.run(&inputs, out);
            }
            Kernel::Lookup(kernel) => kernel.run(input, out),
            Kernel::Resize(kernel) => kernel.run(context, input, out),
            Kernel::Pad(frame) => frame.write_all(input, out),
            Kernel::Definition { layer, declared, weights } => {
                let tensors = inputs.iter().map(|(sizes, data)| Tensor::new(sizes, data.to_vec()));
                let tensors: Vec<Tensor<f32>> = tensors.collect::<Result<_, _>>()?;
                let inputs: Vec<&Tensor<f32>> = tensors.iter().collect();
                let call = Call { inputs: &inputs, declared, weights };
                let output = reference::forward(layer, call, counter)?;
                if output.len() != out.len() {
                    return Err(Problem::shape("the output of the reference differs from the inferred size"));
                }
                out.copy_from_slice(output.data());
            }
        }
        Ok(())
    }
}
