//! The summary of `cnnkit diff`: the effect of a change on a network, in total and block by block.

pub mod revised;

use std::collections::{BTreeMap, HashSet};

use num_traits::{Signed as _, ToPrimitive as _};
use schemars::JsonSchema;
use serde::Serialize;

use self::revised::RevisedNetwork;
use super::exact::Decimal;
use super::imported::{Import, Status, StatusAndImport};
use super::{Block, Cell, Column, Page, Row, Scale, StyledText, Summary, Table, Tone, Value};
use cnnkit_core::analysis::totals::{self, Counts};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, Op};
use cnnkit_core::value::Number;
use cnnkit_findings::Condition;
use cnnkit_findings::Facts;
use cnnkit_findings::quantity::{
    Better, Expectable, Found, Quantity, Subject, Unit, measure, show, show_found,
};

/// Quantities that are shown, those that may be slow left out.
pub(crate) const SHOWN: [Quantity; 13] = [
    Quantity::Params,
    Quantity::Buffers,
    Quantity::Macs,
    Quantity::OtherOps,
    Quantity::Flops,
    Quantity::Memory,
    Quantity::Activations,
    Quantity::Weights,
    Quantity::Depth,
    Quantity::Layers,
    Quantity::Output,
    Quantity::ReceptiveField,
    Quantity::Jump,
];

/// The change from one network to another.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DiffSummary {
    /// The old SPEC, with its git revision if it has one.
    pub old: String,
    /// The new SPEC.
    pub new: String,
    /// Quantities of the whole network on both sides.
    pub quantities: Vec<DiffQuantity>,
    /// Blocks that differ, in the order of the new network, removed ones last.
    pub blocks: Vec<DiffBlock>,
    /// The `--fail-if` conditions that are met.
    pub met: Vec<String>,
    /// Whether no condition is met.
    pub ok: bool,
    /// `partial` if a figure of a model depends on an operator that is not analysed, else absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Remarks about the sides that are models; absent if neither is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imported: Option<DiffImported>,
    /// With `--git`: the network and what became of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<RevisedNetwork>,
}

/// Remarks about the imported sides of a comparison.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DiffImported {
    /// Remarks about the old network; absent if it is a spec.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<StatusAndImport>,
    /// Remarks about the new network; absent if it is a spec.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<StatusAndImport>,
}

/// The changes of a project's networks since a git revision.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DiffsSummary {
    /// One entry for each network that is on both sides and changed, or was named in the call.
    pub results: Vec<DiffSummary>,
    /// Every network that was compared, and what became of it.
    pub networks: Vec<RevisedNetwork>,
    /// Whether no condition is met anywhere.
    pub ok: bool,
    /// The revision, as the call names it.
    #[serde(skip)]
    pub revision: String,
    /// Whether the networks were named, so that each is shown in full.
    #[serde(skip)]
    pub named: bool,
}

/// A quantity on both sides.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DiffQuantity {
    /// Its name, as in `--fail-if`; docs/check.md lists them with their units.
    pub name: &'static str,
    /// The old value; null if it cannot be computed.
    pub old: Option<DiffValue>,
    /// The new value; null if it cannot be computed.
    pub new: Option<DiffValue>,
    /// What was measured.
    #[serde(skip)]
    pub pair: Pair,
}

/// A value: a number, several for a shape or one per axis, or a truth value.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum DiffValue {
    /// A number.
    One(Decimal),
    /// A shape, or one number per axis.
    Several(Vec<Decimal>),
    /// A truth value.
    Flag(bool),
}

/// A block on both sides: the layers whose ids begin with the same part.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DiffBlock {
    /// The first part of the layers' ids.
    pub id: String,
    /// Its figures in the old network; null if it is new.
    pub old: Option<DiffCounts>,
    /// Its figures in the new network; null if it was removed.
    pub new: Option<DiffCounts>,
}

