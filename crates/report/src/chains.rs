//! What `cnnkit gridding SPEC` and `cnnkit hdc-check SPEC` say: every chain of dilated convolutions of a network, the
//! exact coverage of its outputs, and the taps that fall onto the real feature maps.

use serde_json::{Map, Value as Json, json};

use crate::{Block, Cell, Column, Page, Report, Row, StyledText, Table, Tone, gridding, hdc};
use cnnkit_core::analysis::dilated::{Chain, Chains, TapsValid, taps_valid};
use cnnkit_core::analysis::field::Interval as Range;
use cnnkit_core::analysis::gridding::Gridding;
use cnnkit_core::analysis::hdc::Check;
use cnnkit_core::analysis::support::{Borders, support};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, NodeId};

/// Chains whose maps are drawn in full.
const DRAWN: usize = 2;

/// Rates in order, long runs cut: `1, 2, 5`.
fn rates(chain: &Chain) -> String {
    let axes = chain.rates.len();
    let one = |layer: usize| {
        let all: Vec<u64> = (0..axes).map(|axis| chain.rates[axis][layer]).collect();
        if all.iter().all(|&rate| rate == all[0]) {
            all[0].to_string()
        } else {
            all.iter().map(u64::to_string).collect::<Vec<_>>().join("x")
        }
    };
    let shown: Vec<String> = (0..chain.nodes.len().min(16)).map(one).collect();
    let more = chain.nodes.len().saturating_sub(shown.len());
    format!("{}{}", shown.join(","), if more > 0 { format!(",... ({more} more)") } else { String::new() })
}

fn place(graph: &Graph, chain: &Chain) -> String {
    let id = |node: Option<&NodeId>| node.map(|&node| graph.node(node).id.clone()).unwrap_or_default();
    match chain.nodes.len() {
        1 => id(chain.nodes.first()),
        _ => format!("{} ... {}", id(chain.nodes.first()), id(chain.nodes.last())),
    }
}

fn extent(sizes: &[u64]) -> String {
    sizes.iter().map(u64::to_string).collect::<Vec<_>>().join(" x ")
}

/// Chains that read alike, once each, with their number: WaveNet's filters and gates give 2^n chains of the same rates.
fn distinct(chains: &Chains) -> Vec<(&Chain, usize)> {
    let mut list: Vec<(&Chain, usize)> = Vec::new();
    for chain in &chains.chains {
        match list.iter_mut().find(|(other, _)| other.rates == chain.rates && other.kernels == chain.kernels)
        {
            Some((_, count)) => *count += 1,
            None => list.push((chain, 1)),
        }
    }
    list
}

/// The gridding of a network.
pub fn gridding(graph: &Graph, chains: &Chains, options: gridding::Options) -> Result<Report, Problem> {
    let mut page = Page::default();
    page.title_with(format!("Gridding in {}", graph.name), counted(chains));
    let mut table = Table {
        columns: vec![
            Column::text("chain"),
            Column::number("alike").optional(2),
            Column::text("rates"),
            Column::number("box"),
            Column::number("coverage"),
            Column::number("largest gap"),
            Column::number("sub-grids").optional(1),
        ],
        rows: vec![],
    };
    let mut list = Vec::new();
    for (chain, alike) in distinct(chains) {
        let stack = chain.stack()?;
        let facts = Gridding::of(&stack)?;
        let good = facts.hole_free();
        let sub_grids = facts.sub_grids().map_or_else(|| "-".to_owned(), |count| count.to_string());
        table.rows.push(Row::new(vec![
            Cell::toned(place(graph, chain), Tone::Name),
            Cell::count(alike as u64),
            Cell::text(rates(chain)),
            Cell::text(extent(&facts.size())),
            Cell::from(super::Value::Share(facts.coverage())).tone(if good { Tone::Good } else { Tone::Bad }),
            Cell::count(facts.max_gap()),
            Cell::text(sub_grids),
        ]));
        let (report, _) = gridding::report(&stack, &facts, options)?;
        list.push((chain, alike, report));
    }
    if !list.is_empty() {
        page.table(table);
    }
    if list.len() <= DRAWN || options.steps {
        for (_, _, report) in &list {
            page.blocks.extend(report.page.blocks.clone());
        }
    }
    let outputs = outputs(graph, &mut page);
    let taps = taps_valid(graph);
    if !taps.is_empty() {
        page.title_with(
            "Taps on the real feature maps",
            "the rest of each kernel reads padding (Chen et al. 2017, figure 4)",
        );
        page.table(taps_table(graph, &taps));
    }
    page.note(
        "A chain: stride-1 convolutions of one resolution with nothing but pointwise layers and merges between them. \
         Parallel rates (ASPP) are chains of their own.",
    );
    let json = json!({
        "chains": list.iter().map(|(chain, alike, report)| chain_json(graph, chain, *alike, &report.json)).collect::<Vec<_>>(),
        "truncated": chains.truncated,
        "outputs": outputs,
        "taps": taps.iter().map(|taps| taps_json(graph, taps)).collect::<Vec<_>>(),
    });
    Ok(Report { page, json, ok: true })
}

