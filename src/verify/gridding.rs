//! Multiplicity, measured: a stack of convolutions with unit weights, run in exact integers on an impulse.
//!
//! The impulse stands at the one output of an input as large as the box, and goes backwards through the executor's
//! convolutions: what arrives at an input position is the number of ways from there to the output, whatever the
//! strides.

use num_bigint::BigUint;

use crate::analysis::dilated;
use crate::analysis::gridding::{Layer as Comb, Stack};
use crate::diagnostic::Problem;
use crate::exec::reference::{self, Call};
use crate::exec::scalar::{Exact, Scalar as _};
use crate::exec::tensor::Tensor;
use crate::graph::Graph;
use crate::layers::args::{Groups, Padding, PerAxis};
use crate::layers::conv::{Conv, PaddingMode};
use crate::layers::{Init, Layer, Weight};
use crate::verify::predict::Predict;
use crate::verify::{Claim, Kind, Options, Outcome, sizes};

/// Most steps that a map may take.
const MOST_STEPS: u64 = 300_000_000;

pub(super) fn measure(
    graph: &Graph,
    predict: &(dyn Predict + Sync),
    options: &Options,
    outcome: &mut Outcome,
) -> Result<(), Problem> {
    if !options.wants(Kind::Gridding) {
        return Ok(());
    }
    for chain in dilated::chains(graph)?.chains {
        let axes = chain.rates.len();
        let layers = (0..chain.nodes.len()).map(|i| Comb {
            kernel: (0..axes).map(|axis| chain.kernels[axis][i]).collect(),
            rate: (0..axes).map(|axis| chain.rates[axis][i]).collect(),
            stride: vec![1; axes],
        });
        let stack = Stack::new(axes, layers.collect())?;
        let name = chain.nodes.last().map(|&node| graph.node(node).id.clone());
        match claim(&stack, predict)? {
            Ok(claim) => outcome.claims.push(Claim { node: name, ..claim }),
            Err(why) => outcome.notes.push(why),
        }
    }
    Ok(())
}

/// The claim about one stack; the reason if it is too wide to be run.
pub fn claim(stack: &Stack, predict: &(dyn Predict + Sync)) -> Result<Result<Claim, String>, Problem> {
    let lines = predict.multiplicities(stack)?;
    let area = boxed(stack, &(0..stack.axes()).collect::<Vec<_>>());
    let full = cost(stack, &(0..stack.axes()).collect::<Vec<_>>());
    if full <= MOST_STEPS {
        let map = run(stack, &(0..stack.axes()).collect::<Vec<_>>())?;
        let predicted = outer(&lines);
        return Ok(Ok(verdict(&predicted, &map, &area, "the whole map")));
    }
    let mut claims = Vec::new();
    for axis in 0..stack.axes() {
        if cost(stack, &[axis]) > MOST_STEPS {
            return Ok(Err(format!("gridding of a stack {} wide: too wide to be run", sizes(&area))));
        }
        claims.push(verdict(&lines[axis], &run(stack, &[axis])?, &area[axis..=axis], "each axis by itself"));
    }
    let broken = claims.iter().position(|claim| !claim.ok).unwrap_or(0);
    Ok(Ok(claims.swap_remove(broken)))
}

/// The product of lines, row-major.
fn outer(lines: &[Vec<BigUint>]) -> Vec<BigUint> {
    lines.iter().fold(vec![BigUint::from(1u8)], |map, line| {
        map.iter().flat_map(|value| line.iter().map(move |factor| value * factor)).collect()
    })
}

