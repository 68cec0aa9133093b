//! Vector-Jacobian products against central differences, in f64, for every layer, input and weight.

use std::sync::Arc;

use cnnkit::exec::reference::{Call, backward};
use cnnkit::exec::tensor::Tensor;
use cnnkit::layers::KINDS;

use super::{Numbers, Use, examples};

/// (output . vector), as a function of everything that the layer reads.
fn loss(case: &Use, inputs: &[Tensor<f64>], weights: &[Arc<Tensor<f64>>], vector: &Tensor<f64>) -> f64 {
    let (output, _) = case.run(inputs, weights);
    output.data().iter().zip(vector.data()).map(|(a, b)| a * b).sum()
}

/// Step of the central difference: the error is its square times the third derivative, and the rounding error of the
/// loss divided by it.
const STEP: f64 = 1e-5;
const BOUND: f64 = 2e-7;

#[test]
fn gradients_are_those_of_finite_differences() {
    // Every layer of the vocabulary, from the list that declares them.
    let covered: Vec<&str> = examples(1).iter().map(|case| case.layer.doc().name).collect();
    for kind in KINDS {
        assert!(covered.contains(&kind.doc.name), "no example of {}, so no gradient of it", kind.doc.name);
    }
    for case in examples(2) {
        let mut numbers = Numbers(7);
        let vector = numbers.tensor(2, &case.output);
        let inputs: Vec<&Tensor<f64>> = case.inputs.iter().collect();
        let call = Call { inputs: &inputs, declared: &case.declared, weights: &case.weights };
        let gradients =
            backward(&case.layer, call, &vector).unwrap_or_else(|e| panic!("{}: {e}", case.label));
        assert_eq!(gradients.inputs.len(), case.inputs.len(), "{}", case.label);
        assert_eq!(gradients.weights.len(), case.weights.len(), "{}", case.label);
        let compare = |what: &str, element: usize, found: f64, plus: f64, minus: f64| {
            let expected = (plus - minus) / (2.0 * STEP);
            let error = (found - expected).abs() / found.abs().max(expected.abs()).max(1.0);
            assert!(
                error < BOUND,
                "{}: {what}[{element}]: {found} by backward, {expected} by differences",
                case.label
            );
        };
        // At most so many elements of each tensor, spread over it.
        let some = |len: usize| (0..len).step_by(len.div_ceil(60).max(1));
        for (i, gradient) in gradients.inputs.iter().enumerate() {
            assert_eq!(gradient.sizes(), case.inputs[i].sizes(), "{}", case.label);
            for element in some(gradient.len()) {
                let moved = |step: f64| {
                    let mut inputs = case.inputs.clone();
                    inputs[i].data_mut()[element] += step;
                    loss(&case, &inputs, &case.weights, &vector)
                };
                compare("input", element, gradient.data()[element], moved(STEP), moved(-STEP));
            }
        }
        for (w, gradient) in gradients.weights.iter().enumerate() {
            assert_eq!(gradient.sizes(), case.weights[w].sizes(), "{}", case.label);
            for element in some(gradient.len()) {
                let moved = |step: f64| {
                    let mut weights = case.weights.clone();
                    let mut changed = weights[w].as_ref().clone();
                    changed.data_mut()[element] += step;
                    weights[w] = Arc::new(changed);
                    loss(&case, &case.inputs, &weights, &vector)
                };
                compare(case.declared[w].name, element, gradient.data()[element], moved(STEP), moved(-STEP));
            }
        }
    }
}