fn counted(chains: &Chains) -> String {
    let more = if chains.truncated { ", more are not listed" } else { "" };
    match chains.chains.len() {
        0 => "no dilated convolution".into(),
        1 => format!("one chain of dilated convolutions{more}"),
        n => format!("{n} chains of dilated convolutions{more}"),
    }
}

/// The keys of a chain's own report without its envelope, behind the ids of its layers.
fn chain_json(graph: &Graph, chain: &Chain, alike: usize, report: &Json) -> Json {
    let ids: Vec<&str> = chain.nodes.iter().map(|&node| graph.node(node).id.as_str()).collect();
    let mut object = Map::new();
    object.insert("nodes".into(), json!(ids));
    object.insert("alike".into(), json!(alike));
    if let Json::Object(keys) = report {
        let own = keys.iter().filter(|(key, _)| !["schema", "command", "spec"].contains(&key.as_str()));
        object.extend(own.map(|(key, value)| (key.clone(), value.clone())));
    }
    Json::Object(object)
}

/// The exact coverage of every output with respect to every input, where the support can be told.
fn outputs(graph: &Graph, page: &mut Page) -> Vec<Json> {
    let mut table = Table {
        columns: vec![
            Column::text("output"),
            Column::text("input"),
            Column::number("box"),
            Column::number("positions read"),
            Column::number("holes"),
            Column::number("coverage"),
        ],
        rows: vec![],
    };
    let mut list = Vec::new();
    for &output in &graph.outputs {
        let node = graph.node(output);
        // A unit in the middle, with the input taken as unbounded.
        let unit: Vec<i128> = node.shape.spatial().iter().map(|&size| i128::from(size / 2)).collect();
        for (input, source) in graph.inputs() {
            let region = match support(graph, output, input, &unit, Borders::Ignored) {
                Ok(region) => region,
                Err(problem) => {
                    page.note(format!("{}: {}", node.id, problem.message));
                    list.push(json!({"id": node.id, "input": source.id, "status": "unavailable", "reason": problem.message}));
                    continue;
                }
            };
            let (Some(hull), Ok(positions)) = (region.hull(), region.positions()) else { continue };
            let area = hull.iter().map(Range::size).try_fold(1i128, i128::checked_mul);
            let Some(area) = area.filter(|&area| area > 0) else { continue };
            let coverage = positions as f64 / area as f64;
            let sizes: Vec<String> = hull.iter().map(|range| range.size().to_string()).collect();
            let count = |value: i128| {
                u64::try_from(value).map_or_else(|_| Cell::text(value.to_string()), Cell::count)
            };
            table.rows.push(Row::new(vec![
                Cell::toned(&node.id, Tone::Name),
                Cell::text(&source.id),
                Cell::text(sizes.join(" x ")),
                count(positions),
                count(area - positions).tone(if area == positions { Tone::Plain } else { Tone::Bad }),
                super::Value::Share(coverage).into(),
            ]));
            list.push(json!({
                "id": node.id, "input": source.id, "status": "complete",
                "size": hull.iter().map(Range::size).collect::<Vec<_>>(),
                "positions": positions, "holes": area - positions, "coverage": coverage,
            }));
        }
    }
    if !table.rows.is_empty() {
        page.title_with("What the outputs read", "exactly, through all paths");
        page.table(table);
    }
    list
}

