//! What `cnnkit paths` says: a network as an ensemble of paths.

use num_bigint::BigUint;
use num_traits::ToPrimitive as _;
use serde_json::{Value as Json, json};

use crate::{Block, Cell, Column, Fact, Page, Report, Row, StyledText, Table, Tone, Value};
use cnnkit_core::analysis::paths::{DenseBlock, Distribution, Paths, Seen, dense_blocks, paths, share};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::Graph;
use cnnkit_core::number;

/// Most rows of a chart; neighbouring lengths are taken together beyond.
const MOST_BARS: usize = 24;
/// Columns of the longest bar.
const BAR: usize = 44;

/// The report.
pub fn report(graph: &Graph) -> Result<Report, Problem> {
    let all = paths(graph)?;
    let dense = dense_blocks(graph);
    let mut page = Page::default();
    let mut outputs = Vec::new();
    for found in &all {
        page.title_with(format!("Paths of {}", graph.name), format!("to {}", graph.node(found.output).id));
        page.push(Block::Facts(facts(found)));
        if let Some(modules) = found.modules.as_ref().filter(|_| found.residual_modules > 0) {
            page.title_with("By residual modules crossed", binomial(found, modules));
            page.push(Block::Drawing(chart(modules, &found.count)));
        }
        if let Some(lengths) = found.lengths.as_ref().filter(|lengths| lengths.len() > 1) {
            page.title_with("By layers with weights", "convolutions and linear layers on the path");
            page.push(Block::Drawing(chart(lengths, &found.count)));
        }
        if let Some(fields) = found.fields.as_ref().filter(|fields| fields.len() > 1) {
            page.title_with("By receptive field", "what the single path sees");
            page.table(field_table(fields, &found.count));
        }
        if found.residual_modules > 0
            && let Some(short) = found.short_share()
        {
            page.push(Block::Text(vec![StyledText::plain(format!(
                "Identity shortcuts make this an ensemble: {} of the paths cross fewer than half of the {} layers of the longest.",
                number::share(short),
                found.depth().unwrap_or(0)
            ))]));
        }
        outputs.push(to_json(graph, found));
    }
    if !dense.is_empty() {
        page.title_with("Dense blocks", "L layers have L (L + 1) / 2 direct connections (Huang et al. 2017)");
        page.table(dense_table(graph, &dense));
    }
    page.note("A path: a sequence of nodes from an input to an output; a node that reads the same tensor twice doubles the paths.");
    let dense: Vec<Json> = dense
        .iter()
        .map(|block| {
            json!({
                "first": graph.node(block.first).id, "last": graph.node(block.last).id,
                "layers": block.layers, "connections": block.connections,
            })
        })
        .collect();
    Ok(Report { page, json: json!({"outputs": outputs, "dense_blocks": dense}), ok: true })
}

fn facts(found: &Paths) -> Vec<Fact> {
    let digits = found.count.to_string();
    // A number of a hundred digits is exact in the JSON; here its size is what can be read.
    let shown = if digits.len() <= 40 {
        number::group_digits(&digits)
    } else {
        format!("{}.{}e{}", &digits[..1], &digits[1..5], digits.len() - 1)
    };
    let mut facts = vec![Fact::new("paths", Cell::text(shown)).remark(power_of_two(&found.count))];
    if found.residual_modules > 0 {
        facts.push(Fact::new("residual modules", Value::Count(found.residual_modules)));
    }
    if let Some(lengths) = &found.lengths {
        let (least, most) = (lengths.keys().next().copied(), lengths.keys().next_back().copied());
        facts.push(Fact::new("shortest", Value::Count(least.unwrap_or(0))).remark("layers with weights"));
        facts.push(Fact::new("longest", Value::Count(most.unwrap_or(0))).remark("layers with weights"));
    }
    if let Some(mean) = found.mean_length() {
        facts.push(Fact::new("mean length", Value::Number(mean, 2)));
    }
    facts
}

/// `= 2^16`, if it is.
fn power_of_two(count: &BigUint) -> String {
    if count.bits() > 1 && count.count_ones() == 1 {
        format!("= 2^{}", count.bits() - 1)
    } else {
        String::new()
    }
}

/// Whether the lengths are binomial, as those of `n` modules in a row are.
fn binomial(found: &Paths, modules: &Distribution<u64>) -> String {
    let n = found.residual_modules;
    let mut expected = BigUint::from(1u32);
    for k in 0..=n {
        if modules.get(&k) != Some(&expected) {
            return "not binomial: the modules are not all in a row".into();
        }
        expected = expected * BigUint::from(n - k) / BigUint::from(k + 1);
    }
    format!("binomial ({n}, 1/2): every module may be taken or skipped (Veit et al. 2016)")
}

