//! Constants of a model: weights that stay in the file, and small tensors whose values are known.

use half::{bf16, f16};

use super::proto::{DataType, TensorProto};
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::shape::product;

/// Maximum number of elements of a constant whose values the analysis reads: shapes, axes, scales.
pub const KNOWN: u64 = 1 << 22;

/// A constant of the model, or a result computed from constants.
#[derive(Debug, Clone)]
pub struct Constant {
    /// Sizes of its axes; none for a scalar.
    pub dims: Vec<u64>,
    /// Type of its elements.
    pub data_type: DataType,
    /// Index of the stored tensor that it is, possibly rearranged; none for any other constant.
    pub root: Option<usize>,
    /// The changes to that tensor, in order.
    pub view: Vec<Change>,
    /// Its values, if they are known.
    pub values: Option<Values>,
    /// Whether it was computed from weights of the model.
    pub derived: bool,
    /// The stored tensors from which it was computed.
    pub sources: Vec<usize>,
}

/// A rearrangement of a stored tensor.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Axis `i` is the old axis `axes[i]`.
    Transpose(Vec<usize>),
    /// The same elements in the same order, with these sizes.
    Reshape(Vec<u64>),
    /// Every element times this factor.
    Scale(f64),
    /// 1 divided by every element.
    Invert,
    /// `(element - zero) * scale`, with one scale for all elements or one per index of the axis.
    Dequantize {
        /// The axis with one scale per index.
        axis: usize,
        /// The scales.
        scale: Vec<f64>,
        /// The zero points.
        zero: Vec<f64>,
    },
    /// The elements `start..end` of axis `axis`.
    Slice {
        /// The axis.
        axis: usize,
        /// The first index.
        start: u64,
        /// One past the last index.
        end: u64,
    },
    /// The elements `start..end` of axis `axis` are this number.
    Fill {
        /// The axis.
        axis: usize,
        /// The first index.
        start: u64,
        /// One past the last index.
        end: u64,
        /// The number.
        value: f64,
    },
    /// A weight `[O, I, ...]` that is stored in blocks of channels, or its bias.
    Unblock {
        /// Channels in a block; none if the model does not say.
        block: Option<u64>,
        /// Whether input channels stand in blocks too.
        inputs: bool,
        /// Output channels that are not there to fill the last block up.
        channels: u64,
    },
}

/// Known values, in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Of an integer or boolean type.
    Ints(Vec<i64>),
    /// Of a floating-point type.
    Floats(Vec<f64>),
}

impl Values {
    /// Returns the values as floating-point numbers.
    pub fn floats(&self) -> Vec<f64> {
        match self {
            Self::Ints(values) => values.iter().map(|&value| value as f64).collect(),
            Self::Floats(values) => values.clone(),
        }
    }

    /// Returns the values at these positions.
    #[must_use]
    pub fn pick(&self, places: &[usize]) -> Self {
        match self {
            Self::Ints(values) => Self::Ints(places.iter().map(|&at| values[at]).collect()),
            Self::Floats(values) => Self::Floats(places.iter().map(|&at| values[at]).collect()),
        }
    }
}

impl Constant {
    /// Returns a constant of known integers.
    pub fn ints(dims: Vec<u64>, values: Vec<i64>) -> Self {
        Self {
            dims,
            data_type: DataType::Int64,
            root: None,
            view: vec![],
            values: Some(Values::Ints(values)),
            derived: false,
            sources: vec![],
        }
    }

    /// Returns a constant of known floating-point numbers.
    pub fn floats(dims: Vec<u64>, values: Vec<f64>) -> Self {
        Self {
            dims,
            data_type: DataType::Float,
            root: None,
            view: vec![],
            values: Some(Values::Floats(values)),
            derived: false,
            sources: vec![],
        }
    }

    /// Returns the number of elements; an error if it exceeds 64 bits.
    pub fn elements(&self) -> Result<u64, Problem> {
        product(&self.dims).ok_or_else(|| Problem::overflow("the number of elements of a constant"))
    }

