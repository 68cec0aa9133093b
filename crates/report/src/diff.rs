//! What `cnnkit diff` says: what a change does to a network, in total and block by block.

use std::collections::BTreeMap;

use num_traits::{Signed as _, ToPrimitive as _};
use serde_json::{Value as Json, json};

use super::{Block, Cell, Column, Page, Report, Row, StyledText, Table, Tone};
use cnnkit_check::Condition;
use cnnkit_check::rules::Facts;
use cnnkit_check::rules::quantity::{
    Better, EXPECTABLE, Expectable, Found, Subject, Unit, measure, show, show_found,
};
use cnnkit_core::analysis::totals::{self, Counts};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, Op};
use cnnkit_core::number;
use cnnkit_core::value::{Number, show_number};

/// Quantities that are shown, those that may be slow left out.
const SHOWN: [&str; 13] = [
    "params",
    "buffers",
    "macs",
    "other_ops",
    "flops",
    "memory",
    "activations",
    "weights",
    "depth",
    "layers",
    "output",
    "receptive_field",
    "jump",
];

/// One quantity on both sides; a side that has none says why.
struct Pair {
    quantity: &'static Expectable,
    old: Result<Found, Problem>,
    new: Result<Found, Problem>,
}

/// One block on both sides.
struct Change {
    id: String,
    old: Option<Counts>,
    new: Option<Counts>,
}

