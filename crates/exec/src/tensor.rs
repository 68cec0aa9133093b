//! Tensors: [`ndarray`] arrays in row-major order, the batch axis first.

use ndarray::{ArrayD, IxDyn};

use crate::scalar::Scalar;
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::shape::Shape;

/// A tensor with its batch axis first, contiguous in row-major order.
///
/// The wrapper is the proof of contiguity: kernels index [`Tensor::data`] as one slice.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor<S>(ArrayD<S>);

impl<S: Scalar> Tensor<S> {
    /// A tensor of zeros.
    pub fn zeros(sizes: &[usize]) -> Self {
        Self(ArrayD::from_elem(IxDyn(sizes), S::ZERO))
    }

    /// `data` in row-major order with these sizes.
    pub fn new(sizes: &[usize], data: Vec<S>) -> Result<Self, Problem> {
        let found = data.len();
        ArrayD::from_shape_vec(IxDyn(sizes), data).map(Self).map_err(|_| {
            Problem::shape(format!("{found} elements cannot fill a tensor of the sizes {sizes:?}"))
        })
    }

    /// One value from each flat index.
    pub fn from_fn(sizes: &[usize], value: impl FnMut(usize) -> S) -> Self {
        let elements = sizes.iter().product();
        let data = (0..elements).map(value).collect();
        Self::new(sizes, data).unwrap_or_else(|_| Self::zeros(sizes))
    }

    /// Any array; it is copied if it is not in row-major order.
    pub fn from_array(array: ArrayD<S>) -> Self {
        if array.is_standard_layout() {
            return Self(array);
        }
        let sizes = array.shape().to_vec();
        let mut values = array.iter().copied();
        Self::from_fn(&sizes, |_| values.next().unwrap_or(S::ZERO))
    }

    /// The array.
    pub fn array(&self) -> &ArrayD<S> {
        &self.0
    }

    /// Sizes of all axes, the batch first.
    pub fn sizes(&self) -> &[usize] {
        self.0.shape()
    }

    /// Images in the batch.
    pub fn batch(&self) -> usize {
        self.sizes().first().copied().unwrap_or(1)
    }

    /// Sizes of one image: channels first, then space.
    pub fn image_sizes(&self) -> &[usize] {
        self.sizes().get(1..).unwrap_or(&[])
    }

    /// The shape of one image, as the graph states it.
    pub fn shape(&self) -> Shape {
        Shape::new(self.image_sizes().iter().map(|&size| size as u64).collect::<Vec<_>>())
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has no element.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Elements of one image.
    pub fn image_len(&self) -> usize {
        self.image_sizes().iter().product()
    }

    /// All elements in row-major order.
    pub fn data(&self) -> &[S] {
        self.0.as_slice().unwrap_or_default()
    }

    /// All elements in row-major order.
    pub fn data_mut(&mut self) -> &mut [S] {
        self.0.as_slice_mut().unwrap_or_default()
    }

    /// Elements of image `n`.
    pub fn image(&self, n: usize) -> &[S] {
        let len = self.image_len();
        &self.data()[n * len..(n + 1) * len]
    }

    /// Elements of image `n`.
    pub fn image_mut(&mut self, n: usize) -> &mut [S] {
        let len = self.image_len();
        &mut self.data_mut()[n * len..(n + 1) * len]
    }

    /// The elements, without their sizes.
    pub fn into_data(self) -> Vec<S> {
        self.0.into_raw_vec_and_offset().0
    }

    /// Bytes that its elements take.
    pub fn bytes(&self) -> u64 {
        self.len() as u64 * size_of::<S>() as u64
    }

    /// Every element converted through f64.
    pub fn cast<T: Scalar>(&self) -> Tensor<T> {
        Tensor(self.0.mapv(|value| T::from_f64(value.to_f64())))
    }

    /// The same tensor with the batch as axis `axis` instead of the first.
    #[must_use]
    pub fn with_batch_at(self, axis: usize) -> Self {
        let mut order: Vec<usize> = (1..self.sizes().len()).collect();
        order.insert(axis.min(order.len()), 0);
        Self::from_array(self.0.permuted_axes(IxDyn(&order)))
    }

    /// The same elements with other sizes.
    pub fn reshaped(self, sizes: &[usize]) -> Result<Self, Problem> {
        Self::new(sizes, self.into_data())
    }
}

/// Sizes of a batch of images of `shape`; an error if this machine cannot address them.
pub fn batched(batch: usize, shape: &Shape) -> Result<Vec<usize>, Problem> {
    let mut sizes = vec![batch];
    for &size in shape.sizes() {
        sizes.push(usize::try_from(size).map_err(|_| too_large(shape))?);
    }
    let bytes = sizes.iter().try_fold(16usize, |product, &size| product.checked_mul(size));
    match bytes {
        Some(bytes) if isize::try_from(bytes).is_ok() => Ok(sizes),
        _ => Err(too_large(shape)),
    }
}

fn too_large(shape: &Shape) -> Problem {
    Problem::new(Code::Limit, format!("a tensor {shape} does not fit into the memory of this machine"))
        .help("use a smaller input or batch")
}
