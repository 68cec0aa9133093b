//! Operators that create or pass on values: Constant, Identity, Cast, Dropout, Shape, Size, ConstantOfShape,
//! If.

use super::context::{Flaw, Lower, Outcome, Use, Value, shortest};
use super::elements::small;
use crate::onnx::constant::{Constant, Values, is_integer, sizes};
use crate::onnx::inline;
use crate::onnx::proto::DataType;
use crate::onnx::quantisation::rounds;
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::dropout::{Dropout, Mask};
use cnnkit_core::shape::product;

/// Maximum nesting of branches.
const MAX_BRANCHES: usize = 16;

pub(super) fn constant(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let Some(attribute) = used.node.attribute.first() else {
        return Err(Problem::new(Code::Missing, "it has no value").into());
    };
    let constant = match attribute.name.as_str() {
        "value" => {
            let tensor =
                attribute.t.clone().ok_or_else(|| Problem::new(Code::Missing, "its `value` is no tensor"))?;
            let root = lower.tensors.len();
            let constant = Constant::of_tensor(&tensor, root)?;
            lower.tensors.push(tensor);
            if !lower.weights_in_nodes {
                lower.fixed.insert(root);
            }
            constant
        }
        "value_int" => Constant::ints(vec![], vec![attribute.i.unwrap_or(0)]),
        "value_ints" => Constant::ints(vec![attribute.ints.len() as u64], attribute.ints.clone()),
        "value_float" => Constant::floats(vec![], vec![f64::from(attribute.f.unwrap_or(0.0))]),
        "value_floats" => {
            let values = attribute.floats.iter().map(|&value| f64::from(value)).collect();
            Constant::floats(vec![attribute.floats.len() as u64], values)
        }
        other => return used.unsupported(format!("a constant given as `{other}`")),
    };
    Ok(vec![Value::Constant(constant)])
}

/// What is said of a model with a dropout in training mode.
pub(super) const DROPS: &str =
    "a dropout is in training mode: `run` computes the evaluation, in which it drops nothing";

/// Returns its first input, unchanged: the layer has no effect at inference. A dropout that was exported in training mode is
/// a layer.
pub(super) fn identity(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let mask = || Value::Unknown("the mask of a dropout".into());
    if used.node.op_type == "Dropout"
        && used.has(2)
        && let Value::Tensor(input) = lower.value(used, 0)?
    {
        // Its third input says whether it drops, the second how much.
        let input = input.clone();
        let number = |value: &Value| match value {
            Value::Constant(constant) => constant.scalar(),
            Value::Tensor(_) | Value::Unknown(_) => None,
        };
        let drops = number(lower.value(used, 2)?);
        let p = if used.has(1) { number(lower.value(used, 1)?) } else { Some(0.5) };
        let (Some(drops), Some(p)) = (drops, p) else {
            return used.unsupported("a dropout that may be in training mode");
        };
        if drops != 0.0 && p > 0.0 {
            lower.remark(DROPS.into());
            let mut values =
                lower.simple(used, Layer::Dropout(Dropout { p, mask: Mask::Element }), &input)?;
            values.resize_with(used.outputs().max(1), mask);
            return Ok(values);
        }
    }
    let mut values = vec![lower.value(used, 0)?.clone()];
    values.resize_with(used.outputs().max(1), mask);
    Ok(values)
}

pub(super) fn cast(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let to = match used.node.op_type.as_str() {
        "CastLike" => match lower.value(used, 1)? {
            Value::Constant(like) => like.data_type,
            Value::Tensor(_) | Value::Unknown(_) => used
                .node
                .input
                .get(1)
                .and_then(|name| lower.types.get(name))
                .copied()
                .unwrap_or(DataType::Float),
        },
        _ => DataType::try_from(i32::try_from(used.int("to", 0)).unwrap_or(0))
            .map_err(|_| Problem::new(Code::InvalidValue, "it casts to an unknown type"))?,
    };
    let mut value = lower.value(used, 0)?.clone();
    if let Value::Constant(constant) = &mut value {
        constant.values = match constant.values.take() {
            Some(Values::Floats(values)) if is_integer(to) => {
                let whole = |&x: &f64| if to == DataType::Bool { i64::from(x != 0.0) } else { x as i64 };
                Some(Values::Ints(values.iter().map(whole).collect()))
            }
            Some(Values::Ints(values)) if !is_integer(to) => {
                Some(Values::Floats(values.iter().map(|&x| x as f64).collect()))
            }
            Some(Values::Ints(values)) if to == DataType::Bool => {
                Some(Values::Ints(values.iter().map(|&x| i64::from(x != 0)).collect()))
            }
            other => other,
        };
        constant.data_type = to;
    } else if rounds(to) && matches!(value, Value::Tensor(_)) {
        return used.unsupported(format!("a cast to {to:?}, which rounds to a few bits"));
    } else if is_integer(to) && matches!(value, Value::Tensor(_)) {
        return used.unsupported("a cast of computed values to whole numbers");
    }
    if matches!(to, DataType::Float16 | DataType::Bfloat16) && matches!(value, Value::Tensor(_)) {
        lower.remark("values are cast to half precision in this model; `run` computes them in f32".into());
    }
    if let Value::Tensor(tensor) = &value
        && lower.is_whole(tensor.draft)
    {
        // Integers become floating-point numbers: the layers after it compute as usual.
        let identity = Layer::Identity(cnnkit_core::layers::identity::Identity {});
        let numbers = lower.map(used, identity, &tensor.clone(), vec![])?;
        return Ok(vec![Value::Tensor(numbers)]);
    }
    Ok(vec![value])
}