    /// Returns its integers, if they are known.
    pub fn as_ints(&self) -> Option<&[i64]> {
        match &self.values {
            Some(Values::Ints(values)) => Some(values),
            _ => None,
        }
    }

    /// Returns its only element, if it has exactly one and that is known.
    pub fn scalar(&self) -> Option<f64> {
        match self.values.as_ref()? {
            Values::Ints(values) if values.len() == 1 => Some(values[0] as f64),
            Values::Floats(values) if values.len() == 1 => Some(values[0]),
            _ => None,
        }
    }

    /// Returns whether its elements are integers or truth values.
    pub fn is_integer(&self) -> bool {
        is_integer(self.data_type)
    }

    /// Returns the same tensor after `change`, which results in these sizes.
    #[must_use]
    pub fn changed(&self, change: Change, dims: Vec<u64>) -> Self {
        let values = match (&self.values, &change) {
            (values, Change::Reshape(_)) => values.clone(),
            (_, Change::Unblock { block: None, .. }) => None,
            (Some(Values::Floats(values)), change) => {
                Some(Values::Floats(changed(change, &self.dims, values.clone()).1))
            }
            (Some(Values::Ints(values)), Change::Transpose(_) | Change::Slice { .. }) => {
                // Exact up to 2^53, more than any size or axis.
                let values = values.iter().map(|&value| value as f64).collect();
                let moved = changed(&change, &self.dims, values).1;
                Some(Values::Ints(moved.into_iter().map(|value: f64| value as i64).collect()))
            }
            _ => None,
        };
        let mut view = self.view.clone();
        view.push(change);
        Self { dims, view, values, sources: self.sources.clone(), ..*self }
    }

    /// Returns the tensor with index `root` of the file. Its values are decoded if they are few and stored in
    /// the model file itself.
    pub fn of_tensor(tensor: &TensorProto, root: usize) -> Result<Self, Problem> {
        let dims = sizes(&tensor.dims).map_err(|problem| Problem {
            message: format!("`{}`: {}", tensor.name, problem.message),
            ..problem
        })?;
        let data_type = DataType::try_from(tensor.data_type).map_err(|_| {
            let message = format!("`{}` has elements of the unknown type {}", tensor.name, tensor.data_type);
            Problem::new(Code::InvalidValue, message)
        })?;
        let elements = product(&dims).ok_or_else(|| {
            Problem::overflow(&format!("the number of elements of `{}` {dims:?}", tensor.name))
        })?;
        if elements > 1 << 48 {
            let message = format!("`{}` has {elements} elements, the limit is 2^48", tensor.name);
            return Err(Problem::new(Code::Limit, message).help("no file holds such a tensor"));
        }
        let mut constant = Self {
            dims,
            data_type,
            root: Some(root),
            view: vec![],
            values: None,
            derived: false,
            sources: vec![],
        };
        if elements <= KNOWN && tensor.left.is_empty() && tensor.data_location == 0 {
            constant.values = decode(tensor, data_type, elements as usize)?;
        }
        Ok(constant)
    }
}

