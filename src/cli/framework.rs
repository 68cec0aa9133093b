//! One more claim of `verify` in the Python package: with the module's own weights, PyTorch computes the same.

use std::cell::RefCell;

use crate::cli::load::Loaded;
use crate::cli::outputs;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::shape::Shape;
use cnnkit_exec::tensor::Tensor;
use cnnkit_verify::{Claim, Kind};

/// What PyTorch computed.
#[derive(Debug, Clone, Default)]
pub struct Reference {
    /// What the module was given, in the order of the program's inputs.
    pub inputs: Vec<Array>,
    /// What it returned.
    pub outputs: Vec<Output>,
}

/// A tensor in its own layout, the batch included.
#[derive(Debug, Clone)]
pub struct Array {
    /// Its sizes.
    pub sizes: Vec<usize>,
    /// Its elements: f32, little endian.
    pub bytes: Vec<u8>,
}

/// An output of the module.
#[derive(Debug, Clone)]
pub struct Output {
    /// What it is in double precision.
    pub array: Array,
    /// The largest distance from that of what the module computes in single precision.
    pub error: f64,
}

thread_local! {
    /// What PyTorch computed with the network of the call.
    static REFERENCE: RefCell<Option<Reference>> = RefCell::default();
}

/// Sets what PyTorch computed with the network of the call.
pub fn set_reference(reference: Option<Reference>) {
    REFERENCE.set(reference);
}

/// Takes what PyTorch computed with the network of the call.
pub fn reference() -> Option<Reference> {
    REFERENCE.take()
}

/// How many times as far from the result in double precision as PyTorch a sum in another order may lie.
const ORDER: f64 = 8.0;

impl Array {
    fn values(&self) -> Vec<f32> {
        let (numbers, _) = self.bytes.as_chunks::<4>();
        numbers.iter().map(|number| f32::from_le_bytes(*number)).collect()
    }

    /// The tensor, with a batch of one if it has none for an input of this shape, which has none. Where the module reads
    /// positions before images, the batch is its second axis.
    fn tensor(&self, shape: &Shape) -> Result<Tensor<f32>, Problem> {
        // A scalar becomes a list of one element, as in `run`.
        let own: &[usize] = if self.sizes.is_empty() { &[1] } else { &self.sizes };
        let is = |sizes: &[usize]| {
            sizes.len() == shape.rank() && sizes.iter().zip(shape.sizes()).all(|(&a, &b)| a as u64 == b)
        };
        if let &[positions, batch, ref inner @ ..] = own
            && !is(&own[1..])
            && is(&[&[positions], inner].concat())
        {
            let (values, width) = (self.values(), inner.iter().product::<usize>());
            let row = |(image, position): (usize, usize)| {
                let first = (position * batch + image) * width;
                values.get(first..first + width).unwrap_or_default().to_vec()
            };
            let places = (0..batch).flat_map(|image| (0..positions).map(move |position| (image, position)));
            let moved = places.flat_map(row).collect();
            return Tensor::new(&[&[batch, positions], inner].concat(), moved);
        }
        let sizes = if own.len() == shape.rank() { [&[1], own].concat() } else { own.to_vec() };
        Tensor::new(&sizes, self.values())
    }
}

/// Runs `loaded` with the weights of its archive, and compares its outputs with those of PyTorch.
///
/// # Errors
/// If it cannot be run: a weight is not there, an operator is not analysed.
pub fn claims(loaded: &Loaded, reference: &Reference) -> Result<Vec<Claim>, Problem> {
    let shapes = loaded.graph.inputs().map(|(_, node)| &node.shape);
    let inputs = reference.inputs.iter().zip(shapes).map(|(array, shape)| array.tensor(shape));
    let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
    let run = loaded.run(&inputs)?;
    let (names, tensors) = outputs::named(loaded, &run)?;
    let compared = names.iter().zip(&tensors).zip(&reference.outputs);
    Ok(compared.map(|((name, tensor), output)| claim(name, tensor, output)).collect())
}

fn claim(name: &str, ours: &Tensor<f32>, theirs: &Output) -> Claim {
    let expected = theirs.array.values();
    let largest = expected.iter().map(|value| f64::from(value.abs())).fold(0.0, f64::max);
    let bound = ORDER * theirs.error.max(f64::from(f32::EPSILON) * largest);
    let distance = |(ours, theirs): (&f32, &f32)| {
        if ours.is_nan() && theirs.is_nan() { 0.0 } else { (f64::from(*ours) - f64::from(*theirs)).abs() }
    };
    let distances = ours.data().iter().zip(&expected).map(distance);
    // A number that is none is further away than any.
    let furthest =
        distances.fold(
            0.0,
            |furthest: f64, distance| {
                if distance.is_nan() { f64::INFINITY } else { furthest.max(distance) }
            },
        );
    let same_size = ours.data().len() == expected.len();
    Claim {
        claim: Kind::Numerics,
        node: Some(name.to_owned()),
        predicted: format!("PyTorch's output, within {bound:.1e}"),
        measured: if same_size {
            format!("differs by at most {furthest:.1e}")
        } else {
            format!("{} elements for {}", ours.data().len(), expected.len())
        },
        method: format!(
            "the module's weights and the fast kernels, against PyTorch in f64, from which PyTorch in f32 differs by {:.1e}",
            theirs.error
        ),
        ok: same_size && furthest <= bound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(values: &[f32]) -> Output {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Output { array: Array { sizes: vec![1, values.len()], bytes }, error: 1e-6 }
    }

    #[test]
    fn batch_behind_positions_comes_first() {
        let bytes = (0..12u8).flat_map(|value| f32::from(value).to_le_bytes()).collect();
        let array = Array { sizes: vec![3, 2, 2], bytes };
        let tensor = array.tensor(&Shape::new(vec![3, 2])).expect("a tensor");
        assert_eq!(tensor.sizes(), [2, 3, 2]);
        assert_eq!(tensor.data(), [0., 1., 4., 5., 8., 9., 2., 3., 6., 7., 10., 11.]);
    }

    #[test]
    fn claim_fails_for_another_number_size_or_none() {
        let ours = |values: &[f32]| Tensor::new(&[1, values.len()], values.to_vec()).expect("a tensor");
        let theirs = output(&[1.0, 2.0]);
        assert!(claim("y", &ours(&[1.0, 2.000_005]), &theirs).ok);
        assert!(!claim("y", &ours(&[1.0, 2.000_02]), &theirs).ok);
        assert!(!claim("y", &ours(&[1.0, f32::NAN]), &theirs).ok);
        assert!(!claim("y", &ours(&[1.0]), &theirs).ok);
        assert!(claim("y", &ours(&[f32::NAN]), &output(&[f32::NAN])).ok);
    }
}