/// The sizes of any value.
fn dims(lower: &Lower, used: Use<'_>) -> Result<Vec<u64>, Flaw> {
    match lower.value(used, 0)? {
        Value::Tensor(tensor) => Ok(tensor.dims.clone()),
        Value::Constant(constant) => Ok(constant.dims.clone()),
        Value::Unknown(reason) => Err(Flaw::Unsupported(reason.clone())),
    }
}

fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

pub(super) fn shape(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let dims = dims(lower, used)?;
    let rank = dims.len() as i64;
    let place = |axis: i64| (if axis < 0 { axis + rank } else { axis }).clamp(0, rank) as usize;
    let (start, end) = (place(used.int("start", 0)), place(used.int("end", i64::MAX)));
    let list: Vec<i64> = dims.get(start..end).unwrap_or(&[]).iter().map(|&size| signed(size)).collect();
    Ok(vec![Value::Constant(Constant::ints(vec![list.len() as u64], list))])
}

pub(super) fn size(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let elements = product(&dims(lower, used)?).ok_or_else(|| Problem::overflow("the number of elements"))?;
    Ok(vec![Value::Constant(Constant::ints(vec![], vec![signed(elements)]))])
}

pub(super) fn constant_of_shape(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let dims = sizes(&lower.known_ints(used, 0)?)?;
    let filled = used.attribute("value").and_then(|attribute| attribute.t.as_ref());
    let value = match filled {
        Some(tensor) => Constant::of_tensor(tensor, 0)?,
        None => Constant::floats(vec![1], vec![0.0]),
    };
    let count = if small(&dims) { product(&dims).map(|count| count as usize) } else { None };
    let values = match (&value.values, count) {
        (Some(Values::Ints(value)), Some(count)) if value.len() == 1 => {
            Some(Values::Ints(vec![value[0]; count]))
        }
        (Some(Values::Floats(value)), Some(count)) if value.len() == 1 => {
            Some(Values::Floats(vec![value[0]; count]))
        }
        _ => None,
    };
    Ok(vec![Value::Constant(Constant {
        dims,
        data_type: value.data_type,
        root: None,
        view: vec![],
        values,
        derived: false,
        sources: vec![],
    })])
}

/// Lowers the branch that a known condition selects.
pub(super) fn branch(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let condition = match lower.value(used, 0)? {
        Value::Constant(condition) => condition.scalar(),
        _ => None,
    };
    let Some(condition) = condition else {
        return used.unsupported("a branch that depends on the data");
    };
    let name = if condition == 0.0 { "else_branch" } else { "then_branch" };
    let Some(graph) = used.attribute(name).and_then(|attribute| attribute.g.as_ref()) else {
        return Err(Problem::new(Code::Missing, format!("it has no `{name}`")).into());
    };
    if lower.depth >= MAX_BRANCHES {
        let message = format!("branches are nested more than {MAX_BRANCHES} levels deep");
        return Err(Problem::new(Code::Limit, message).into());
    }
    for tensor in &graph.initializer {
        lower.add_stored(tensor.clone())?;
    }
    lower.depth += 1;
    for node in &graph.node {
        lower.node(Use { node, opset: used.opset })?;
    }
    lower.depth -= 1;
    let output = |value: &crate::onnx::proto::ValueInfoProto| {
        lower.values.get(&value.name).cloned().ok_or_else(|| {
            Flaw::from(Problem::new(
                Code::Reference,
                format!(
                    "its branch returns `{}`, which nothing makes ({})",
                    value.name,
                    inline::title(used.node)
                ),
            ))
        })
    };
    let values = graph.output.iter().map(output).collect::<Result<Vec<_>, _>>()?;
    for (inner, outer) in graph.output.iter().zip(&used.node.output) {
        if let Some(&draft) = lower.unknown.get(&inner.name) {
            lower.unknown.insert(outer.clone(), draft);
        }
    }
    Ok(values)
}

/// Returns the decimal number that an f32 of the file was rounded from.
pub(super) fn meant(value: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, reason = "it was an f32")]
    let single = value as f32;
    if f64::from(single) == value { shortest(single) } else { value }
}
