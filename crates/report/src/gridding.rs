//! What `cnnkit gridding` says: the map, the figures, and why.

use std::str::FromStr as _;

use num_bigint::BigUint;
use num_traits::One as _;
use serde_json::{Number, Value as Json, json};

use crate::{
    Bin, Block, Cell, Column, Fact, Line, Map, Page, Panel, Report, Row, StyledText, Table, Tone, Value,
};
use cnnkit_core::analysis::gridding::{Bound, Gridding, Stack, criterion};
use cnnkit_core::analysis::multiplicity::Multiplicity;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::number::{grouped, integer, share};

/// Wider axes are kept as so many bins for the map; no terminal shows more.
const MOST_BINS: u64 = 2048;
/// Multiplicities wider than this are listed only on request.
const MOST_LISTED: u64 = 100_000;
/// Additions that may be spent on multiplicities nobody asked for: a fraction of a second.
const UNASKED_WORK: u64 = 1 << 26;
/// Maps shown by `--steps`.
const MOST_STEPS: usize = 12;

/// What to show besides the figures.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// The map after each layer.
    pub steps: bool,
    /// The multiplicities, however wide.
    pub multiplicity: bool,
}

/// The report on `stack`.
pub fn report(stack: &Stack, facts: &Gridding, options: Options) -> Result<(Report, Map), Problem> {
    let lines = lines(facts, options.multiplicity)?;
    let broken = broken(facts)?;
    let map = map(stack, facts, lines.as_deref(), options.steps)?;
    let mut page = Page::default();
    page.title_with(format!("Gridding of {}", name(stack)), kernels(stack));
    page.push(Block::Map(map.clone()));
    if lines.is_none() {
        page.note("shaded alike: multiplicities this large are counted only with --multiplicity");
    }
    let mut steps_json = Vec::new();
    if options.steps {
        let (table, json) = steps(stack)?;
        page.table(table);
        steps_json = json;
    }
    page.push(Block::Facts(figures(facts, lines.as_deref())));
    page.push(Block::Text(verdict(facts, broken)));
    page.note(
        "a position's multiplicity is the number of ways through the kernels' taps; coverage = covered / box; \
         a gap of 1 is no hole",
    );
    let json = to_json(stack, facts, lines.as_deref(), options, broken, steps_json);
    Ok((Report { page, json, ok: true }, map))
}

/// `rates 2, 2, 2`.
pub fn name(stack: &Stack) -> String {
    let rates: Vec<String> = stack.layers().iter().take(12).map(|layer| per_axis(&layer.rate)).collect();
    let more = stack.layers().len().saturating_sub(12);
    let more = if more > 0 { format!(" and {} more", grouped(more as u64)) } else { String::new() };
    format!("rates {}{more}", rates.join(", "))
}

/// The outcome in one line: `3x3 kernels: box 13 x 13, 49 of 169 covered (29.0 %), 4 sub-grids`.
pub fn summary(stack: &Stack, facts: &Gridding) -> String {
    let (size, covered, total) = (extent(&facts.size()), integer(&facts.covered()), integer(&facts.total()));
    let coverage = share(facts.coverage());
    format!("{}: box {size}, {covered} of {total} covered ({coverage})", kernels(stack))
}

