//! Sizes of the model's inputs: those that the file states, and those that the caller gives for symbols.

use std::collections::HashMap;

use super::proto::{DataType, DimensionValue, TypeProto, ValueInfoProto};
use cnnkit_core::diagnostic::{Code, Problem, did_you_mean};

/// Sizes that the caller gives for open sizes of a model.
#[derive(Debug, Clone, Default)]
pub struct Bindings {
    /// Shapes of inputs, without the batch; an empty name refers to the only input.
    pub inputs: Vec<(String, Vec<u64>)>,
    /// Values of symbols.
    pub symbols: Vec<(String, u64)>,
}

/// The inputs with all sizes known.
#[derive(Debug)]
pub(super) struct Bound {
    /// The inputs, in the order of the file.
    pub inputs: Vec<BoundInput>,
    /// Batch size.
    pub batch: u64,
    /// Shapes of other values as the file states them, batch included.
    pub stated: HashMap<String, Vec<Option<u64>>>,
}

/// An input with all sizes known.
#[derive(Debug)]
pub(super) struct BoundInput {
    /// Its name.
    pub name: String,
    /// Its sizes, batch included.
    pub dims: Vec<u64>,
    /// Index of the batch axis; none if there is none.
    pub batch: Option<usize>,
    /// The type of its elements.
    pub data_type: DataType,
}

/// A size as the file states it.
#[derive(Debug, Clone, PartialEq)]
enum Size {
    Known(u64),
    Symbol(String),
    Open,
}

impl Size {
    fn show(&self) -> String {
        match self {
            Self::Known(size) => size.to_string(),
            Self::Symbol(name) => name.clone(),
            Self::Open => "?".into(),
        }
    }
}

/// Returns the sizes in a type; none if it is not a tensor or has no shape.
fn sizes(value: Option<&TypeProto>) -> Option<Vec<Size>> {
    let shape = value?.tensor_type.as_ref()?.shape.as_ref()?;
    let size = |dimension: &super::proto::Dimension| match &dimension.value {
        // Exporters also write 0 and -1 for an unknown size.
        Some(DimensionValue::Value(size)) => match u64::try_from(*size) {
            Ok(0) | Err(_) => Size::Open,
            Ok(size) => Size::Known(size),
        },
        // Some writers name every open size `?`: sizes without a name are not equal.
        Some(DimensionValue::Param(name)) if !name.is_empty() && name != "?" => Size::Symbol(name.clone()),
        _ => Size::Open,
    };
    Some(shape.dim.iter().map(size).collect())
}

/// Determines all sizes; an error if one stays open, or if the given sizes contradict the file.
pub(super) fn bind(
    inputs: &[&ValueInfoProto],
    values: &[ValueInfoProto],
    outputs: &[ValueInfoProto],
    bindings: &Bindings,
) -> Result<Bound, Problem> {
    let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
    for (name, _) in &bindings.inputs {
        if name.is_empty() && names.len() > 1 {
            return Err(Problem::new(
                Code::Reference,
                format!("the model has {} inputs: {}", names.len(), names.join(", ")),
            )
            .help(format!("name the input: `--input {}=C,H,W`", names[0])));
        }
        if !name.is_empty() && !names.contains(&name.as_str()) {
            let problem = Problem::new(Code::Reference, format!("the model has no input `{name}`"));
            return Err(problem.help(did_you_mean(name, &names).unwrap_or_else(|| match names.as_slice() {
                [only] => format!("its only input is `{only}`"),
                names => format!("its inputs are {}", names.join(", ")),
            })));
        }
    }
    let mut symbols: HashMap<String, u64> = bindings.symbols.iter().cloned().collect();
    let mut known = Vec::new();
    let mut changed = false;
    for input in inputs {
        let Some(sizes) = sizes(input.r#type.as_ref()) else {
            return Err(Problem::new(
                Code::InvalidValue,
                format!("not supported: the input `{}` is no tensor with a known number of axes", input.name),
            )
            .help("export the model with an example input"));
        };
        let given = bindings.inputs.iter().rfind(|(name, _)| name.is_empty() || *name == input.name);
        let has_batch = sizes.len() > 1;
        if let Some((_, shape)) = given {
            changed |= assign(&input.name, &sizes, has_batch, shape, &mut symbols)?;
        }
        known.push((input.name.clone(), sizes, has_batch, given.map(|(_, shape)| shape)));
    }
    unknown_symbols(bindings, &known, values)?;
    let mut bound = Vec::new();
    for (name, sizes, has_batch, given) in &known {
        let mut dims = Vec::with_capacity(sizes.len());
        let mut open = Vec::new();
        for (axis, size) in sizes.iter().enumerate() {
            let given =
                given.and_then(|shape| shape.get(axis.wrapping_sub(usize::from(*has_batch))).copied());
            dims.push(match size {
                _ if given.is_some() => given.unwrap_or(1),
                Size::Known(size) => *size,
                Size::Symbol(symbol) if symbols.contains_key(symbol) => symbols[symbol],
                _ if axis == 0 => 1,
                other => {
                    open.push(other.show());
                    1
                }
            });
        }
        if !open.is_empty() {
            return Err(open_sizes(name, sizes, *has_batch, &open, inputs.len()));
        }
        let data_type = inputs.iter().find(|input| input.name == *name).and_then(|input| {
            DataType::try_from(input.r#type.as_ref()?.tensor_type.as_ref()?.elem_type).ok()
        });
        let data_type = data_type.unwrap_or(DataType::Float);
        bound.push(BoundInput { name: name.clone(), dims, batch: has_batch.then_some(0), data_type });
    }
    let batch = bound.iter().find(|input| input.batch.is_some()).map_or(1, |input| input.dims[0]);
    for input in &mut bound {
        input.batch = input.batch.filter(|_| input.dims[0] == batch);
    }
    let stated = if changed { HashMap::new() } else { stated(values, outputs, &symbols) };
    Ok(Bound { inputs: bound, batch, stated })
}

/// Binds the symbols of an input to the sizes in `shape`; returns whether a size that the file fixes is
/// replaced.
fn assign(
    name: &str,
    sizes: &[Size],
    has_batch: bool,
    shape: &[u64],
    symbols: &mut HashMap<String, u64>,
) -> Result<bool, Problem> {
    let own = &sizes[usize::from(has_batch)..];
    if shape.len() != own.len() {
        let text: Vec<String> = own.iter().map(Size::show).collect();
        return Err(Problem::shape(format!(
            "the input `{name}` has {} axes besides the batch, [{}], but {} sizes are given",
            own.len(),
            text.join(", "),
            shape.len()
        ))
        .help("the batch is not part of the shape"));
    }
    let mut changed = false;
    for (size, &given) in own.iter().zip(shape) {
        match size {
            Size::Symbol(symbol) => match symbols.insert(symbol.clone(), given) {
                Some(before) if before != given => {
                    return Err(Problem::new(
                        Code::InvalidValue,
                        format!("the symbol `{symbol}` is {before} and {given}"),
                    )
                    .help("sizes of one name are equal"));
                }
                _ => {}
            },
            Size::Known(size) => changed |= *size != given,
            Size::Open => {}
        }
    }
    Ok(changed)
}

type Known<'a> = (String, Vec<Size>, bool, Option<&'a Vec<u64>>);

