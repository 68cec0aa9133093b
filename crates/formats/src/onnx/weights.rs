//! The weights of an imported network, read when it is run: from the model file, or from external files
//! beside it. They are read one tensor at a time; the changes of the import are applied here.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

use super::archived::ARCHIVED;
use super::constant::{Constant, Values, changed, raw};
use super::declared::Declared;
use super::proto::{DataType, GraphProto, ModelProto, NodeProto, TensorProto};
use super::source::ModelSource;
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::graph::Graph;
use cnnkit_core::shape::product;
use cnnkit_exec::tensor::Tensor;
use cnnkit_files::Unreadable;

/// The weights of an imported network, before they are read.
#[derive(Debug)]
pub struct Stored {
    /// For each node, the constants that are its weights.
    pub weights: Vec<Vec<Constant>>,
    /// The tensors to which they refer.
    pub tensors: Vec<TensorProto>,
    /// The model's bytes.
    pub source: ModelSource,
}

impl Stored {
    /// Reads the weights of `graph`, the network with which they were imported.
    ///
    /// # Errors
    /// As for [`load`].
    pub fn load(&self, graph: &Graph) -> Result<HashMap<String, Tensor<f32>>, Problem> {
        load(graph, &self.weights, &self.tensors, &self.source)
    }
}

/// Reads one tensor per weight of `graph`, by full name. `weights` has a constant for each weight of each
/// node, which refers to `tensors` of the model `source`.
///
/// # Errors
/// If a weight is missing, has another size than declared, or lies outside the model's folder.
pub fn load(
    graph: &Graph,
    weights: &[Vec<Constant>],
    tensors: &[TensorProto],
    source: &ModelSource,
) -> Result<HashMap<String, Tensor<f32>>, Problem> {
    let mut result = HashMap::new();
    for (node, constants) in graph.nodes().iter().zip(weights) {
        for (weight, constant) in node.weights.iter().zip(constants) {
            let name = format!("{}.{}", node.id, weight.name);
            let data = elements(constant, tensors, source).map_err(|problem| Problem {
                message: format!("`{name}`: {}", problem.message),
                ..problem
            })?;
            let sizes = weight.shape.sizes().iter().map(|&size| usize::try_from(size));
            let sizes = sizes.collect::<Result<Vec<_>, _>>().map_err(|_| Problem::overflow("a size"))?;
            result.insert(name, Tensor::new(&sizes, data)?);
        }
    }
    Ok(result)
}

/// Maximum number of elements of weights that the analysis reads, in total: results computed from them are
/// known then.
const MAX_RECALLED: u64 = 1 << 24;
/// Most elements of a tensor of numbers in the code that is looked at.
const MAX_NUMBERS: u64 = 64;

/// Loads the data that the analysis reads into their messages, wherever they are stored: integers, scales of
/// quantised operators, and weights from which nodes compute constants.
pub(super) fn recall_all(model: &mut ModelProto, source: &ModelSource) {
    let looked_at = looked_at(model);
    let (mut room, mut indices) = (MAX_RECALLED, MAX_RECALLED);
    let mut graphs: Vec<&mut GraphProto> = model.graph.iter_mut().collect();
    let mut nodes: Vec<&mut NodeProto> =
        model.functions.iter_mut().flat_map(|function| &mut function.node).collect();
    loop {
        while let Some(graph) = graphs.pop() {
            for tensor in &mut graph.initializer {
                let wanted = looked_at.contains(&tensor.name);
                recall(tensor, source, &mut indices, wanted.then_some(&mut room));
            }
            nodes.extend(&mut graph.node);
        }
        let Some(node) = nodes.pop() else { break };
        let wanted = node.op_type == "Constant" && node.output.iter().any(|name| looked_at.contains(name));
        for attribute in &mut node.attribute {
            for tensor in attribute.t.iter_mut().chain(&mut attribute.tensors) {
                recall(tensor, source, &mut indices, wanted.then_some(&mut room));
            }
            graphs.extend(attribute.g.iter_mut().chain(&mut attribute.graphs));
        }
    }
}

