//! Execution: the definition against PyTorch, gradients against finite differences, the layers' closed forms
//! and dependences against the executed computation.

mod arena;
mod command;
mod contract;
mod expanded;
mod fast;
mod gradients;
mod graph;
mod inverted;
mod oracle;
mod plan;
mod stream;
#[path = "../support/mod.rs"]
mod support;
mod tile;
mod training;

use std::sync::Arc;

use cnnkit::exec::reference::{Call, Counter, forward};
use cnnkit::exec::scalar::Scalar;
use cnnkit::exec::tensor::Tensor;
use cnnkit::layers::{Init, Io, KINDS, Layer, Weight};
use cnnkit::shape::Shape;

use support::network::layer as build;

/// A small, reproducible sequence of numbers in -1 ... 1 that never repeats (no ties in a maximum).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    fn tensor(&mut self, batch: usize, shape: &Shape) -> Tensor<f64> {
        let sizes: Vec<usize> =
            std::iter::once(batch).chain(shape.sizes().iter().map(|&size| size as usize)).collect();
        Tensor::from_fn(&sizes, |_| self.next())
    }

    /// Returns generic elements, not the layer's initial values: variances positive, all others around 0.
    fn weight(&mut self, weight: &Weight) -> Arc<Tensor<f64>> {
        let sizes: Vec<usize> = weight.shape.sizes().iter().map(|&size| size as usize).collect();
        let value = |number: f64| if weight.name == "running_var" { number + 1.5 } else { number };
        let scale = match weight.init {
            Init::FanIn(fan_in) => 1.0 / (fan_in as f64).sqrt(),
            _ => 1.0,
        };
        Arc::new(Tensor::from_fn(&sizes, |_| value(self.next()) * scale))
    }
}

/// A use of a layer with generic numbers.
struct Use {
    label: String,
    layer: Layer,
    shapes: Vec<Shape>,
    output: Shape,
    declared: Vec<Weight>,
    inputs: Vec<Tensor<f64>>,
    weights: Vec<Arc<Tensor<f64>>>,
}

impl Use {
    fn run<S: Scalar>(&self, inputs: &[Tensor<S>], weights: &[Arc<Tensor<S>>]) -> (Tensor<S>, Counter) {
        let inputs: Vec<&Tensor<S>> = inputs.iter().collect();
        let call = Call { inputs: &inputs, declared: &self.declared, weights };
        let mut counter = Counter::default();
        let output =
            forward(&self.layer, call, &mut counter).unwrap_or_else(|e| panic!("{}: {e}", self.label));
        (output, counter)
    }

    fn io(&self) -> Io<'_> {
        Io { inputs: &self.shapes, output: &self.output }
    }
}

/// Every example of every layer.
fn examples(batch: usize) -> Vec<Use> {
    let mut uses = Vec::new();
    for kind in KINDS {
        for (i, example) in (kind.examples)().into_iter().enumerate() {
            let mut numbers = Numbers(0x5eed + i as u64);
            let layer = build(kind.doc.name, example.args);
            let label = format!("{} {} {:?}", kind.doc.name, example.args, example.inputs);
            let output = layer.infer(&example.inputs).unwrap_or_else(|e| panic!("{label}: {e}"));
            let io = Io { inputs: &example.inputs, output: &output };
            let declared = layer.weights(io).unwrap_or_else(|e| panic!("{label}: {e}"));
            let weights = declared.iter().map(|weight| numbers.weight(weight)).collect();
            let inputs = example.inputs.iter().map(|shape| numbers.tensor(batch, shape)).collect();
            uses.push(Use { label, layer, shapes: example.inputs, output, declared, inputs, weights });
        }
    }
    uses
}
