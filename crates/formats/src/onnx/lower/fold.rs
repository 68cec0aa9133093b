//! Operators on constants: shape arithmetic, which disappears, and rearrangements of stored weights.

use super::context::{Flaw, Lower, Outcome, Use, Value};
use super::elements::{broadcast, computed, places, small};
use crate::onnx::constant::{Constant, KNOWN, Values, is_integer};
use crate::onnx::proto::DataType;
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::layers::opaque::Opaque;

/// Returns the result if the operator computes with numbers and all its inputs are constants.
pub(super) fn arithmetic(lower: &Lower, used: Use<'_>) -> Option<Outcome> {
    let given: Option<Vec<Option<&Constant>>> = (0..used.node.input.len())
        .map(|index| match lower.value(used, index) {
            Ok(Value::Constant(constant)) => Some(Some(constant)),
            Err(_) if !used.has(index) => Some(None),
            _ => None,
        })
        .collect();
    let given = given?;
    if let ("Resize" | "Upsample", Some(Some(data))) = (used.node.op_type.as_str(), given.first())
        && let Some(constant) = super::resize::resized(lower, used, data)
    {
        return Some(Ok(vec![Value::Constant(constant)]));
    }
    if let Some(constant) = super::evaluate::evaluated(used, &given) {
        return Some(Ok(vec![Value::Constant(constant)]));
    }
    let inputs = given.into_iter().collect::<Option<Vec<&Constant>>>()?;
    let result = match (used.node.op_type.as_str(), inputs.as_slice()) {
        ("Where", [condition, yes, no]) => choose(condition, yes, no),
        ("ScatterND", [data, indices, updates]) if used.text("reduction").unwrap_or("none") == "none" => {
            scattered(data, indices, updates)
        }
        ("Range", [start, limit, delta]) => range(start, limit, delta),
        ("Trilu", [data, diagonal @ ..]) => {
            triangle(data, diagonal.first().copied(), used.int("upper", 1) != 0)
        }
        ("Min" | "Max" | "Sum", [first, rest @ ..]) => rest
            .iter()
            .try_fold((*first).clone(), |so_far, next| binary(used.node.op_type.as_str(), &so_far, next)),
        (name, [a, b]) if two(name, 1.0, 1.0).is_some() => binary(name, a, b),
        (name, [a]) if one(name, 1.0).is_some() => unary(name, a),
        _ => return None,
    };
    Some(result.map(|constant| vec![Value::Constant(constant)]).map_err(Flaw::from))
}

/// Returns `data` with `updates` at `indices`, each of which addresses the first axes.
fn scattered(data: &Constant, indices: &Constant, updates: &Constant) -> Result<Constant, Problem> {
    let unknown = computed(data.dims.clone(), data.data_type);
    let (Some(values), Some(places), Some(new)) = (&data.values, indices.as_ints(), &updates.values) else {
        return Ok(unknown);
    };
    let depth = indices.dims.last().map_or(0, |&depth| depth as usize);
    if depth == 0 || depth > data.dims.len() {
        return Err(Problem::shape(format!("its indices {:?} do not fit {:?}", indices.dims, data.dims)));
    }
    let row: usize = data.dims[depth..].iter().map(|&size| size as usize).product();
    let (mut result, new) = (values.floats(), new.floats());
    for (number, place) in places.chunks(depth).enumerate() {
        let mut flat = 0usize;
        for (&index, &size) in place.iter().zip(&data.dims) {
            let inside = if index < 0 { index + size as i64 } else { index };
            let inside = u64::try_from(inside).ok().filter(|&inside| inside < size);
            let inside = inside
                .ok_or_else(|| Problem::shape(format!("its index {index} is not on an axis of {size}")))?;
            flat = flat * size as usize + inside as usize;
        }
        let from = new.get(number * row..(number + 1) * row);
        let from = from.ok_or_else(|| Problem::shape("it has fewer updates than indices"))?;
        result[flat * row..(flat + 1) * row].copy_from_slice(from);
    }
    let values = match values {
        Values::Ints(_) => Values::Ints(result.into_iter().map(|value| value as i64).collect()),
        Values::Floats(_) => Values::Floats(result),
    };
    Ok(Constant { values: Some(values), ..unknown })
}

