//! Measures multiplicities: a stack of convolutions with unit weights, run in exact integers on an impulse.
//!
//! The impulse is the only output of an input as large as the box. It is run backwards through the executor's
//! convolutions: the value that arrives at an input position is the number of paths from there to the output,
//! for any strides.

use num_bigint::BigUint;

use crate::predict::{Coverage, Predict};
use crate::{Claim, Kind, Options, Outcome, sizes};
use cnnkit_core::analysis::dilated;
use cnnkit_core::analysis::gridding::{Layer as Comb, Stack};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::Graph;
use cnnkit_core::layers::args::{Groups, Padding, PerAxis};
use cnnkit_core::layers::conv::{Conv, PaddingMode};
use cnnkit_core::layers::{Init, Layer, Weight};
use cnnkit_exec::reference::{self, Call};
use cnnkit_exec::scalar::{Exact, Scalar as _};
use cnnkit_exec::tensor::Tensor;

/// Maximum cost of a map.
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
    let chains = dilated::chains(graph)?;
    if chains.truncated {
        outcome.notes.push("gridding of further chains, beyond those listed".into());
    }
    for chain in chains.chains {
        let axes = chain.rates.len();
        let layers = (0..chain.nodes.len()).map(|i| Comb {
            kernel: (0..axes).map(|axis| chain.kernels[axis][i]).collect(),
            rate: (0..axes).map(|axis| chain.rates[axis][i]).collect(),
            stride: vec![1; axes],
        });
        let stack = Stack::new(axes, layers.collect())?;
        let name = chain.nodes.last().map(|&node| graph.node(node).id.clone());
        match claims(&stack, predict)? {
            Ok(claims) => {
                outcome.claims.extend(claims.into_iter().map(|claim| Claim { node: name.clone(), ..claim }));
            }
            Err(why) => outcome.notes.push(why),
        }
    }
    Ok(())
}

/// Returns the claims about one stack: the paths from every position, and the coverage that follows per axis; or the
/// reason if the stack is too wide to run.
pub fn claims(stack: &Stack, predict: &(dyn Predict + Sync)) -> Result<Result<Vec<Claim>, String>, Problem> {
    let every: Vec<usize> = (0..stack.axes()).collect();
    let area = boxed(stack, &every);
    let too_wide = every.iter().any(|&axis| cost(stack, &[axis]) > MOST_STEPS);
    if too_wide {
        return Ok(Err(format!("gridding of a stack {} wide: too wide to run", sizes(&area))));
    }
    let lines = predict.multiplicities(stack)?;
    let found = every.iter().map(|&axis| run(stack, &[axis])).collect::<Result<Vec<_>, _>>()?;
    let dense = |(axis, ways): (&usize, &Vec<Exact>)| ways.len() > MOST_PAIRS && jump(stack, *axis) > 1;
    if every.iter().zip(&found).any(dense) {
        return Ok(Err(format!("gridding of a stack {} wide after strides: too wide to run", sizes(&area))));
    }
    let mut all = Vec::new();
    if cost(stack, &every) <= MOST_STEPS {
        all.push(verdict(&outer(&lines), &run(stack, &every)?, &area, "the whole map"));
    } else {
        let none = Vec::new();
        let one = |&axis: &usize| {
            let line = lines.get(axis).unwrap_or(&none);
            verdict(line, &found[axis], &area[axis..=axis], "each axis separately")
        };
        let axes: Vec<Claim> = every.iter().map(one).collect();
        let broken = axes.iter().find(|claim| !claim.ok).or(axes.first());
        all.extend(broken.cloned());
    }
    let found: Vec<Coverage> = every.iter().map(|&axis| coverage(stack, axis, &found[axis])).collect();
    let text = |axes: &[Coverage]| -> String {
        let mut texts: Vec<String> = axes.iter().map(describe).collect();
        texts.dedup();
        texts.join("; ")
    };
    let claimed = predict.coverage(stack)?;
    all.push(Claim {
        claim: Kind::Gridding,
        node: None,
        ok: claimed == found,
        predicted: text(&claimed),
        measured: text(&found),
        method: "as above, along each axis; sub-grids from the positions that outputs share".into(),
    });
    Ok(Ok(all))
}

/// Formats `7 of 13 per axis, largest gap 2, 2 sub-grids`.
fn describe(axis: &Coverage) -> String {
    let grids = match axis.sub_grids {
        None => "no shared input".to_owned(),
        Some(1) => "1 sub-grid".to_owned(),
        Some(count) => format!("{count} sub-grids"),
    };
    format!("{} of {} per axis, largest gap {}, {grids}", axis.covered, axis.size, axis.max_gap)
}

/// Computes the coverage along one axis from its path counts. Outputs are one jump apart; two that read a common
/// position are in the same class, transitively.
fn coverage(stack: &Stack, axis: usize, ways: &[Exact]) -> Coverage {
    let read: Vec<u64> =
        (0..).zip(ways).filter(|(_, ways)| **ways != Exact::ZERO).map(|(at, _)| at).collect();
    let jump = jump(stack, axis);
    // Distances between outputs that read a common position: the distances between two positions that are read.
    let mut shared = vec![false; ways.len()];
    if jump > 1 {
        for (index, from) in read.iter().enumerate() {
            read[index + 1..].iter().for_each(|to| shared[(to - from) as usize] = true);
        }
    } else {
        // With a jump of 1 every distance counts, and those from the first position have the same greatest common
        // divisor.
        read.iter().skip(1).for_each(|at| shared[(at - read[0]) as usize] = true);
    }
    let steps = (0..).zip(&shared).filter(|(_, shared)| **shared).map(|(distance, _)| distance);
    let steps = steps.filter(|distance: &u64| distance.is_multiple_of(jump)).map(|distance| distance / jump);
    let classes = steps.fold(0, |all: u64, step| num_integer::gcd(all, step));
    Coverage {
        size: ways.len() as u64,
        covered: read.len() as u64,
        max_gap: read.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(1),
        sub_grids: (classes > 0).then_some(classes),
    }
}

/// Returns the input positions between neighbouring outputs.
fn jump(stack: &Stack, axis: usize) -> u64 {
    stack.layers().iter().fold(1, |jump, layer| jump.saturating_mul(layer.stride[axis]))
}

/// Maximum number of positions for which every pair is checked.
const MOST_PAIRS: usize = 20_000;

/// Returns the outer product of lines, row-major.
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

/// Returns the map sizes before each layer for one output, from the output to the input, on the axes `axes` only.
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

/// Runs the impulse backwards through the stack along the axes `axes`.
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