fn taps_table(graph: &Graph, taps: &[TapsValid]) -> Table {
    let mut table = Table {
        columns: vec![
            Column::text("layer"),
            Column::text("kernel"),
            Column::text("rate"),
            Column::text("map"),
            Column::number("taps on the map"),
            Column::number("all taps"),
            Column::number("one tap only"),
            Column::text("positions by taps, per axis").optional(1),
        ],
        rows: vec![],
    };
    let cross = |list: &[u64]| list.iter().map(u64::to_string).collect::<Vec<_>>().join("x");
    for layer in taps {
        let tone = if layer.single_share > 0.0 { Tone::Bad } else { Tone::Plain };
        table.rows.push(Row::new(vec![
            Cell::toned(&graph.node(layer.node).id, Tone::Name),
            Cell::text(cross(&layer.kernel)),
            Cell::text(cross(&layer.rates)),
            Cell::text(cross(&layer.map)),
            super::Value::Share(layer.mean_share).into(),
            super::Value::Share(layer.full_share).into(),
            Cell::from(super::Value::Share(layer.single_share)).tone(tone),
            Cell::text(classes(layer)),
        ]));
    }
    table
}

/// `8 with 1, 40 with 2, 8 with 3`, once if the axes are alike.
fn classes(layer: &TapsValid) -> String {
    let axis = |list: &Vec<(u64, u64)>| {
        list.iter().map(|(taps, units)| format!("{units} with {taps}")).collect::<Vec<_>>().join(", ")
    };
    let mut texts: Vec<String> = layer.classes.iter().map(axis).collect();
    texts.dedup();
    texts.join(" x ")
}

fn taps_json(graph: &Graph, taps: &TapsValid) -> Json {
    let class = |&(taps, units): &(u64, u64)| json!({"taps": taps, "positions": units});
    let classes: Vec<Vec<Json>> = taps.classes.iter().map(|axis| axis.iter().map(class).collect()).collect();
    json!({
        "id": graph.node(taps.node).id, "kernel": taps.kernel, "rates": taps.rates, "map": taps.map,
        "classes": classes, "mean_share": taps.mean_share, "full_share": taps.full_share, "single_share": taps.single_share,
    })
}

/// The HDC check of a network: every chain against the rule (where it applies) and the truth.
pub fn hdc(graph: &Graph, chains: &Chains, strict: hdc::Strict, explain: bool) -> Result<Report, Problem> {
    let mut page = Page::default();
    page.title_with(format!("HDC check of {}", graph.name), counted(chains));
    let mut list = Vec::new();
    let mut ok = true;
    for (chain, alike) in distinct(chains) {
        let others =
            if alike > 1 { format!(", and {} chains of the same rates", alike - 1) } else { String::new() };
        let layers = StyledText::new(place(graph, chain), Tone::Name);
        page.push(Block::Text(vec![StyledText::plain("layers "), layers, StyledText::plain(others)]));
        let report = match chain.uniform() {
            Some((kernel, rates)) => {
                let check = Check::of(kernel, &[rates], chain.rates.len())?;
                hdc::report(&check, strict, explain, None)
            }
            None => mixed(chain, strict)?,
        };
        ok &= report.ok;
        page.blocks.extend(report.page.blocks);
        list.push(chain_json(graph, chain, alike, &report.json));
    }
    if chains.chains.is_empty() {
        page.text("no dilated convolution, so nothing can fail");
    }
    Ok(Report { page, json: json!({"chains": list, "truncated": chains.truncated, "ok": ok}), ok })
}

/// A chain of several kernel sizes: only the exact verdict exists.
fn mixed(chain: &Chain, strict: hdc::Strict) -> Result<Report, Problem> {
    let facts = Gridding::of(&chain.stack()?)?;
    let hole_free = facts.hole_free();
    let ok = hole_free || strict == hdc::Strict::Rule;
    let mut page = Page::default();
    page.title_with(format!("HDC check of rates {}", rates(chain)), "kernels of several sizes");
    let (word, tone) = if hole_free { ("hole-free", Tone::Good) } else { ("holes", Tone::Bad) };
    page.push(Block::Text(vec![
        StyledText::new(word, tone),
        StyledText::plain(format!(
            ": exactly {} of the box is read, the largest gap is {}; the published rule knows one kernel size and does not apply",
            cnnkit_core::number::share(facts.coverage()),
            facts.max_gap()
        )),
    ]));
    let json = json!({
        "rates": chain.rates, "kernel": chain.kernels, "rule_ok": null,
        "exact": {"hole_free": hole_free, "coverage": facts.coverage(), "max_gap": facts.max_gap()},
        "agrees": null, "ok": ok,
    });
    Ok(Report { page, json, ok })
}