/// `3x3 kernels, strided`.
pub fn kernels(stack: &Stack) -> String {
    let mut kinds: Vec<String> = Vec::new();
    for layer in stack.layers() {
        let kind = layer.kernel.iter().map(u64::to_string).collect::<Vec<_>>().join("x");
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let strided = stack.layers().iter().any(|layer| layer.stride.iter().any(|&stride| stride > 1));
    let axes = if stack.axes() == 1 { " on 1 axis" } else { "" };
    format!("{} kernels{axes}{}", kinds.join(", "), if strided { ", strided" } else { "" })
}

fn per_axis(values: &[u64]) -> String {
    match values {
        [first, rest @ ..] if rest.iter().all(|value| value == first) => first.to_string(),
        _ => values.iter().map(u64::to_string).collect::<Vec<_>>().join("x"),
    }
}

/// The box as words: `13 x 13`.
fn extent(size: &[u64]) -> String {
    size.iter().map(|&side| grouped(side)).collect::<Vec<_>>().join(" x ")
}

fn lines(facts: &Gridding, asked: bool) -> Result<Option<Vec<Multiplicity>>, Problem> {
    if asked || facts.multiplicity_cost() <= UNASKED_WORK {
        return match facts.multiplicities() {
            Err(problem) if asked => Err(problem),
            lines => Ok(lines.ok()),
        };
    }
    Ok(None)
}

/// The first step, on any axis, that leaves a hole.
fn broken(facts: &Gridding) -> Result<Option<Bound>, Problem> {
    for axis in &facts.axes {
        if let Some(bound) = criterion(&axis.combs)?.into_iter().find(|bound| !bound.holds()) {
            return Ok(Some(bound));
        }
    }
    Ok(None)
}

fn map(stack: &Stack, facts: &Gridding, lines: Option<&[Multiplicity]>, steps: bool) -> Result<Map, Problem> {
    let count = stack.layers().len();
    if !steps || count > MOST_STEPS {
        let panel = panel(facts, lines, String::new());
        return Ok(Map { panels: vec![panel] });
    }
    let mut panels = Vec::with_capacity(count);
    for layers in 1..=count {
        let facts = Gridding::of(&stack.first(layers))?;
        let lines = match lines {
            Some(_) => Some(facts.multiplicities()?),
            None => None,
        };
        let rate = stack.layers().get(layers - 1).map(|layer| per_axis(&layer.rate)).unwrap_or_default();
        panels.push(panel(&facts, lines.as_deref(), format!("layer {layers}, rate {rate}")));
    }
    Ok(Map { panels })
}

/// The map of the last two axes; with three, the slice next to the middle of the first that is read at all.
fn panel(facts: &Gridding, lines: Option<&[Multiplicity]>, title: String) -> Panel {
    let line = |axis: usize| line(facts, lines, axis);
    let named = |title: String| {
        let comma = if title.is_empty() { "" } else { ": " };
        format!("{title}{comma}{}", extent(&facts.size()))
    };
    match facts.axes.len() {
        0 | 1 => Panel { title: named(title), rows: None, columns: line(0) },
        2 => Panel { title: named(title), rows: Some(line(0)), columns: line(1) },
        axes => {
            let mut rows = line(axes - 2);
            let depth = line(0);
            let middle = depth.bins.len() / 2;
            let read = (0..depth.bins.len()).filter(|&i| depth.bins[i].covered > 0);
            let slice = read.min_by_key(|i| i.abs_diff(middle)).unwrap_or(middle);
            let before: u64 = depth.bins[..slice].iter().map(|bin| bin.positions).sum();
            for bin in &mut rows.bins {
                bin.log += depth.bins[slice].log;
            }
            let title = format!("{}, slice {}", named(title), grouped(before));
            Panel { title, rows: Some(rows), columns: line(axes - 1) }
        }
    }
}

fn line(facts: &Gridding, lines: Option<&[Multiplicity]>, axis: usize) -> Line {
    let Some(offsets) = facts.axes.get(axis).map(|axis| &axis.offsets) else {
        return Line { size: 0, bins: vec![] };
    };
    let size = offsets.size();
    let width = size.div_ceil(MOST_BINS).max(1);
    let bins = (0..size.div_ceil(width)).map(|i| {
        let (start, end) = (i * width, ((i + 1) * width).min(size));
        let log = lines.and_then(|lines| lines.get(axis)?.largest_log(start, end)).unwrap_or(0.0);
        Bin { positions: end - start, covered: offsets.covered_in(start, end), log }
    });
    Line { size, bins: bins.collect() }
}

fn figures(facts: &Gridding, lines: Option<&[Multiplicity]>) -> Vec<Fact> {
    let (covered, total) = (facts.covered(), facts.total());
    let missed = &total - &covered;
    let hole_free = facts.hole_free();
    let tone = if hole_free { Tone::Good } else { Tone::Bad };
    let mut out = vec![
        Fact::new("box", Cell::text(extent(&facts.size()))),
        Fact::new("positions in the box", Cell::integer(total)),
        Fact::new("covered", Cell::integer(covered)),
        Fact::new("coverage", Cell::from(Value::Share(facts.coverage())).tone(tone)),
        Fact::new("holes", Cell::integer(missed).tone(tone)),
        Fact::new("largest gap", Cell::count(facts.max_gap()).tone(tone)).remark(if hole_free {
            "no hole"
        } else {
            "between neighbouring covered positions of an axis"
        }),
    ];
    out.push(match facts.sub_grids() {
        Some(grids) if grids.is_one() => {
            Fact::new("sub-grids", Cell::count(1)).remark("all outputs are linked by shared inputs")
        }
        Some(grids) => Fact::new("sub-grids", Cell::integer(grids).tone(Tone::Bad))
            .remark("classes of outputs that share no input"),
        None => Fact::new("sub-grids", Cell::text("one an output")).remark("no two outputs share an input"),
    });
    if let Some(lines) = lines {
        let largest: BigUint = lines.iter().map(Multiplicity::largest).product();
        out.push(Fact::new("largest multiplicity", Cell::integer(largest)));
    }
    out
}

fn verdict(facts: &Gridding, broken: Option<Bound>) -> Vec<StyledText> {
    if facts.hole_free() {
        return vec![
            StyledText::new("hole-free", Tone::Good),
            StyledText::plain(": every position of the box reaches the output"),
        ];
    }
    let mut out = vec![
        StyledText::new("gridding", Tone::Bad),
        StyledText::plain(format!(": {} of the box is never read", share(1.0 - facts.coverage()))),
    ];
    if let Some(Bound { step, largest }) = broken {
        let strided = facts.axes.iter().any(|axis| axis.jump > 1);
        let step = if strided {
            format!("taps {} input positions apart leave holes", grouped(step))
        } else {
            format!("rate {} leaves holes", grouped(step))
        };
        let most = grouped(largest);
        out.push(StyledText::plain(format!("; {step}, at most {most} fits beside the smaller ones")));
    }
    out
}

fn steps(stack: &Stack) -> Result<(Table, Vec<Json>), Problem> {
    let mut table = Table {
        columns: vec![
            Column::number("layer"),
            Column::text("kernel"),
            Column::text("rate"),
            Column::text("box"),
            Column::number("covered"),
            Column::number("coverage"),
            Column::number("largest gap"),
        ],
        rows: vec![],
    };
    let mut json = Vec::new();
    for count in 1..=stack.layers().len().min(MOST_STEPS) {
        let facts = Gridding::of(&stack.first(count))?;
        let layer = &stack.layers()[count - 1];
        let tone = if facts.hole_free() { Tone::Good } else { Tone::Bad };
        table.rows.push(Row::new(vec![
            Cell::count(count as u64),
            Cell::text(layer.kernel.iter().map(u64::to_string).collect::<Vec<_>>().join("x")),
            Cell::text(per_axis(&layer.rate)),
            Cell::text(extent(&facts.size())),
            Cell::integer(facts.covered()),
            Cell::from(Value::Share(facts.coverage())).tone(tone),
            Cell::count(facts.max_gap()),
        ]));
        json.push(json!({
            "layer": count,
            "size": facts.size(),
            "covered": exact(&facts.covered()),
            "total": exact(&facts.total()),
            "coverage": facts.coverage(),
            "max_gap": facts.max_gap(),
            "hole_free": facts.hole_free(),
        }));
    }
    Ok((table, json))
}

/// An exact JSON integer of any size.
pub(crate) fn exact(value: &BigUint) -> Json {
    Number::from_str(&value.to_string()).map_or(Json::Null, Json::Number)
}

/// One number a layer where all axes agree, else one list a layer.
fn layered(stack: &Stack, of: impl Fn(&cnnkit_core::analysis::gridding::Layer) -> &Vec<u64>) -> Json {
    let alike = |values: &[u64]| values.iter().all(|value| Some(value) == values.first());
    if stack.layers().iter().all(|layer| alike(of(layer))) {
        return stack.layers().iter().filter_map(|layer| of(layer).first().copied()).collect();
    }
    stack.layers().iter().map(|layer| json!(of(layer))).collect()
}

fn to_json(
    stack: &Stack,
    facts: &Gridding,
    lines: Option<&[Multiplicity]>,
    options: Options,
    broken: Option<Bound>,
    steps: Vec<Json>,
) -> Json {
    let kernels = layered(stack, |layer| &layer.kernel);
    // One number where all layers agree, as the usual call has it.
    let kernel = match kernels.as_array().map(Vec::as_slice) {
        Some([first, rest @ ..]) if rest.iter().all(|kernel| kernel == first) => first.clone(),
        _ => kernels.clone(),
    };
    let widest = facts.size().into_iter().max().unwrap_or(0);
    let digits = facts.paths().bits() / 3 + 1;
    let listed = options.multiplicity || (widest <= MOST_LISTED && digits.saturating_mul(widest) <= 1 << 23);
    let lines = lines.filter(|_| listed);
    let multiplicity = lines.map(|lines| {
        lines.iter().map(|line| line.iter().map(|count| exact(&count)).collect::<Json>()).collect::<Json>()
    });
    let mut out = json!({
        "schema": 1,
        "command": "gridding",
        "spec": { "name": null, "path": null },
        "kernel": kernel,
        "kernels": kernels,
        "rates": layered(stack, |layer| &layer.rate),
        "strides": layered(stack, |layer| &layer.stride),
        "axes": stack.axes(),
        "jump": facts.axes.iter().map(|axis| axis.jump).collect::<Vec<_>>(),
        "size": facts.size(),
        "covered": exact(&facts.covered()),
        "covered_per_axis": facts.axes.iter().map(|axis| axis.offsets.covered()).collect::<Vec<_>>(),
        "total": exact(&facts.total()),
        "coverage": facts.coverage(),
        "max_gap": facts.max_gap(),
        "max_gap_per_axis": facts.axes.iter().map(|axis| axis.offsets.max_gap()).collect::<Vec<_>>(),
        "hole_free": facts.hole_free(),
        "sub_grids": facts.sub_grids().map(|grids| exact(&grids)),
        "paths": exact(&facts.paths()),
        "breaks": broken.map(|bound| json!({ "rate": bound.step, "largest": bound.largest })),
        "status": "complete",
        "multiplicity": multiplicity,
    });
    if lines.is_none() {
        out["status"] = "partial".into();
        out["left_out"] = json!(["multiplicity: large; ask with --multiplicity"]);
    }
    if options.steps {
        out["steps"] = steps.into();
    }
    out
}