/// Returns the sizes and elements of a tensor after `change`.
pub fn changed<T: num_traits::Float>(change: &Change, dims: &[u64], data: Vec<T>) -> (Vec<u64>, Vec<T>) {
    let cast = |value: f64| T::from(value).unwrap_or_else(T::nan);
    match change {
        Change::Reshape(sizes) => (sizes.clone(), data),
        Change::Scale(factor) => (dims.to_vec(), data.into_iter().map(|x| x * cast(*factor)).collect()),
        Change::Invert => (dims.to_vec(), data.into_iter().map(T::recip).collect()),
        Change::Dequantize { axis, scale, zero } => {
            let inner: usize =
                dims.iter().skip(axis + 1).fold(1usize, |inner, &size| inner.saturating_mul(size as usize));
            let value = |(flat, x): (usize, T)| {
                let index = if scale.len() == 1 { 0 } else { flat / inner.max(1) % scale.len().max(1) };
                (x - cast(zero[index])) * cast(scale[index])
            };
            (dims.to_vec(), data.into_iter().enumerate().map(value).collect())
        }
        Change::Transpose(order) => {
            let sizes: Vec<u64> = order.iter().map(|&axis| dims[axis]).collect();
            let steps = steps(dims);
            let moved: Vec<usize> = order.iter().map(|&axis| steps[axis]).collect();
            let places = strided(&sizes, &moved, 0);
            (sizes, places.into_iter().map(|at| data[at]).collect())
        }
        Change::Slice { axis, start, end } => {
            let mut sizes = dims.to_vec();
            sizes[*axis] = end - start;
            let steps = steps(dims);
            let places = strided(&sizes, &steps, (*start as usize).saturating_mul(steps[*axis]));
            (sizes, places.into_iter().map(|at| data[at]).collect())
        }
        Change::Fill { axis, start, end, value } => {
            let (step, size) = (steps(dims)[*axis], dims[*axis] as usize);
            let inside = |flat: usize| (*start..*end).contains(&((flat / step.max(1) % size.max(1)) as u64));
            let value = |(flat, x)| if inside(flat) { cast(*value) } else { x };
            (dims.to_vec(), data.into_iter().enumerate().map(value).collect())
        }
        Change::Unblock { block, inputs, channels } => {
            let mut sizes = dims.to_vec();
            sizes[0] = *channels;
            let block = block.unwrap_or(1).max(1) as usize;
            // Stored as [O / block, I, ..., block], or [O / block, I / block, ..., block, block].
            let depth = dims.get(1).map_or(1, |&depth| depth as usize);
            let area: usize = dims.iter().skip(2).map(|&size| size as usize).product();
            let within = if *inputs { block } else { 1 };
            let place = |(channel, input, at): (usize, usize, usize)| {
                let lane = (channel / block * (depth / within) + input / within) * area + at;
                (lane * within + input % within) * block + channel % block
            };
            let all = (0..*channels as usize).flat_map(|channel| {
                (0..depth).flat_map(move |input| (0..area).map(move |at| (channel, input, at)))
            });
            (sizes, all.filter_map(|at| data.get(place(at)).copied()).collect())
        }
    }
}

/// Returns, for each element of a tensor of the sizes `dims`, `first` plus each index times the step of its
/// axis.
pub fn strided(dims: &[u64], steps: &[usize], first: usize) -> Vec<usize> {
    let mut result = vec![first];
    for (&size, &step) in dims.iter().zip(steps) {
        result =
            result.iter().flat_map(|&at| (0..size as usize).map(move |index| at + index * step)).collect();
    }
    result
}

/// Returns the row-major steps of a tensor of these sizes.
pub fn steps(dims: &[u64]) -> Vec<usize> {
    let mut steps = vec![1usize; dims.len()];
    for axis in (1..dims.len()).rev() {
        steps[axis - 1] = steps[axis].saturating_mul(dims[axis] as usize);
    }
    steps
}

/// Returns whether elements of this type are integers or truth values.
pub fn is_integer(data_type: DataType) -> bool {
    use DataType as D;
    matches!(
        data_type,
        D::Uint8
            | D::Int8
            | D::Uint16
            | D::Int16
            | D::Int32
            | D::Int64
            | D::Bool
            | D::Uint32
            | D::Uint64
            | D::Int4
            | D::Uint4
            | D::Int2
            | D::Uint2
    )
}

/// Returns the sizes of a stored tensor; an error for a negative size or more than 16 axes.
pub fn sizes(dims: &[i64]) -> Result<Vec<u64>, Problem> {
    if dims.len() > 16 {
        return Err(Problem::new(Code::Limit, format!("a tensor has {} axes, the limit is 16", dims.len())));
    }
    let size =
        |&size: &i64| u64::try_from(size).map_err(|_| Problem::shape(format!("an axis has the size {size}")));
    dims.iter().map(size).collect()
}