/// The change from `old` to `new`; not all is well if one of `conditions` is met.
pub fn report(
    names: [&str; 2],
    [old, new]: [&Facts<'_>; 2],
    conditions: &[Condition],
) -> Result<Report, Problem> {
    let pair = |name: &str| {
        let quantity = EXPECTABLE.iter().find(|quantity| quantity.name == name)?;
        let of = |facts| measure(facts, &Subject::Network, quantity);
        Some(Pair { quantity, old: of(old), new: of(new) })
    };
    let pairs: Vec<Pair> = SHOWN.iter().filter_map(|name| pair(name)).collect();
    let changes = changes(old.graph, new.graph);
    let mut met = Vec::new();
    for condition in conditions {
        let numbers = |facts| match measure(facts, &Subject::Network, condition.quantity()) {
            Ok(Found::Numbers(numbers)) => Ok(numbers),
            Ok(Found::Flag(_)) => Ok(vec![]),
            Err(problem) => Err(problem),
        };
        if condition.met(&numbers(old)?, &numbers(new)?) {
            met.push(condition.text.clone());
        }
    }
    let mut page = Page::default();
    let title = format!("{} -> {}", names[0], names[1]);
    if same(&pairs, &changes) {
        page.title_with(title, "no difference");
    } else {
        page.title(title);
    }
    page.table(totals_table(&pairs));
    if !changes.is_empty() {
        page.table(blocks_table(&changes));
    }
    for condition in &met {
        page.push(Block::Text(vec![StyledText::new(format!("`{condition}` is met"), Tone::Bad)]));
    }
    page.note(
        "Blocks: the first part of the layers' ids; only those that differ. Memory: activations alive at the worst step, f32. \
         RF: of the output, or of the last feature map that does not see everything.",
    );
    let json = json!({
        "old": names[0], "new": names[1],
        "quantities": pairs.iter().map(pair_json).collect::<Vec<_>>(),
        "blocks": changes.iter().map(|change| json!({
            "id": change.id, "old": change.old.map(counts_json), "new": change.new.map(counts_json),
        })).collect::<Vec<_>>(),
        "met": met,
        "ok": met.is_empty(),
    });
    let ok = met.is_empty();
    Ok(Report { page, json, ok })
}

fn same(pairs: &[Pair], changes: &[Change]) -> bool {
    changes.is_empty() && pairs.iter().all(|pair| pair.old.as_ref().ok() == pair.new.as_ref().ok())
}

/// Blocks whose counts or layers differ, in the order of the new network, removed ones last.
fn changes(old: &Graph, new: &Graph) -> Vec<Change> {
    let (before, after) = (blocks(old), blocks(new));
    let mut order: Vec<String> = Vec::new();
    for graph in [new, old] {
        for node in &graph.nodes {
            let id = first(&node.id);
            if node.op != Op::Input && !order.iter().any(|known| known == id) {
                order.push(id.to_owned());
            }
        }
    }
    let change = |id: String| {
        let (old, new) = (before.get(id.as_str()), after.get(id.as_str()));
        (old != new).then(|| Change { old: old.map(|b| b.counts), new: new.map(|b| b.counts), id })
    };
    order.into_iter().filter_map(change).collect()
}

/// A block: what it costs, and what its layers are.
#[derive(Default, PartialEq)]
struct Part {
    counts: Counts,
    layers: Vec<String>,
}

fn blocks(graph: &Graph) -> BTreeMap<&str, Part> {
    let mut blocks: BTreeMap<&str, Part> = BTreeMap::new();
    for node in &graph.nodes {
        let Op::Layer(layer) = &node.op else { continue };
        let part = blocks.entry(first(&node.id)).or_default();
        part.counts = part.counts.plus(totals::of_node(node));
        part.layers.push(format!("{} {} {}", layer.doc().name, layer.describe(), node.shape));
    }
    blocks
}

/// The first part of an id: `stage2` of `stage2.bottleneck1.conv2`.
fn first(id: &str) -> &str {
    id.split('.').next().unwrap_or(id)
}

fn totals_table(pairs: &[Pair]) -> Table {
    let row = |pair: &Pair| {
        let cell = |found: &Result<Found, Problem>| {
            found
                .as_ref()
                .map_or_else(|_| Cell::toned("-", Tone::Quiet), |found| value(pair.quantity.unit, found))
        };
        let (text, share, tone) = difference(pair);
        Row::new(vec![
            Cell::toned(pair.quantity.name, Tone::Name),
            cell(&pair.old),
            cell(&pair.new),
            Cell::toned(text, tone),
            Cell::toned(share, tone),
        ])
    };
    Table {
        columns: vec![
            Column::text("quantity"),
            Column::number("old"),
            Column::number("new"),
            Column::number("change"),
            Column::number("%"),
        ],
        rows: pairs.iter().map(row).collect(),
    }
}

fn value(unit: Unit, found: &Found) -> Cell {
    let whole = match found {
        Found::Numbers(numbers) => match numbers.as_slice() {
            [only] if only.is_integer() => only.to_integer().to_u64(),
            _ => None,
        },
        Found::Flag(_) => None,
    };
    match (unit, whole) {
        (Unit::Bytes, Some(bytes)) => Cell::bytes(bytes),
        (Unit::Count, Some(count)) => Cell::count(count),
        _ => Cell::text(show_found(unit, found)),
    }
}

/// The change with its sign, its share of the old value, and whether it is an improvement.
fn difference(pair: &Pair) -> (String, String, Tone) {
    let (Ok(Found::Numbers(old)), Ok(Found::Numbers(new))) = (&pair.old, &pair.new) else {
        return (String::new(), String::new(), Tone::Plain);
    };
    if old == new {
        return ("=".into(), String::new(), Tone::Quiet);
    }
    let (Some(old), Some(new), true) =
        (old.first(), new.first(), old.len() == new.len() && pair.quantity.unit != Unit::Shape)
    else {
        return ("changed".into(), String::new(), Tone::Warn);
    };
    let change = new - old;
    let tone = match pair.quantity.better {
        Some(Better::Less) if change.is_negative() => Tone::Good,
        Some(Better::More) if change.is_positive() => Tone::Good,
        Some(_) if change != Number::from_integer(0) => Tone::Warn,
        _ => Tone::Plain,
    };
    let sign = if change.is_negative() { "-" } else { "+" };
    let amount = match (pair.quantity.unit, change.abs().to_integer().to_u64()) {
        (Unit::Bytes, Some(bytes)) => number::bytes(bytes),
        (unit, _) => show(unit, &change.abs()),
    };
    let share = if *old > Number::from_integer(0) {
        let share = (change.abs() / old).to_f64().unwrap_or(0.0);
        let share = number::share(share);
        if share.starts_with('<') { share } else { format!("{sign}{share}") }
    } else {
        String::new()
    };
    (format!("{sign}{amount}"), share, tone)
}

fn blocks_table(changes: &[Change]) -> Table {
    let row = |change: &Change| {
        let cells = |pick: fn(&Counts) -> u64, show: fn(u64) -> Cell| {
            let side = |counts: &Option<Counts>| {
                counts.as_ref().map_or_else(Cell::default, |counts| show(pick(counts)))
            };
            let (old, new) = (change.old.as_ref().map_or(0, pick), change.new.as_ref().map_or(0, pick));
            let (sign, tone) = match new.cmp(&old) {
                std::cmp::Ordering::Less => ("-", Tone::Good),
                std::cmp::Ordering::Equal => ("=", Tone::Quiet),
                std::cmp::Ordering::Greater => ("+", Tone::Warn),
            };
            let text = match (&change.old, &change.new) {
                (None, _) => "new".to_owned(),
                (_, None) => "gone".to_owned(),
                _ if old == new => "=".to_owned(),
                _ => format!("{sign}{}", number::magnitude(new.abs_diff(old))),
            };
            [side(&change.old), side(&change.new), Cell::toned(text, tone)]
        };
        let mut row = vec![Cell::toned(change.id.as_str(), Tone::Name)];
        row.extend(cells(|counts| counts.params, Cell::count));
        row.extend(cells(|counts| counts.macs, Cell::magnitude));
        Row::new(row)
    };
    Table {
        columns: vec![
            Column::text("block"),
            Column::number("params, old"),
            Column::number("new"),
            Column::number("change"),
            Column::number("MACs, old"),
            Column::number("new "),
            Column::number("change "),
        ],
        rows: changes.iter().map(row).collect(),
    }
}

fn counts_json(counts: Counts) -> Json {
    json!({"params": counts.params, "buffers": counts.buffers, "macs": counts.macs, "flops": counts.flops()})
}

fn pair_json(pair: &Pair) -> Json {
    let plain = |number: &Number| {
        let text = show_number(number);
        text.parse::<serde_json::Number>().map_or_else(|_| Json::String(text), Json::Number)
    };
    let all = |found: &Result<Found, Problem>| match found {
        Ok(Found::Numbers(numbers)) => match numbers.as_slice() {
            [only] if pair.quantity.unit != Unit::Shape => plain(only),
            several => several.iter().map(plain).collect(),
        },
        Ok(Found::Flag(flag)) => (*flag).into(),
        Err(_) => Json::Null,
    };
    json!({"name": pair.quantity.name, "old": all(&pair.old), "new": all(&pair.new)})
}