/// Puts into their messages the data of an exported program that analysis looks at: whole numbers and truth values, and
/// numbers that stood in the code. Weights are not looked at, so that figures do not depend on whether they are there.
pub(super) fn recall_declared(model: &mut ModelProto, source: &ModelSource, declared: &Declared) {
    let (mut room, mut indices) = (MAX_RECALLED, MAX_RECALLED);
    for tensor in model.graph.iter_mut().flat_map(|graph| &mut graph.initializer) {
        let whole = DataType::try_from(tensor.data_type).is_ok_and(super::constant::is_integer);
        let few = super::constant::sizes(&tensor.dims).ok().and_then(|dims| product(&dims));
        let number =
            declared.constants.contains(&tensor.name) && few.is_some_and(|count| count <= MAX_NUMBERS);
        if whole || number {
            recall(tensor, source, &mut indices, Some(&mut room));
        }
    }
}

/// Operators whose product with a weight is counted: the analysis computes none of their results.
const COUNTED: &[&str] = &["Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum", "Gather"];

/// Operators that keep elements unchanged: their output is still the stored weight.
const VIEWS: &[&str] = &[
    "Transpose",
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Identity",
    "Cast",
    "Slice",
    "Split",
    "Dropout",
];

/// Returns the names of the stored constants (initialisers and outputs of `Constant` nodes) that are scales and zero
/// points, or that nodes read together with constants only.
fn looked_at(model: &ModelProto) -> HashSet<String> {
    let Some(graph) = &model.graph else { return HashSet::new() };
    // The stored constants from which each constant is computed.
    let stored = graph.initializer.iter().map(|tensor| tensor.name.as_str());
    let mut origins: HashMap<&str, Vec<&str>> = stored.map(|name| (name, vec![name])).collect();
    let mut found = HashSet::new();
    for node in &graph.node {
        let given = || node.input.iter().map(String::as_str).filter(|name| !name.is_empty());
        if node.op_type == "Constant" {
            origins.extend(node.output.iter().map(|name| (name.as_str(), vec![name.as_str()])));
        } else if node.op_type.contains("Linear") && node.op_type != "LinearClassifier"
            || node.op_type == "QGemm"
        {
            // The quantised weights themselves stay in the file.
            let settings = node.input.iter().enumerate().filter(|(index, _)| index % 3 != 0);
            found.extend(settings.map(|(_, name)| name.clone()));
        } else if given().all(|name| origins.contains_key(name)) {
            let mut all: Vec<&str> = given().flat_map(|name| origins[name].iter().copied()).collect();
            all.sort_unstable();
            all.dedup();
            let operator = node.op_type.as_str();
            if !COUNTED.contains(&operator) && !VIEWS.contains(&operator) {
                found.extend(all.iter().map(|&name| name.to_owned()));
            }
            origins.extend(node.output.iter().map(|name| (name.as_str(), all.clone())));
        }
    }
    found
}

/// Puts the data of a stored tensor of whole numbers into its message: indices are looked at during analysis, wherever they
/// are; those of other types as long as there is room. What cannot be read stays away, and is not known then.
fn recall(tensor: &mut TensorProto, source: &ModelSource, indices: &mut u64, room: Option<&mut u64>) {
    let wide = matches!(DataType::try_from(tensor.data_type), Ok(DataType::Int64 | DataType::Int32));
    let away = matches!(tensor.data_location, 1 | ARCHIVED)
        || tensor.left.iter().all(|left| left.field == 9) && !tensor.left.is_empty();
    let few = super::constant::sizes(&tensor.dims).ok().and_then(|dims| product(&dims));
    let Some(count) = few.filter(|&count| away && count <= super::constant::KNOWN) else { return };
    match if wide { Some(indices) } else { room } {
        Some(room) if *room >= count => *room -= count,
        _ => return,
    }
    let bytes = if tensor.data_location == ARCHIVED {
        super::archived::bytes(tensor, source)
    } else if tensor.data_location == 1 {
        external(tensor, source)
    } else {
        match tensor.left.first() {
            Some(left) => inside(source, left.offset, left.length),
            None => return,
        }
    };
    if let Ok(bytes) = bytes {
        tensor.raw_data = bytes.into();
        tensor.left.clear();
        tensor.data_location = 0;
    }
}