fn verdict(predicted: &[BigUint], measured: &[Exact], area: &[u64], what: &str) -> Claim {
    let equal = predicted.len() == measured.len()
        && predicted.iter().zip(measured).all(|(p, m)| {
            m.value()
                .and_then(|value| u128::try_from(value).ok())
                .is_some_and(|value| *p == BigUint::from(value))
        });
    let text = |read: usize, total: usize, most: String, sum: String| {
        format!("{read} of {total} positions in {}, at most {most} ways, {sum} in all", sizes(area))
    };
    let zero = BigUint::from(0u8);
    let predicted = text(
        predicted.iter().filter(|ways| **ways != zero).count(),
        predicted.len(),
        predicted.iter().max().map_or_else(String::new, BigUint::to_string),
        predicted.iter().sum::<BigUint>().to_string(),
    );
    let number = |value: Exact| {
        value.value().map_or_else(|| "more than 128 bits".to_owned(), |value| value.to_string())
    };
    let sum = measured.iter().fold(Exact::ZERO, |sum, &ways| sum + ways);
    let measured = text(
        measured.iter().filter(|ways| **ways != Exact::ZERO).count(),
        measured.len(),
        measured.iter().max().map_or_else(String::new, |&most| number(most)),
        number(sum),
    );
    let method =
        format!("unit weights on an impulse, in exact integers, {what} compared position by position");
    Claim { claim: Kind::Gridding, node: None, predicted, measured, method, ok: equal }
}

/// The sizes of the maps before each layer for one output, from the output to the input; the axes of `axes` only.
fn maps(stack: &Stack, axes: &[usize]) -> Vec<Vec<u64>> {
    let mut maps = vec![vec![1u64; axes.len()]];
    for layer in stack.layers().iter().rev() {
        let last = maps.last().cloned().unwrap_or_default();
        let grow = |(size, &axis): (u64, &usize)| {
            let reach = layer.kernel[axis].saturating_sub(1).saturating_mul(layer.rate[axis]);
            (size - 1).saturating_mul(layer.stride[axis]).saturating_add(reach).saturating_add(1)
        };
        maps.push(last.into_iter().zip(axes).map(grow).collect());
    }
    maps
}

fn boxed(stack: &Stack, axes: &[usize]) -> Vec<u64> {
    maps(stack, axes).pop().unwrap_or_default()
}

fn cost(stack: &Stack, axes: &[usize]) -> u64 {
    let maps = maps(stack, axes);
    let area = |map: &[u64]| map.iter().fold(1u64, |area, &size| area.saturating_mul(size));
    let steps = stack.layers().iter().rev().zip(maps.windows(2)).map(|(layer, pair)| {
        let taps = axes.iter().fold(1u64, |taps, &axis| taps.saturating_mul(layer.kernel[axis]));
        area(&pair[0]).saturating_mul(taps).saturating_add(area(&pair[1]).saturating_mul(4))
    });
    steps.fold(0, u64::saturating_add)
}

/// The impulse, run backwards through the stack along the axes `axes`.
fn run(stack: &Stack, axes: &[usize]) -> Result<Vec<Exact>, Problem> {
    let maps = maps(stack, axes);
    let wide = |size: u64| usize::try_from(size).map_err(|_| Problem::overflow("the size of the map"));
    let mut vector = Tensor::from_fn(&vec![1; axes.len() + 2], |_| Exact::ONE);
    for (layer, map) in stack.layers().iter().rev().zip(&maps[1..]) {
        let list = |values: &[u64]| PerAxis::list(axes.iter().map(|&axis| values[axis]));
        let conv = Conv {
            out_channels: 1,
            kernel: list(&layer.kernel),
            stride: list(&layer.stride),
            padding: Padding::zero(),
            dilation: list(&layer.rate),
            groups: Groups::Number(1),
            bias: false,
            padding_mode: PaddingMode::Zeros,
            in_channels: None,
        };
        let kernel: Vec<u64> = axes.iter().map(|&axis| layer.kernel[axis]).collect();
        let declared = [Weight::parameter("weight", [&[1, 1], kernel.as_slice()].concat(), Init::Ones)];
        let mut taps = vec![1, 1];
        for &size in &kernel {
            taps.push(wide(size)?);
        }
        let weights = [std::sync::Arc::new(Tensor::from_fn(&taps, |_| Exact::ONE))];
        let mut sizes = vec![1, 1];
        for &size in map {
            sizes.push(wide(size)?);
        }
        let input = Tensor::zeros(&sizes);
        let call = Call { inputs: &[&input], declared: &declared, weights: &weights };
        vector = reference::backward(&Layer::Conv(conv), call, &vector)?.inputs.swap_remove(0);
    }
    Ok(vector.into_data())
}