/// Returns `data` with zeros below its diagonal (`upper`) or above it: a causal mask.
fn triangle(data: &Constant, diagonal: Option<&Constant>, upper: bool) -> Result<Constant, Problem> {
    let unknown = computed(data.dims.clone(), data.data_type);
    let &[.., rows, columns] = data.dims.as_slice() else {
        return Err(Problem::shape(format!("a triangle of {:?}, which is no matrix", data.dims)));
    };
    let diagonal = match diagonal.map(Constant::as_ints) {
        None => 0,
        Some(Some([diagonal])) => *diagonal,
        Some(_) => return Ok(unknown),
    };
    let kept = |flat: usize| {
        let (row, column) = (flat as u64 / columns.max(1) % rows.max(1), flat as u64 % columns.max(1));
        let past = i128::from(column) - i128::from(row) - i128::from(diagonal);
        if upper { past >= 0 } else { past <= 0 }
    };
    let values = match &data.values {
        None => return Ok(unknown),
        Some(Values::Ints(values)) => Values::Ints(
            values.iter().enumerate().map(|(flat, &value)| if kept(flat) { value } else { 0 }).collect(),
        ),
        Some(Values::Floats(values)) => Values::Floats(
            values.iter().enumerate().map(|(flat, &value)| if kept(flat) { value } else { 0.0 }).collect(),
        ),
    };
    Ok(Constant { values: Some(values), ..unknown })
}

/// Returns the output of a node that reads only constants, as a constant of which only the sizes are known:
/// if its shape is known, and it has no multiplications that a count would miss.
pub(super) fn of_known_shape(lower: &Lower, used: Use<'_>) -> Option<Value> {
    let among = |name: &&String| matches!(lower.values.get(*name), Some(Value::Constant(_)));
    let given = used.node.input.iter().filter(|name| !name.is_empty());
    let counted = Opaque { operator: used.node.op_type.clone(), ..Opaque::default() }.may_multiply();
    let plain = !counted
        || matches!(
            used.node.op_type.as_str(),
            "BatchNormalization" | "LpNormalization" | "Resize" | "Upsample"
        );
    let single = used.outputs() == 1 || used.node.op_type == "BatchNormalization";
    if !plain || !single || used.node.input.is_empty() || !given.clone().all(|name| among(&name)) {
        return None;
    }
    let dims = super::output_shape::output_shape(lower, used, 0)?;
    let data_type = given.filter_map(|name| match lower.values.get(name) {
        Some(Value::Constant(constant)) => Some(constant.data_type),
        _ => None,
    });
    Some(Value::Constant(computed(dims, data_type.into_iter().next()?)))
}

fn one(name: &str, x: f64) -> Option<f64> {
    Some(match name {
        "Neg" => -x,
        "Abs" => x.abs(),
        "Sqrt" => x.sqrt(),
        "Exp" => libm::exp(x),
        "Log" => libm::log(x),
        "Floor" => x.floor(),
        "Ceil" => x.ceil(),
        "Round" => x.round_ties_even(),
        "Reciprocal" => 1.0 / x,
        "Not" => f64::from(u8::from(x == 0.0)),
        "Sigmoid" => 1.0 / (1.0 + libm::exp(-x)),
        "Tanh" => libm::tanh(x),
        "Sin" => libm::sin(x),
        "Cos" => libm::cos(x),
        "Tan" => libm::tan(x),
        "Asin" => libm::asin(x),
        "Acos" => libm::acos(x),
        "Atan" => libm::atan(x),
        "Sinh" => libm::sinh(x),
        "Cosh" => libm::cosh(x),
        "Erf" => libm::erf(x),
        "Relu" => x.max(0.0),
        "Softplus" => libm::log1p(libm::exp(x)),
        "IsNaN" => f64::from(u8::from(x.is_nan())),
        "IsInf" => f64::from(u8::from(x.is_infinite())),
        "Sign" => {
            if x == 0.0 {
                0.0
            } else {
                x.signum()
            }
        }
        _ => return None,
    })
}

fn two(name: &str, a: f64, b: f64) -> Option<f64> {
    let truth = |condition: bool| f64::from(u8::from(condition));
    Some(match name {
        "Add" | "Sum" => a + b,
        "Sub" => a - b,
        "Mul" => a * b,
        "Div" => a / b,
        "Pow" => libm::pow(a, b),
        "Mod" => a - b * (a / b).floor(),
        "Min" => a.min(b),
        "Max" => a.max(b),
        "Equal" => truth(a == b),
        "Less" => truth(a < b),
        "LessOrEqual" => truth(a <= b),
        "Greater" => truth(a > b),
        "GreaterOrEqual" => truth(a >= b),
        "And" => truth(a != 0.0 && b != 0.0),
        "Or" => truth(a != 0.0 || b != 0.0),
        "Xor" => truth((a != 0.0) != (b != 0.0)),
        _ => return None,
    })
}

/// As [`two`], in integers; none if the result overflows.
fn two_whole(name: &str, a: i64, b: i64) -> Option<i64> {
    match name {
        "Add" | "Sum" => a.checked_add(b),
        "Sub" => a.checked_sub(b),
        "Mul" => a.checked_mul(b),
        "Div" => a.checked_div(b),
        "Mod" => a.checked_rem_euclid(b),
        "Min" => Some(a.min(b)),
        "Max" => Some(a.max(b)),
        "Pow" => a.checked_pow(u32::try_from(b).ok()?),
        "Equal" => Some(i64::from(a == b)),
        "Less" => Some(i64::from(a < b)),
        "LessOrEqual" => Some(i64::from(a <= b)),
        "Greater" => Some(i64::from(a > b)),
        "GreaterOrEqual" => Some(i64::from(a >= b)),
        // Comparisons and logic on other types are the same in floats.
        _ => two(name, a as f64, b as f64).map(|value| value as i64),
    }
}