/// Returns the elements of a constant, in row-major order.
fn elements(constant: &Constant, tensors: &[TensorProto], source: &ModelSource) -> Result<Vec<f32>, Problem> {
    if let Some(values) = &constant.values {
        return Ok(values.floats().into_iter().map(|value| value as f32).collect());
    }
    let Some(tensor) = constant.root.and_then(|root| tensors.get(root)) else {
        let message = "not supported: a weight that the model computes from others";
        let of_pytorch = tensors.iter().any(|tensor| tensor.data_location == ARCHIVED);
        return Err(Problem::new(Code::InvalidValue, message).help(if of_pytorch {
            "before the export, put its result in its place (`torch.nn.utils.parametrize.remove_parametrizations`)"
        } else {
            "export with constant folding (`do_constant_folding=True`)"
        }));
    };
    let mut dims = super::constant::sizes(&tensor.dims)?;
    let mut data = stored(tensor, &dims, source)?;
    for change in &constant.view {
        if matches!(change, super::constant::Change::Unblock { block: None, .. }) {
            let message = "not supported: its channels stand in blocks whose size the model does not say";
            return Err(Problem::new(Code::InvalidValue, message).help(
                "it was saved for one processor: save it with `ORT_ENABLE_EXTENDED`, or take the model it was made of",
            ));
        }
        (dims, data) = changed(change, &dims, data);
    }
    Ok(data)
}

/// Reads the elements of a stored tensor.
fn stored(tensor: &TensorProto, dims: &[u64], source: &ModelSource) -> Result<Vec<f32>, Problem> {
    let data_type = DataType::try_from(tensor.data_type).unwrap_or(DataType::Undefined);
    let count = product(dims).ok_or_else(|| Problem::overflow("the number of elements"))?;
    let values = if tensor.data_location == ARCHIVED {
        floats(&super::archived::bytes(tensor, source)?, data_type)?
    } else if tensor.data_location == 1 {
        let bytes = external(tensor, source)?;
        floats(&bytes, data_type)?
    } else if let Some(left) = tensor.left.first() {
        let bytes = inside(source, left.offset, left.length)?;
        match left.field {
            5 | 7 | 11 => varints(&bytes, data_type)?,
            _ => floats(&bytes, data_type)?,
        }
    } else {
        match Constant::of_tensor(tensor, 0)?.values {
            Some(values) => values.floats().into_iter().map(|value| value as f32).collect(),
            None => floats(&tensor.raw_data, data_type)?,
        }
    };
    if values.is_empty() && count > 0 {
        let message = format!("the model was saved without the {count} elements of `{}`", tensor.name);
        return Err(Problem::new(Code::Missing, message)
            .help("parameters, MACs and shapes need no weights; `--weights FILE` gives others"));
    }
    if values.len() as u64 != count {
        return Err(Problem::shape(format!(
            "it has the sizes {dims:?}, but data for {} elements",
            values.len()
        ))
        .help("the file is damaged, or belongs to another model"));
    }
    Ok(values)
}