/// The figures of a block.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct DiffCounts {
    /// Learnable elements.
    #[schemars(extend("unit" = "elements"))]
    pub params: u64,
    /// Stored elements that are not learned.
    #[schemars(extend("unit" = "elements"))]
    pub buffers: u64,
    /// Multiply-accumulates.
    #[schemars(extend("unit" = "MACs"))]
    pub macs: u64,
    /// 2 x MACs + other ops.
    #[schemars(extend("unit" = "FLOPs"))]
    pub flops: u64,
}

/// A quantity measured on both sides; a side that has none tells why.
#[derive(Debug, Clone)]
pub struct Pair {
    quantity: &'static Expectable,
    old: Result<Found, Problem>,
    new: Result<Found, Problem>,
}

impl Pair {
    /// A quantity with its values.
    pub(crate) fn new(quantity: Quantity, old: Result<Found, Problem>, new: Result<Found, Problem>) -> Self {
        Self { quantity: quantity.expectable(), old, new }
    }

    /// The old value and the new one.
    pub(crate) fn sides(&self) -> [&Result<Found, Problem>; 2] {
        [&self.old, &self.new]
    }

    /// The unit of the values.
    pub(crate) fn unit(&self) -> Unit {
        self.quantity.unit
    }

    /// Whether both sides have the same value, or none.
    pub(crate) fn same(&self) -> bool {
        self.old.as_ref().ok() == self.new.as_ref().ok()
    }
}