fn truth(name: &str) -> bool {
    matches!(
        name,
        "Equal"
            | "Less"
            | "LessOrEqual"
            | "Greater"
            | "GreaterOrEqual"
            | "And"
            | "Or"
            | "Xor"
            | "Not"
            | "IsNaN"
            | "IsInf"
    )
}

fn binary(name: &str, a: &Constant, b: &Constant) -> Result<Constant, Problem> {
    let dims = broadcast(&a.dims, &b.dims)?;
    let data_type = if truth(name) { DataType::Bool } else { a.data_type };
    let (Some(left), Some(right), true) = (&a.values, &b.values, small(&dims)) else {
        return Ok(computed(dims, data_type));
    };
    let (from_a, from_b) = (places(&a.dims, &dims), places(&b.dims, &dims));
    let values = match (left, right) {
        (Values::Ints(left), Values::Ints(right)) => {
            let values: Option<Vec<i64>> =
                from_a.iter().zip(&from_b).map(|(&i, &j)| two_whole(name, left[i], right[j])).collect();
            Values::Ints(values.ok_or_else(|| {
                Problem::new(Code::InvalidValue, format!("its {name} of whole numbers has no result"))
                    .help("a division by zero, or a number beyond 64 bits")
            })?)
        }
        _ => {
            let (left, right) = (left.floats(), right.floats());
            let values: Vec<f64> =
                from_a.iter().zip(&from_b).filter_map(|(&i, &j)| two(name, left[i], right[j])).collect();
            if truth(name) {
                Values::Ints(values.iter().map(|&value| value as i64).collect())
            } else {
                Values::Floats(values)
            }
        }
    };
    Ok(Constant { values: Some(values), ..computed(dims, data_type) })
}

fn unary(name: &str, a: &Constant) -> Result<Constant, Problem> {
    let values = match &a.values {
        None => None,
        Some(Values::Ints(values)) => {
            Some(Values::Ints(values.iter().filter_map(|&x| one(name, x as f64)).map(|x| x as i64).collect()))
        }
        Some(Values::Floats(values)) => {
            let values = values.iter().filter_map(|&x| one(name, x));
            Some(if truth(name) {
                Values::Ints(values.map(|value| value as i64).collect())
            } else {
                Values::Floats(values.collect())
            })
        }
    };
    let data_type = if truth(name) { DataType::Bool } else { a.data_type };
    Ok(Constant { values, ..computed(a.dims.clone(), data_type) })
}

fn choose(condition: &Constant, yes: &Constant, no: &Constant) -> Result<Constant, Problem> {
    let dims = broadcast(&broadcast(&condition.dims, &yes.dims)?, &no.dims)?;
    let known = condition.as_ints().zip(yes.values.as_ref()).zip(no.values.as_ref());
    let Some(((condition_values, yes_values), no_values)) = known.filter(|_| small(&dims)) else {
        return Ok(computed(dims, yes.data_type));
    };
    let [c, y, n] = [condition, yes, no].map(|constant| places(&constant.dims, &dims));
    let values = match (yes_values, no_values) {
        (Values::Ints(yes), Values::Ints(no)) => Values::Ints(
            (0..c.len()).map(|i| if condition_values[c[i]] != 0 { yes[y[i]] } else { no[n[i]] }).collect(),
        ),
        _ => {
            let (yes, no) = (yes_values.floats(), no_values.floats());
            let pick = |i: usize| if condition_values[c[i]] != 0 { yes[y[i]] } else { no[n[i]] };
            Values::Floats((0..c.len()).map(pick).collect())
        }
    };
    Ok(Constant { values: Some(values), ..computed(dims, yes.data_type) })
}

fn range(start: &Constant, limit: &Constant, delta: &Constant) -> Result<Constant, Problem> {
    let number = |constant: &Constant| {
        constant.scalar().ok_or_else(|| Problem::new(Code::InvalidValue, "its bounds are not known numbers"))
    };
    let (first, last, step) = (number(start)?, number(limit)?, number(delta)?);
    let count = ((last - first) / step).ceil().max(0.0);
    if !count.is_finite() || count > KNOWN as f64 {
        return Err(Problem::new(Code::Limit, format!("a range of {count} numbers, the limit is {KNOWN}")));
    }
    let values: Vec<f64> = (0..count as u64).map(|index| first + index as f64 * step).collect();
    let values = if is_integer(start.data_type) {
        Values::Ints(values.iter().map(|&value| value as i64).collect())
    } else {
        Values::Floats(values)
    };
    Ok(Constant { values: Some(values), ..computed(vec![count as u64], start.data_type) })
}