/// Reads `length` of a tensor's bytes from `first` on; none if the file has its elements in another form, or not at all.
pub(super) fn bytes_at(
    tensor: &TensorProto,
    first: u64,
    length: u64,
    source: &ModelSource,
) -> Option<Vec<u8>> {
    let end = first.checked_add(length)?;
    if tensor.data_location == 1 {
        let (path, offset) = beside_model(tensor, source).ok()?;
        let (mut file, _) = cnnkit_files::open(&path).ok()?;
        return ModelSource::File(path).section(&mut file, offset.checked_add(first)?, length).ok();
    }
    if tensor.data_location == ARCHIVED {
        return None;
    }
    if let Some(left) = tensor.left.first() {
        let plain = matches!(left.field, 4 | 9 | 10) && left.length == bytes_of(tensor).ok()?;
        return if plain { inside(source, left.offset.checked_add(first)?, length).ok() } else { None };
    }
    let stored = [&tensor.raw_data, &tensor.float_data, &tensor.double_data];
    let bytes = stored.into_iter().find(|bytes| !bytes.is_empty())?;
    bytes.get(usize::try_from(first).ok()?..usize::try_from(end).ok()?).map(<[u8]>::to_vec)
}

/// Reads `length` bytes of the model from `offset` on.
fn inside(source: &ModelSource, offset: u64, length: u64) -> Result<Vec<u8>, Problem> {
    let mut file = source.open().map_err(|error| source.unreadable(&error))?;
    source.section(file.as_mut(), offset, length)
}

/// Decodes elements of any byte-sized type.
fn floats(bytes: &[u8], data_type: DataType) -> Result<Vec<f32>, Problem> {
    if data_type == DataType::Float {
        let (chunks, rest) = bytes.as_chunks();
        if rest.is_empty() {
            return Ok(chunks.iter().map(|&chunk| f32::from_le_bytes(chunk)).collect());
        }
    }
    match raw(bytes, data_type) {
        Some(values) => Ok(values.floats().into_iter().map(|value| value as f32).collect()),
        None => {
            Err(Problem::new(Code::InvalidValue, format!("not supported: elements of type {data_type:?}"))
                .help("weights are read from float, double, half, bfloat16 and 8 to 64-bit integers"))
        }
    }
}

/// Decodes elements that are stored as protobuf's variable-length integers.
fn varints(bytes: &[u8], data_type: DataType) -> Result<Vec<f32>, Problem> {
    let (mut values, mut value, mut shift) = (Vec::new(), 0u64, 0u32);
    for &byte in bytes {
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte < 0x80 {
            values.push(value);
            (value, shift) = (0, 0);
        } else {
            shift += 7;
        }
    }
    match data_type {
        DataType::Float16 | DataType::Bfloat16 => {
            let bits: Vec<u8> = values.iter().flat_map(|&bits| (bits as u16).to_le_bytes()).collect();
            floats(&bits, data_type)
        }
        _ => Ok(Values::Ints(values.into_iter().map(|value| value as i64).collect())
            .floats()
            .into_iter()
            .map(|value| value as f32)
            .collect()),
    }
}

/// Returns the file of external data named by `location`; an error unless it lies in the model's folder.
pub fn beside(path: &Path, location: &str) -> Result<PathBuf, Problem> {
    let refused = |why: &str| {
        Problem::new(Code::Io, format!("its data are in `{location}`, {why}"))
            .help("external data must lie in the model's folder or below; move them there")
    };
    let relative = Path::new(location);
    let plain = !location.is_empty()
        && !location.contains('\\')
        && relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !plain {
        return Err(refused("which leads out of the model's folder"));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = folder.join(relative);
    // A link may lead elsewhere, unless the model itself is one: caches link whole models file by file, and all of them
    // into one folder.
    let Ok(target) = file.canonicalize() else { return Ok(file) };
    let inside = folder.canonicalize().is_ok_and(|folder| target.starts_with(folder));
    let beside = path.canonicalize().is_ok_and(|model| model.parent() == target.parent());
    if inside || beside { Ok(file) } else { Err(refused("a link that leads out of the model's folder")) }
}

/// Reads a tensor whose data are in a file beside the model.
fn external(tensor: &TensorProto, source: &ModelSource) -> Result<Vec<u8>, Problem> {
    let (path, offset) = beside_model(tensor, source)?;
    let location = stated(tensor, "location").unwrap_or_default();
    let (mut file, _) = cnnkit_files::open(&path).map_err(|error| match error {
        Unreadable::NotAFile => {
            Problem::new(Code::Io, format!("its data are in `{location}`, which is not a file"))
                .help("the model is incomplete: copy its data files again")
        }
        error => Problem::new(Code::Io, format!("cannot read its data in `{location}`: {error}"))
            .help("parameters, MACs and shapes need no weights; `--weights FILE` gives others"),
    })?;
    ModelSource::File(path).section(&mut file, offset, bytes_of(tensor)?)
}

/// Returns what the model says about a tensor's data.
fn stated<'a>(tensor: &'a TensorProto, key: &str) -> Option<&'a str> {
    tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
}