/// Computes the change from `old` to `new`; it fails if one of `conditions` is met. The imports are what there is to say about
/// the sides that are models.
pub fn summary(
    names: [&str; 2],
    [old, new]: [&Facts<'_>; 2],
    conditions: &[Condition],
    [old_import, new_import]: [Option<Import>; 2],
) -> Result<DiffSummary, Problem> {
    let quantity = |quantity: &Quantity| {
        let of = |facts| measure(facts, &Subject::Network, *quantity);
        Pair::new(*quantity, of(old), of(new)).into()
    };
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
    let partial = [&old_import, &new_import].into_iter().flatten().any(|import| import.partial);
    Ok(DiffSummary {
        old: names[0].to_owned(),
        new: names[1].to_owned(),
        quantities: SHOWN.iter().map(quantity).collect(),
        blocks: changes(old.graph, new.graph),
        ok: met.is_empty(),
        met,
        status: partial.then_some(Status::Partial),
        imported: (old_import.is_some() || new_import.is_some())
            .then(|| DiffImported { old: old_import.map(Into::into), new: new_import.map(Into::into) }),
        networks: vec![],
    })
}

impl From<Pair> for DiffQuantity {
    fn from(pair: Pair) -> Self {
        let value = |found: &Result<Found, Problem>| match found {
            Ok(Found::Numbers(numbers)) => Some(match numbers.as_slice() {
                [only] if pair.quantity.unit != Unit::Shape => DiffValue::One(Decimal(*only)),
                several => DiffValue::Several(several.iter().copied().map(Decimal).collect()),
            }),
            Ok(Found::Flag(flag)) => Some(DiffValue::Flag(*flag)),
            Err(_) => None,
        };
        Self { name: pair.quantity.name, old: value(&pair.old), new: value(&pair.new), pair }
    }
}

impl From<Counts> for DiffCounts {
    fn from(counts: Counts) -> Self {
        Self { params: counts.params, buffers: counts.buffers, macs: counts.macs, flops: counts.flops() }
    }
}

impl DiffsSummary {
    /// The summary of `networks` since `revision`; `results` are in full. They were `named` in the call, or found.
    pub fn new(
        results: Vec<DiffSummary>,
        networks: Vec<RevisedNetwork>,
        revision: &str,
        named: bool,
    ) -> Self {
        let ok = networks.iter().all(|network| network.met.is_empty());
        Self { results, networks, ok, revision: revision.to_owned(), named }
    }
}

impl Summary for DiffSummary {
    const COMMAND: &'static str = "diff";

    fn page(&self) -> Page {
        let mut page = Page::default();
        let title = format!("{} -> {}", self.old, self.new);
        if self.same() {
            page.title_with(title, "no difference");
        } else {
            page.title(title);
        }
        page.table(totals_table(&self.quantities));
        if !self.blocks.is_empty() {
            page.table(blocks_table(&self.blocks));
        }
        for condition in &self.met {
            page.push(Block::Text(vec![StyledText::new(format!("fails: `{condition}` holds"), Tone::Bad)]));
        }
        page.note(
            "Blocks: the first part of the layers' ids; only those that differ. Memory: activations alive at the worst step, f32. \
             Receptive field: of the output, or of the last feature map that does not see everything.",
        );
        for import in self.imported.iter().flat_map(|sides| [&sides.old, &sides.new]).flatten() {
            import.explain(&mut page);
        }
        page
    }

    fn passed(&self) -> bool {
        self.ok
    }

    fn partial(&self) -> bool {
        self.status == Some(Status::Partial)
    }
}

impl Summary for DiffsSummary {
    const COMMAND: &'static str = "diff";

    fn page(&self) -> Page {
        let mut page = Page::default();
        revised::section(&mut page, &self.networks, &self.revision);
        for result in self.results.iter().filter(|result| self.named && !result.same()) {
            page.blocks.extend(result.page().blocks);
        }
        page
    }

    fn passed(&self) -> bool {
        self.ok
    }

    fn partial(&self) -> bool {
        self.results.iter().any(Summary::partial)
    }
}

impl DiffSummary {
    /// Whether nothing differs.
    pub fn same(&self) -> bool {
        self.blocks.is_empty() && self.quantities.iter().all(|quantity| quantity.pair.same())
    }
}

/// Returns the blocks whose counts or layers differ, in the order of the new network, removed ones last.
fn changes(old: &Graph, new: &Graph) -> Vec<DiffBlock> {
    let (before, after) = (blocks(old), blocks(new));
    let mut order: Vec<String> = Vec::new();
    let mut known: HashSet<&str> = HashSet::new();
    for graph in [new, old] {
        for node in graph.nodes() {
            let id = first(&node.id);
            if node.op != Op::Input && known.insert(id) {
                order.push(id.to_owned());
            }
        }
    }
    let change = |id: String| {
        let (old, new) = (before.get(id.as_str()), after.get(id.as_str()));
        let counts = |part: Option<&Part>| part.map(|part| part.counts.into());
        (old != new).then(|| DiffBlock { old: counts(old), new: counts(new), id })
    };
    order.into_iter().filter_map(change).collect()
}

/// A block: its costs and its layers.
#[derive(Default, PartialEq)]
struct Part {
    counts: Counts,
    layers: Vec<String>,
}

fn blocks(graph: &Graph) -> BTreeMap<&str, Part> {
    let mut blocks: BTreeMap<&str, Part> = BTreeMap::new();
    for node in graph.nodes() {
        let Op::Layer(layer) = &node.op else { continue };
        let part = blocks.entry(first(&node.id)).or_default();
        part.counts = part.counts.plus(totals::of_node(node));
        part.layers.push(format!("{} {} {}", layer.doc().name, layer.describe(), node.shape));
    }
    blocks
}

/// Returns the first part of an id: `stage2` of `stage2.bottleneck1.conv2`.
fn first(id: &str) -> &str {
    id.split('.').next().unwrap_or(id)
}

fn totals_table(quantities: &[DiffQuantity]) -> Table {
    let row = |DiffQuantity { pair, .. }: &DiffQuantity| {
        let cell = |found: &Result<Found, Problem>| {
            found.as_ref().map_or_else(|_| Cell::missing(), |found| value(pair.quantity.unit, found))
        };
        let [change, share] = difference(pair);
        Row::new(vec![
            Cell::toned(pair.quantity.name, Tone::Name),
            cell(&pair.old),
            cell(&pair.new),
            change,
            share,
        ])
    };
    Table {
        name: "quantities",
        columns: vec![
            Column::text("quantity"),
            Column::number("old"),
            Column::number("new"),
            Column::number("change"),
            Column::number("%").key("relative change"),
        ],
        rows: quantities.iter().map(row).collect(),
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
        (Unit::Shape, _) | (_, None) => Cell::text(show_found(unit, found)),
        (_, Some(count)) => Cell::written(show_found(unit, found), count),
    }
}

/// The change with its sign and its share of the old value, toned by whether it is an improvement.
fn difference(pair: &Pair) -> [Cell; 2] {
    let (Ok(Found::Numbers(old)), Ok(Found::Numbers(new))) = (&pair.old, &pair.new) else {
        return [Cell::default(), Cell::default()];
    };
    if old == new {
        return [Cell::from(Value::Change(0, Scale::Count)).tone(Tone::Quiet), Cell::default()];
    }
    let (Some(old), Some(new), true) =
        (old.first(), new.first(), old.len() == new.len() && pair.quantity.unit != Unit::Shape)
    else {
        return [Cell::toned("changed", Tone::Warn), Cell::default()];
    };
    let change = new - old;
    let tone = match pair.quantity.better {
        Some(Better::Less) if change.is_negative() => Tone::Good,
        Some(Better::More) if change.is_positive() => Tone::Good,
        Some(_) => Tone::Warn,
        None => Tone::Plain,
    };
    let amount = match (pair.quantity.unit, change.is_integer()) {
        (Unit::Bytes, true) => Value::Change(change.to_integer(), Scale::Bytes).into(),
        (Unit::Count, true) => Value::Change(change.to_integer(), Scale::Count).into(),
        (unit, _) => {
            let sign = if change.is_negative() { "-" } else { "+" };
            Cell::written(format!("{sign}{}", show(unit, &change.abs())), change.to_f64().unwrap_or(f64::NAN))
        }
    };
    let share = if *old > Number::from_integer(0) {
        Value::ChangeShare((change / old).to_f64().unwrap_or(0.0)).into()
    } else {
        Cell::default()
    };
    [amount.tone(tone), share.tone(tone)]
}

fn blocks_table(blocks: &[DiffBlock]) -> Table {
    let row = |change: &DiffBlock| {
        let cells = |pick: fn(&DiffCounts) -> u64, show: fn(u64) -> Cell, scale: Scale| {
            let side = |counts: &Option<DiffCounts>| {
                counts.as_ref().map_or_else(Cell::default, |counts| show(pick(counts)))
            };
            let (old, new) = (change.old.as_ref().map_or(0, pick), change.new.as_ref().map_or(0, pick));
            let tone = match new.cmp(&old) {
                std::cmp::Ordering::Less => Tone::Good,
                std::cmp::Ordering::Equal => Tone::Quiet,
                std::cmp::Ordering::Greater => Tone::Warn,
            };
            let difference = Value::Change(i128::from(new) - i128::from(old), scale);
            [side(&change.old), side(&change.new), Cell::from(difference).tone(tone)]
        };
        let status = match (&change.old, &change.new) {
            (None, _) => Cell::toned("new", Tone::Warn),
            (_, None) => Cell::toned("gone", Tone::Warn),
            _ => Cell::text("changed"),
        };
        let mut row = vec![Cell::toned(change.id.as_str(), Tone::Name), status];
        row.extend(cells(|counts| counts.params, Cell::count, Scale::Magnitude));
        row.extend(cells(|counts| counts.macs, Cell::magnitude, Scale::Magnitude));
        Row::new(row)
    };
    Table {
        name: "blocks",
        columns: vec![
            Column::text("block"),
            Column::text("status"),
            Column::number("params, old").key("params old"),
            Column::number("new").key("params new"),
            Column::number("change").key("params change"),
            Column::number("MACs, old").key("MACs old"),
            Column::number("new").key("MACs new"),
            Column::number("change").key("MACs change"),
        ],
        rows: blocks.iter().map(row).collect(),
    }
}
