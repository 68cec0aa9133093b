//! Einsum of two operands, as a product of matrices, or as a linear map if one operand is a weight.
//!
//! Axes fall into kinds by the terms that contain their letter: both operands and the output (batch), both
//! operands but not the output (summed), one operand and the output (its rows or columns). Each operand is
//! permuted to [batch, rows, summed].

use super::context::{Flaw, Lower, Outcome, Tensor, Use, Value};
use super::shapes::permuted;
use crate::onnx::constant::{Change, Constant};
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::linear::Linear;
use cnnkit_core::layers::matmul::Matmul;
use cnnkit_core::shape::product;

/// The letters of an equation with two operands.
#[derive(Debug, PartialEq)]
struct Equation {
    left: Vec<char>,
    right: Vec<char>,
    output: Vec<char>,
}

/// Parses the equation `text`; none unless it has two operands with distinct letters.
fn parsed(text: &str) -> Option<Equation> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let (inputs, output) = match text.split_once("->") {
        Some((inputs, output)) => (inputs, Some(output)),
        None => (text.as_str(), None),
    };
    let (left, right) = inputs.split_once(',')?;
    let letters = |term: &str| -> Option<Vec<char>> {
        let all: Vec<char> = term.chars().collect();
        let fine = all.iter().enumerate().all(|(i, c)| c.is_ascii_alphabetic() && !all[..i].contains(c));
        fine.then_some(all)
    };
    let (left, right) = (letters(left)?, letters(right)?);
    let output = match output {
        Some(output) => letters(output)?,
        // The letters that occur once, in alphabetical order.
        None => {
            let once = left.iter().filter(|c| !right.contains(c));
            let mut all: Vec<char> =
                once.chain(right.iter().filter(|c| !left.contains(c))).copied().collect();
            all.sort_unstable();
            all
        }
    };
    let known = output.iter().all(|c| left.contains(c) || right.contains(c));
    // A letter of only one operand would be summed within it, which is not supported.
    let kept = |own: &[char], other: &[char]| own.iter().all(|c| other.contains(c) || output.contains(c));
    (known && kept(&left, &right) && kept(&right, &left)).then_some(Equation { left, right, output })
}

impl Equation {
    fn batch(&self) -> Vec<char> {
        let both = |c: &char| self.left.contains(c) && self.right.contains(c);
        self.output.iter().copied().filter(both).collect()
    }

    fn summed(&self) -> Vec<char> {
        let gone = |c: &char| self.right.contains(c) && !self.output.contains(c);
        self.left.iter().copied().filter(gone).collect()
    }

    /// Returns the letters of `own` that the other operand does not have.
    fn alone(own: &[char], other: &[char]) -> Vec<char> {
        own.iter().copied().filter(|c| !other.contains(c)).collect()
    }
}

/// Returns the position of each of `wanted` in `letters`.
fn places(letters: &[char], wanted: &[char]) -> Vec<usize> {
    wanted.iter().filter_map(|c| letters.iter().position(|letter| letter == c)).collect()
}

fn joined(dims: &[u64]) -> Result<u64, Problem> {
    product(dims).ok_or_else(|| Problem::overflow("a joined axis"))
}

pub(super) fn einsum(lower: &mut Lower, used: Use<'_>) -> Outcome {
    let text = used.text("equation").unwrap_or_default().to_owned();
    let Some(equation) = parsed(&text).filter(|_| used.node.input.len() == 2) else {
        return used.unsupported(format!("the equation `{text}`"));
    };
    let left = lower.tensor(used, 0)?;
    let fits = |letters: &[char], dims: &[u64]| -> Result<(), Problem> {
        if letters.len() == dims.len() {
            return Ok(());
        }
        let message = format!("the equation `{text}` does not fit an operand of the sizes {dims:?}");
        Err(Problem::new(Code::InvalidValue, message))
    };
    fits(&equation.left, &left.dims)?;
    if let Value::Constant(weight) = lower.value(used, 1)? {
        let weight = weight.clone();
        fits(&equation.right, &weight.dims)?;
        return linear(lower, used, &equation, left, &weight);
    }
    let right = lower.tensor(used, 1)?;
    fits(&equation.right, &right.dims)?;
    product_of(lower, used, &equation, left, right)
}