/// Returns the values of a tensor that are stored in the message itself; none for types that no analysis
/// reads.
fn decode(tensor: &TensorProto, data_type: DataType, elements: usize) -> Result<Option<Values>, Problem> {
    let values =
        if tensor.raw_data.is_empty() { typed(tensor, data_type) } else { raw(&tensor.raw_data, data_type) };
    let Some(values) = values else { return Ok(None) };
    let found = match &values {
        Values::Ints(values) => values.len(),
        Values::Floats(values) => values.len(),
    };
    if found == 0 {
        // A tensor that was saved without its data still counts.
        return Ok((elements == 0).then_some(values));
    }
    if found != elements {
        return Err(Problem::shape(format!(
            "`{}` has the sizes {:?}, that is {elements} elements, but data for {found}",
            tensor.name, tensor.dims
        ))
        .help("the file is damaged, or its writer is wrong"));
    }
    Ok(Some(values))
}

/// Decodes elements of a type that is stored byte by byte, little endian.
pub fn raw(bytes: &[u8], data_type: DataType) -> Option<Values> {
    fn all<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Option<Vec<T>> {
        let (chunks, rest) = bytes.as_chunks();
        rest.is_empty().then(|| chunks.iter().map(|&chunk| read(chunk)).collect())
    }
    use DataType as D;
    Some(match data_type {
        D::Float => Values::Floats(all(bytes, |b| f64::from(f32::from_le_bytes(b)))?),
        D::Double => Values::Floats(all(bytes, f64::from_le_bytes)?),
        D::Float16 => Values::Floats(all(bytes, |b| f64::from(f16::from_le_bytes(b)))?),
        D::Bfloat16 => Values::Floats(all(bytes, |b| f64::from(bf16::from_le_bytes(b)))?),
        D::Int64 => Values::Ints(all(bytes, i64::from_le_bytes)?),
        // Values beyond the signed range are never a size or an axis.
        D::Uint64 => Values::Ints(all(bytes, |b| i64::try_from(u64::from_le_bytes(b)).unwrap_or(i64::MAX))?),
        D::Int32 => Values::Ints(all(bytes, |b| i64::from(i32::from_le_bytes(b)))?),
        D::Uint32 => Values::Ints(all(bytes, |b| i64::from(u32::from_le_bytes(b)))?),
        D::Int16 => Values::Ints(all(bytes, |b| i64::from(i16::from_le_bytes(b)))?),
        D::Uint16 => Values::Ints(all(bytes, |b| i64::from(u16::from_le_bytes(b)))?),
        D::Int8 => Values::Ints(bytes.iter().map(|&b| i64::from(b as i8)).collect()),
        D::Uint8 | D::Bool => Values::Ints(bytes.iter().map(|&b| i64::from(b)).collect()),
        _ => return None,
    })
}

/// Decodes elements stored in the field of their type.
fn typed(tensor: &TensorProto, data_type: DataType) -> Option<Values> {
    use DataType as D;
    let bits = || tensor.int32_data.iter().map(|&bits| (bits & 0xffff) as u16);
    Some(match data_type {
        D::Float | D::Double => {
            return raw(
                if data_type == D::Float { &tensor.float_data } else { &tensor.double_data },
                data_type,
            );
        }
        D::Float16 => Values::Floats(bits().map(|bits| f64::from(f16::from_bits(bits))).collect()),
        D::Bfloat16 => Values::Floats(bits().map(|bits| f64::from(bf16::from_bits(bits))).collect()),
        D::Int64 => Values::Ints(tensor.int64_data.clone()),
        D::Uint32 | D::Uint64 => {
            let cast = |&value: &u64| i64::try_from(value).unwrap_or(i64::MAX);
            Values::Ints(tensor.uint64_data.iter().map(cast).collect())
        }
        D::Int32 | D::Int16 | D::Uint16 | D::Int8 | D::Uint8 | D::Bool => {
            Values::Ints(tensor.int32_data.iter().map(|&value| i64::from(value)).collect())
        }
        _ => return None,
    })
}