/// One bar a length, or a range of lengths.
fn chart(distribution: &Distribution<u64>, total: &BigUint) -> Vec<Vec<StyledText>> {
    let (Some(&low), Some(&high)) = (distribution.keys().next(), distribution.keys().next_back()) else {
        return vec![];
    };
    let step = (high - low + 1).div_ceil(MOST_BARS as u64).max(1);
    let bars: Vec<(u64, u64, f64)> = (0..=(high - low) / step)
        .map(|i| low + i * step)
        .map(|from| {
            let to = (from + step - 1).min(high);
            let count: BigUint = distribution.range(from..=to).map(|(_, count)| count).sum();
            (from, to, share(&count, total))
        })
        .collect();
    let most = bars.iter().map(|&(_, _, share)| share).fold(0.0, f64::max);
    let label = |from: u64, to: u64| if from == to { from.to_string() } else { format!("{from}-{to}") };
    let width = bars.iter().map(|&(from, to, _)| label(from, to).len()).max().unwrap_or(0);
    bars.iter()
        .map(|&(from, to, part)| {
            let eighths = (part / most.max(f64::MIN_POSITIVE) * (BAR * 8) as f64).round() as usize;
            let tail = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
            let bar = format!("{}{tail}", "█".repeat(eighths / 8));
            // A length that has paths is never drawn as if it had none.
            let bar = if bar.is_empty() && part > 0.0 { "▏".to_owned() } else { bar };
            vec![
                StyledText::plain(format!("{:>width$}  ", label(from, to))),
                StyledText::new(format!("{bar:<BAR$}"), Tone::Name),
                StyledText::new(format!("  {}", number::share(part)), Tone::Quiet),
            ]
        })
        .collect()
}

fn seen(axes: &[Seen]) -> String {
    let one = |axis: &Seen| match axis {
        Seen::Size(size) => size.to_string(),
        Seen::Whole => "all".into(),
    };
    axes.iter().map(one).collect::<Vec<_>>().join(" x ")
}

fn field_table(fields: &Distribution<Vec<Seen>>, total: &BigUint) -> Table {
    let mut table = Table {
        columns: vec![Column::text("receptive field"), Column::number("paths"), Column::number("share")],
        rows: vec![],
    };
    const SHOWN: usize = 16;
    let hidden = fields.len().saturating_sub(SHOWN);
    let mut list: Vec<(&Vec<Seen>, &BigUint)> = fields.iter().collect();
    if hidden > 0 {
        // The most frequent ones, in the order of their sizes.
        list.sort_by(|a, b| b.1.cmp(a.1));
        list.truncate(SHOWN);
        list.sort_by(|a, b| a.0.cmp(b.0));
    }
    for (axes, count) in list {
        let paths = count.to_u64().map_or_else(
            || Cell::text(format!("{:.3e}", count.to_f64().unwrap_or(f64::INFINITY))),
            Cell::count,
        );
        table.rows.push(Row::new(vec![
            Cell::text(seen(axes)),
            paths,
            Value::Share(share(count, total)).into(),
        ]));
    }
    if hidden > 0 {
        let cells = vec![Cell::toned(format!("... {hidden} rarer sizes"), Tone::Quiet)];
        table.rows.push(Row { cells, rule_above: false, summary: true });
    }
    table
}

fn dense_table(graph: &Graph, blocks: &[DenseBlock]) -> Table {
    let mut table = Table {
        columns: vec![
            Column::text("first concat"),
            Column::text("last concat"),
            Column::number("layers"),
            Column::number("direct connections"),
        ],
        rows: vec![],
    };
    for block in blocks {
        table.rows.push(Row::new(vec![
            Cell::toned(&graph.node(block.first).id, Tone::Name),
            Cell::toned(&graph.node(block.last).id, Tone::Name),
            Cell::count(block.layers),
            Cell::count(block.connections),
        ]));
    }
    table
}

/// An exact integer of any size as a JSON number.
fn big(count: &BigUint) -> Json {
    serde_json::from_str(&count.to_string()).unwrap_or(Json::Null)
}

fn to_json(graph: &Graph, found: &Paths) -> Json {
    let list = |distribution: &Option<Distribution<u64>>| match distribution {
        None => Json::Null,
        Some(list) => Json::Array(
            list.iter().map(|(length, count)| json!({"length": length, "paths": big(count)})).collect(),
        ),
    };
    let fields = match &found.fields {
        None => Json::Null,
        Some(list) => {
            let size = |axis: &Seen| match axis {
                Seen::Size(size) => json!(size),
                Seen::Whole => json!("all"),
            };
            let entry = |(axes, count): (&Vec<Seen>, &BigUint)| json!({"size": axes.iter().map(size).collect::<Vec<_>>(), "paths": big(count)});
            Json::Array(list.iter().map(entry).collect())
        }
    };
    json!({
        "id": graph.node(found.output).id,
        "paths": big(&found.count),
        "residual_modules": found.residual_modules,
        "depth": found.depth(),
        "mean_length": found.mean_length(),
        "short_share": found.short_share(),
        "lengths": list(&found.lengths),
        "modules": list(&found.modules),
        "fields": fields,
    })
}