/// Returns `tensor` with its axes permuted by `groups`, the axes of each group joined into one, except those
/// of the first.
fn arranged(
    lower: &mut Lower,
    used: Use<'_>,
    tensor: &Tensor,
    letters: &[char],
    groups: [&[char]; 3],
) -> Result<Tensor, Flaw> {
    let moved = permuted(lower, used, tensor, &places(letters, &groups.concat()))?;
    let (kept, rest) = moved.dims.split_at(groups[0].len());
    let (second, third) = rest.split_at(groups[1].len());
    let dims = [kept, &[joined(second)?, joined(third)?]].concat();
    // A batch that is joined with other axes is that of a single image.
    let batch = moved.batch.filter(|&axis| axis < kept.len());
    if batch.is_none() && moved.batch.is_some() && lower.batch != 1 {
        return used.unsupported("an equation that does not keep the batch apart");
    }
    lower.viewed(used, &moved, &dims, batch)
}

/// Returns the result with the letters `found`, of these sizes, permuted to the order of the output.
fn in_order(
    lower: &mut Lower,
    used: Use<'_>,
    made: &Tensor,
    found: &[char],
    dims: &[u64],
    output: &[char],
) -> Outcome {
    let open = lower.viewed(used, made, dims, made.batch)?;
    Ok(vec![Value::Tensor(permuted(lower, used, &open, &places(found, output))?)])
}

fn product_of(lower: &mut Lower, used: Use<'_>, equation: &Equation, left: Tensor, right: Tensor) -> Outcome {
    let (batch, summed) = (equation.batch(), equation.summed());
    let rows = Equation::alone(&equation.left, &equation.right);
    let columns = Equation::alone(&equation.right, &equation.left);
    let (mut a, mut b) = (left, right);
    // Either both operands have the same batch axis, or a batch of 1 is an ordinary axis.
    let letter = |tensor: &Tensor, letters: &[char]| tensor.batch.and_then(|axis| letters.get(axis).copied());
    if letter(&a, &equation.left) != letter(&b, &equation.right) {
        if lower.batch != 1 {
            return used.unsupported("operands whose batch axes differ");
        }
        a = lower.viewed(used, &a, &a.dims.clone(), None)?;
        b = lower.viewed(used, &b, &b.dims.clone(), None)?;
    }
    let size = |letters: &[char], tensor: &Tensor, wanted: &[char]| -> Vec<u64> {
        places(letters, wanted).into_iter().map(|axis| tensor.dims[axis]).collect()
    };
    let (kept, shared) = (size(&equation.left, &a, &batch), size(&equation.left, &a, &summed));
    if kept != size(&equation.right, &b, &batch) || shared != size(&equation.right, &b, &summed) {
        return Err(Problem::shape(format!(
            "its operands {:?} and {:?} give one letter two sizes",
            a.dims, b.dims
        ))
        .into());
    }
    let (high, wide) = (size(&equation.left, &a, &rows), size(&equation.right, &b, &columns));
    let a = arranged(lower, used, &a, &equation.left, [&batch, &rows, &summed])?;
    let b = arranged(lower, used, &b, &equation.right, [&batch, &summed, &columns])?;
    let made = lower.emit(used, Layer::Matmul(Matmul {}), &[&a, &b], vec![], a.batch)?;
    let found = [batch, rows, columns].concat();
    in_order(lower, used, &made, &found, &[kept, high, wide].concat(), &equation.output)
}

fn linear(lower: &mut Lower, used: Use<'_>, equation: &Equation, left: Tensor, weight: &Constant) -> Outcome {
    if !equation.batch().is_empty() {
        return used.unsupported("input 1 is a constant");
    }
    let summed = equation.summed();
    let (rows, columns) =
        (Equation::alone(&equation.left, &equation.right), Equation::alone(&equation.right, &equation.left));
    let order = places(&equation.right, &[columns.as_slice(), &summed].concat());
    let turned: Vec<u64> = order.iter().map(|&axis| weight.dims[axis]).collect();
    let (wide, deep) = turned.split_at(columns.len());
    let flat = vec![joined(wide)?, joined(deep)?];
    let matrix = weight.changed(Change::Transpose(order), turned.clone());
    let matrix = matrix.changed(Change::Reshape(flat.clone()), flat);
    let moved = permuted(lower, used, &left, &places(&equation.left, &[rows.as_slice(), &summed].concat()))?;
    let (high, inner) = moved.dims.split_at(rows.len());
    if inner != deep {
        let message = format!("its operands {:?} and {:?} give one letter two sizes", left.dims, weight.dims);
        return Err(Problem::shape(message).into());
    }
    if moved.batch.is_some_and(|axis| axis >= rows.len()) {
        return used.unsupported("a sum over the batch");
    }
    let input = lower.viewed(used, &moved, &[high, &[joined(inner)?]].concat(), moved.batch)?;
    let layer = Linear { out_features: matrix.dims[0], bias: false, in_features: None };
    let made = lower.map(used, Layer::Linear(layer), &input, vec![matrix])?;
    let found = [rows, columns].concat();
    in_order(lower, used, &made, &found, &[high, wide].concat(), &equation.output)
}
