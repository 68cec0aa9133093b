//! Generated layers with inputs and weights, and their comparison with the definition.

use std::sync::Arc;

use cnnkit::exec::fast::{Fast, Isa};
use cnnkit::exec::reference::{Call, Counter, forward};
use cnnkit::exec::run::Kernels as _;
use cnnkit::exec::tensor::Tensor;
use cnnkit::layers::{Io, Layer, Weight};
use cnnkit::shape::Shape;

use crate::{Numbers, build};

/// Unit roundoff of f32.
pub(crate) const U: f64 = 5.960_464_477_539_063e-8;

/// Random choices.
pub(crate) struct Draw(pub(super) std::cell::RefCell<Numbers>);

/// A layer with inputs and weights that f32 represents exactly.
pub(super) struct Case {
    pub(super) label: String,
    pub(super) layer: Layer,
    pub(super) declared: Vec<Weight>,
    pub(super) inputs: Vec<Tensor<f32>>,
    pub(super) weights: Vec<Arc<Tensor<f32>>>,
}

impl Case {
    pub(super) fn new(
        label: String,
        layer: Layer,
        declared: Vec<Weight>,
        inputs: &[Tensor<f64>],
        weights: &[Arc<Tensor<f64>>],
    ) -> Self {
        let inputs = inputs.iter().map(Tensor::cast).collect();
        let weights = weights.iter().map(|weight| Arc::new(weight.cast())).collect();
        Self { label, layer, declared, inputs, weights }
    }

    /// None if the arguments do not fit the shape.
    pub(super) fn random(
        numbers: &Draw,
        name: &str,
        args: &str,
        batch: usize,
        shapes: &[Shape],
    ) -> Option<Self> {
        let layer = build(name, args);
        let output = layer.infer(shapes).ok()?;
        let declared = layer.weights(Io { inputs: shapes, output: &output }).ok()?;
        let mut numbers = numbers.0.borrow_mut();
        let weights: Vec<_> = declared.iter().map(|weight| numbers.weight(weight)).collect();
        let inputs: Vec<_> = shapes.iter().map(|shape| numbers.tensor(batch, shape)).collect();
        let label = format!("{name} {args} on {batch} of {shapes:?}");
        Some(Self::new(label, layer, declared, &inputs, &weights))
    }

    /// The definition in f64, of the values changed by `change`.
    pub(super) fn define(&self, change: fn(f64) -> f64) -> (Tensor<f64>, Counter) {
        let of =
            |tensor: &Tensor<f32>| Tensor::from_fn(tensor.sizes(), |i| change(f64::from(tensor.data()[i])));
        let inputs: Vec<Tensor<f64>> = self.inputs.iter().map(of).collect();
        let weights: Vec<Arc<Tensor<f64>>> = self.weights.iter().map(|weight| Arc::new(of(weight))).collect();
        let inputs: Vec<&Tensor<f64>> = inputs.iter().collect();
        let call = Call { inputs: &inputs, declared: &self.declared, weights: &weights };
        let mut counter = Counter::default();
        let output = forward(&self.layer, call, &mut counter);
        (output.unwrap_or_else(|error| panic!("{}: {error}", self.label)), counter)
    }

    /// The fast kernel, and its name.
    pub(super) fn run(&self, isa: Isa) -> (Tensor<f32>, Counter, &'static str) {
        let fast = Fast::with(isa);
        let inputs: Vec<&Tensor<f32>> = self.inputs.iter().collect();
        let call = Call { inputs: &inputs, declared: &self.declared, weights: &self.weights };
        let mut counter = Counter::default();
        let output = fast.forward(&self.layer, call, &mut counter);
        let name = fast.kernel(&self.layer, call).unwrap_or_else(|error| panic!("{}: {error}", self.label));
        (output.unwrap_or_else(|error| panic!("{}: {error}", self.label)), counter, name)
    }

    /// Checks all instruction sets; `bound` returns the allowed error of each output element.
    pub(super) fn check(&self, bound: impl Fn(usize, f64) -> f64) -> &'static str {
        let (expected, defined) = self.define(|x| x);
        let mut kernel = "";
        for isa in Isa::all() {
            let (found, counter, name) = self.run(isa);
            kernel = name;
            assert_eq!(found.sizes(), expected.sizes(), "{} ({})", self.label, isa.name());
            assert_eq!(counter.total(), defined.total(), "{}: multiply-adds", self.label);
            assert_eq!(counter.sampling, defined.sampling, "{}: sampling", self.label);
            for (i, (&found, &expected)) in found.data().iter().zip(expected.data()).enumerate() {
                let error = (f64::from(found) - expected).abs();
                assert!(
                    error <= bound(i, expected),
                    "{} ({}, {name}): element {i} is {found}, not {expected}, off by {error:e} of {:e}",
                    self.label,
                    isa.name(),
                    bound(i, expected)
                );
            }
        }
        kernel
    }

    /// Checks a sum of products: `extra` roundings beside those of the sum.
    pub(super) fn check_sum(&self, terms: usize) -> &'static str {
        let (sizes, _) = self.define(f64::abs);
        let n = (terms + 2) as f64;
        self.check(|i, _| n * U / (1.0 - n * U) * sizes.data()[i] + 1e-38)
    }
}

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self(std::cell::RefCell::new(Numbers(seed)))
    }

    pub(crate) fn below(&self, end: u64) -> u64 {
        ((f64::midpoint(self.0.borrow_mut().next(), 1.0) * end as f64) as u64).min(end - 1)
    }

    pub(crate) fn pick<'a>(&self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }

    /// `[a, b]` with `rank` numbers from `low` to `high`.
    pub(crate) fn list(&self, rank: usize, low: u64, high: u64) -> String {
        let numbers: Vec<String> =
            (0..rank).map(|_| (low + self.below(high - low + 1)).to_string()).collect();
        format!("[{}]", numbers.join(", "))
    }

    /// Padding of its own on each side of each axis.
    pub(crate) fn sides(&self, rank: usize, most: u64) -> String {
        let pairs: Vec<String> = (0..rank).map(|_| self.list(2, 0, most)).collect();
        format!("[{}]", pairs.join(", "))
    }

    /// `[channels, space...]`; the last axis is sometimes long, so that rows have several vectors.
    pub(super) fn shape(&self, channels: u64, rank: usize) -> Shape {
        let mut sizes = vec![channels];
        let most = [40, 12, 6][rank - 1];
        sizes.extend((1..rank).map(|_| 1 + self.below(most)));
        sizes.push(1 + self.below(if self.below(6) == 0 { 90 } else { most }));
        Shape::new(sizes)
    }
}

pub(super) fn terms(case: &Case) -> usize {
    let weight = &case.weights[0];
    match &case.layer {
        // Every tap of the window may reach one output.
        Layer::ConvTranspose(_) => weight.len() / weight.sizes()[1].max(1),
        _ => weight.len() / weight.sizes()[0].max(1),
    }
}

/// Draws until `wanted` cases have been checked; a case may be none if what was drawn does not fit together.
pub(super) fn draw(
    seed: u64,
    wanted: usize,
    mut case: impl FnMut(&Draw) -> Option<Case>,
    check: impl Fn(&Case),
) {
    let numbers = Draw::new(seed);
    let mut checked = 0;
    for _ in 0..40 * wanted {
        if let Some(case) = case(&numbers) {
            check(&case);
            checked += 1;
            if checked == wanted {
                return;
            }
        }
    }
    panic!("only {checked} of {wanted} cases fit");
}
