//! Tensors: [`ndarray`] arrays in row-major order, batch axis first.

use ndarray::{ArrayD, Axis, IxDyn, Slice};

use crate::scalar::Scalar;
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::shape::Shape;

/// A tensor with its batch axis first, contiguous in row-major order.
///
/// The wrapper guarantees contiguity: kernels index [`Tensor::data`] as one slice.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor<S>(ArrayD<S>);

impl<S: Scalar> Tensor<S> {
    /// Returns a tensor of zeros.
    pub fn zeros(sizes: &[usize]) -> Self {
        Self(ArrayD::from_elem(IxDyn(sizes), S::ZERO))
    }

    /// Returns a tensor of these sizes with `data` in row-major order; an error if the number of elements
    /// differs.
    pub fn new(sizes: &[usize], data: Vec<S>) -> Result<Self, Problem> {
        let found = data.len();
        ArrayD::from_shape_vec(IxDyn(sizes), data).map(Self).map_err(|_| {
            Problem::shape(format!("{found} elements do not match a tensor of the sizes {sizes:?}"))
        })
    }

    /// Returns a tensor whose elements are `value` of their flat index.
    pub fn from_fn(sizes: &[usize], value: impl FnMut(usize) -> S) -> Self {
        let elements = sizes.iter().product();
        let data = (0..elements).map(value).collect();
        Self::new(sizes, data).unwrap_or_else(|_| Self::zeros(sizes))
    }

    /// Wraps an array; copies it if it is not in row-major order.
    pub fn from_array(array: ArrayD<S>) -> Self {
        if array.is_standard_layout() {
            return Self(array);
        }
        let sizes = array.shape().to_vec();
        let mut values = array.iter().copied();
        Self::from_fn(&sizes, |_| values.next().unwrap_or(S::ZERO))
    }

    /// Returns the array.
    pub fn array(&self) -> &ArrayD<S> {
        &self.0
    }

    /// Returns the sizes of all axes, batch first.
    pub fn sizes(&self) -> &[usize] {
        self.0.shape()
    }

    /// Returns the number of images in the batch.
    pub fn batch(&self) -> usize {
        self.sizes().first().copied().unwrap_or(1)
    }

    /// Returns the sizes of one image: channels first, then spatial axes.
    pub fn image_sizes(&self) -> &[usize] {
        self.sizes().get(1..).unwrap_or(&[])
    }

    /// Returns the shape of one image, as the graph declares it.
    pub fn shape(&self) -> Shape {
        Shape::new(self.image_sizes().iter().map(|&size| size as u64).collect::<Vec<_>>())
    }

    /// Returns the number of elements.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the number of elements of one image.
    pub fn image_len(&self) -> usize {
        self.image_sizes().iter().product()
    }

    /// Returns all elements in row-major order.
    pub fn data(&self) -> &[S] {
        self.0.as_slice().unwrap_or_default()
    }

    /// Returns all elements in row-major order, mutably.
    pub fn data_mut(&mut self) -> &mut [S] {
        self.0.as_slice_mut().unwrap_or_default()
    }

    /// Returns the elements of image `n`.
    pub fn image(&self, n: usize) -> &[S] {
        let len = self.image_len();
        &self.data()[n * len..(n + 1) * len]
    }

    /// Returns the elements of image `n`, mutably.
    pub fn image_mut(&mut self, n: usize) -> &mut [S] {
        let len = self.image_len();
        &mut self.data_mut()[n * len..(n + 1) * len]
    }

    /// Returns the elements without their sizes.
    pub fn into_data(self) -> Vec<S> {
        self.0.into_raw_vec_and_offset().0
    }

    /// Returns the bytes of its elements.
    pub fn bytes(&self) -> u64 {
        self.len() as u64 * size_of::<S>() as u64
    }

    /// Converts every element through f64.
    pub fn cast<T: Scalar>(&self) -> Tensor<T> {
        Tensor(self.0.mapv(|value| T::from_f64(value.to_f64())))
    }

    /// Returns the same tensor with the batch as axis `axis` instead of the first.
    #[must_use]
    pub fn with_batch_at(self, axis: usize) -> Self {
        let mut order: Vec<usize> = (1..self.sizes().len()).collect();
        order.insert(axis.min(order.len()), 0);
        Self::from_array(self.0.permuted_axes(IxDyn(&order)))
    }

    /// Returns the same tensor with the last axis behind the batch: channels first.
    #[must_use]
    pub fn with_channels_first(self) -> Self {
        let axes = self.sizes().len();
        if axes < 3 {
            return self;
        }
        let order: Vec<usize> = [0, axes - 1].into_iter().chain(1..axes - 1).collect();
        Self::from_array(self.0.permuted_axes(IxDyn(&order)))
    }

    /// Returns the elements whose index along `axis` (0 is the batch) lies in `range`, which must lie inside it.
    #[must_use]
    pub fn section(&self, axis: usize, range: std::ops::Range<usize>) -> Self {
        Self::from_array(self.0.slice_axis(Axis(axis), Slice::from(range)).to_owned())
    }

    /// Returns the tensors one behind the other along `axis`; an error if their other sizes differ.
    pub fn joined(axis: usize, parts: &[&Self]) -> Result<Self, Problem> {
        let views: Vec<_> = parts.iter().map(|part| part.0.view()).collect();
        let joined = ndarray::concatenate(Axis(axis), &views);
        joined
            .map(Self::from_array)
            .map_err(|_| Problem::shape("tensors of different sizes cannot be joined"))
    }

    /// Overwrites the elements from the indices `at` on (one per axis, batch first) with those of `part`, which must
    /// lie inside.
    pub fn place(&mut self, at: &[usize], part: &Self) {
        let mut view = self.0.view_mut();
        for (axis, (&from, &size)) in at.iter().zip(part.sizes()).enumerate() {
            view.slice_axis_inplace(Axis(axis), Slice::from(from..from + size));
        }
        view.assign(&part.0);
    }

    /// Returns the same elements with other sizes; an error if the number of elements differs.
    pub fn reshaped(self, sizes: &[usize]) -> Result<Self, Problem> {
        Self::new(sizes, self.into_data())
    }
}

/// Returns the sizes of a batch of images of `shape`; an error if this machine cannot address them.
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