/// Returns in which file a tensor's data are, and from which byte on.
fn beside_model(tensor: &TensorProto, source: &ModelSource) -> Result<(PathBuf, u64), Problem> {
    let number = |key: &str| {
        stated(tensor, key).map(|text| {
            text.parse::<u64>().map_err(|_| {
                Problem::new(Code::InvalidValue, format!("its `{key}` is `{text}`, not a number"))
            })
        })
    };
    let location = stated(tensor, "location").unwrap_or_default();
    let Some(path) = source.file() else {
        let message = format!("its data are in `{location}`, and `{}` is not a file", source.shown());
        return Err(Problem::new(Code::Io, message).help(
            "name the model's file, so that the data beside it are found, or give other weights: `--weights FILE`",
        ));
    };
    let file_path = beside(path, location)?;
    let offset = number("offset").transpose()?.unwrap_or(0);
    let length = number("length").transpose()?;
    // The sizes say how much there is to read, whatever the file says or has.
    let needed = bytes_of(tensor)?;
    if let Some(length) = length.filter(|&length| length != needed) {
        let message = format!("its data in `{location}` are {length} bytes, its sizes need {needed}");
        return Err(Problem::shape(message).help("the file is damaged, or belongs to another model"));
    }
    Ok((file_path, offset))
}

/// The bytes of a tensor's elements, as its sizes and its type say.
fn bytes_of(tensor: &TensorProto) -> Result<u64, Problem> {
    let dims = super::constant::sizes(&tensor.dims)?;
    let overflow = || Problem::overflow("the number of elements");
    let count = product(&dims).ok_or_else(overflow)?;
    let data_type = DataType::try_from(tensor.data_type).unwrap_or(DataType::Undefined);
    let bits: u64 = match data_type {
        DataType::Uint2 | DataType::Int2 => 2,
        DataType::Uint4 | DataType::Int4 | DataType::Float4e2m1 => 4,
        DataType::Uint8
        | DataType::Int8
        | DataType::Bool
        | DataType::Float8e4m3fn
        | DataType::Float8e4m3fnuz
        | DataType::Float8e5m2
        | DataType::Float8e5m2fnuz
        | DataType::Float8e8m0 => 8,
        DataType::Uint16 | DataType::Int16 | DataType::Float16 | DataType::Bfloat16 => 16,
        DataType::Float | DataType::Int32 | DataType::Uint32 => 32,
        DataType::Double | DataType::Int64 | DataType::Uint64 | DataType::Complex64 => 64,
        DataType::Complex128 => 128,
        DataType::String | DataType::Undefined => {
            let message = format!("not supported: elements of type {data_type:?} in a file of their own");
            return Err(Problem::new(Code::InvalidValue, message)
                .help("weights are read from float, double, half, bfloat16 and 8 to 64-bit integers"));
        }
    };
    Ok(count.checked_mul(bits).ok_or_else(overflow)?.div_ceil(8))
}