/// Returns an error if a given symbol does not occur in the model.
fn unknown_symbols(
    bindings: &Bindings,
    inputs: &[Known<'_>],
    values: &[ValueInfoProto],
) -> Result<(), Problem> {
    let mut known: Vec<String> = inputs
        .iter()
        .flat_map(|(_, sizes, ..)| sizes.clone())
        .chain(values.iter().flat_map(|value| sizes(value.r#type.as_ref()).unwrap_or_default()))
        .filter_map(|size| if let Size::Symbol(name) = size { Some(name) } else { None })
        .collect();
    known.sort();
    known.dedup();
    let Some((name, _)) = bindings.symbols.iter().find(|(name, _)| !known.contains(name)) else {
        return Ok(());
    };
    let list: Vec<&str> = known.iter().map(String::as_str).collect();
    let help =
        did_you_mean(name, &list).unwrap_or_else(|| "an ONNX model has no variables, only open sizes".into());
    Err(Problem::new(Code::UnknownName, format!("the model has no open size `{name}`")).help(help))
}

fn open_sizes(name: &str, sizes: &[Size], has_batch: bool, open: &[String], inputs: usize) -> Problem {
    let list: Vec<String> = sizes.iter().map(Size::show).collect();
    let mut next = [224u64, 224, 224].into_iter();
    let example: Vec<String> = sizes[usize::from(has_batch)..]
        .iter()
        .map(|size| match size {
            Size::Known(size) => size.to_string(),
            _ => next.next().unwrap_or(1).to_string(),
        })
        .collect();
    let prefix = if inputs > 1 { format!("{name}=") } else { String::new() };
    let quoted: Vec<String> = open.iter().map(|size| format!("`{size}`")).collect();
    let what = if open.len() == 1 { "an open size" } else { "open sizes" };
    Problem::new(
        Code::Missing,
        format!(
            "the input `{name}` is [{}]: {} {what}",
            list.join(", "),
            if open.len() == 1 {
                format!("{} is", quoted[0])
            } else {
                format!("{} are", quoted.join(" and "))
            }
        ),
    )
    .help(format!("give the shape without the batch: `--input {prefix}{}`", example.join(",")))
}

/// Returns the shapes of values that the file states, as far as they are known.
fn stated(
    values: &[ValueInfoProto],
    outputs: &[ValueInfoProto],
    symbols: &HashMap<String, u64>,
) -> HashMap<String, Vec<Option<u64>>> {
    let value = |value: &ValueInfoProto| {
        let sizes = sizes(value.r#type.as_ref())?;
        let size = |size: &Size| match size {
            Size::Known(size) => Some(*size),
            Size::Symbol(name) => symbols.get(name).copied(),
            Size::Open => None,
        };
        Some((value.name.clone(), sizes.iter().map(size).collect()))
    };
    values.iter().chain(outputs).filter_map(value).collect()
}
