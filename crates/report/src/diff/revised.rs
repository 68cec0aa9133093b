//! `cnnkit diff --git`: the networks of a project that differ from a git revision, a row for each.

use schemars::JsonSchema;
use serde::Serialize;

use crate::diff::{DiffBlock, DiffQuantity, DiffSummary, Pair, SHOWN};
use crate::{Block, Cell, Column, Page, Row, Scale, StyledText, Table, Tone, Value};
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_findings::Condition;
use cnnkit_findings::Facts;
use cnnkit_findings::quantity::{Found, Quantity, Subject, Unit, measure, show_found};

/// What became of a network since a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NetworkStatus {
    /// It is there on both sides, and differs.
    Changed,
    /// The revision has no such file.
    New,
    /// The file is gone.
    Deleted,
    /// It is there on both sides, and does not differ.
    Same,
}

/// A network at a git revision and now.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RevisedNetwork {
    /// The network's name.
    pub name: String,
    /// Its file.
    pub path: String,
    /// What became of it.
    pub status: NetworkStatus,
    /// Quantities of the whole network on both sides; null on the side where it is not.
    pub quantities: Vec<DiffQuantity>,
    /// Blocks that differ; empty unless the network changed.
    pub blocks: Vec<DiffBlock>,
    /// The `--fail-if` conditions that are met; a condition on a change is for networks that are on both sides.
    pub met: Vec<String>,
    /// What there is to say about it; left out if there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl NetworkStatus {
    fn cell(self) -> Cell {
        match self {
            Self::Changed => Cell::text("changed"),
            Self::New => Cell::toned("new", Tone::Good),
            Self::Deleted => Cell::toned("deleted", Tone::Bad),
            Self::Same => Cell::toned("same", Tone::Quiet),
        }
    }
}

impl RevisedNetwork {
    /// A network that is on both sides.
    pub fn on_both_sides(name: &str, path: &str, diff: &DiffSummary) -> Self {
        Self {
            name: name.to_owned(),
            path: path.to_owned(),
            status: if diff.same() { NetworkStatus::Same } else { NetworkStatus::Changed },
            quantities: diff.quantities.clone(),
            blocks: diff.blocks.clone(),
            met: diff.met.clone(),
            note: None,
        }
    }

    /// A network that is new, or was deleted.
    ///
    /// # Errors
    /// If a condition's quantity cannot be measured.
    pub fn on_one_side(
        path: &str,
        facts: &Facts<'_>,
        status: NetworkStatus,
        conditions: &[Condition],
    ) -> Result<Self, Problem> {
        let new = status == NetworkStatus::New;
        let quantity = |quantity: &Quantity| {
            let here = measure(facts, &Subject::Network, *quantity);
            let nowhere = Err(Problem::new(Code::InvalidValue, "the network is not on this side"));
            let (old, new) = if new { (nowhere, here) } else { (here, nowhere) };
            DiffQuantity::from(Pair::new(*quantity, old, new))
        };
        let mut met = Vec::new();
        for condition in conditions.iter().filter(|condition| new && !condition.on_change()) {
            if let Found::Numbers(numbers) = measure(facts, &Subject::Network, condition.quantity())?
                && condition.met(&[], &numbers)
            {
                met.push(condition.text.clone());
            }
        }
        Ok(Self {
            name: facts.graph.name().to_owned(),
            path: path.to_owned(),
            status,
            quantities: SHOWN.iter().map(quantity).collect(),
            blocks: vec![],
            met,
            note: None,
        })
    }

    /// The quantity named `name` on the newer side on which it is, and its change.
    fn figure(&self, name: &str) -> (Cell, Cell) {
        let Some(quantity) = self.quantities.iter().find(|quantity| quantity.name == name) else {
            return (Cell::default(), Cell::default());
        };
        let count = |found: &Result<Found, Problem>| match found {
            Ok(Found::Numbers(numbers)) => match numbers.as_slice() {
                [only] if only.is_integer() => Some(only.to_integer()),
                _ => None,
            },
            _ => None,
        };
        let [old, new] = quantity.pair.sides();
        let unit = quantity.pair.unit();
        let shown = new.as_ref().or(old.as_ref()).map_or_else(
            |_| Cell::missing(),
            |found| {
                let text = show_found(unit, found);
                match (unit, u64::try_from(count(new).or(count(old)).unwrap_or(-1))) {
                    (Unit::Count, Ok(number)) => Cell::magnitude(number),
                    (Unit::Bytes, Ok(number)) => Cell::bytes(number),
                    (Unit::Shape, _) | (_, Err(_)) => Cell::text(text),
                    (_, Ok(number)) => Cell::written(text, number),
                }
            },
        );
        let change = match (count(old), count(new)) {
            (Some(old), Some(new)) => {
                let scale = if unit == Unit::Bytes { Scale::Bytes } else { Scale::Magnitude };
                let tone = if new == old { Tone::Quiet } else { Tone::Warn };
                Cell::from(Value::Change(new - old, scale)).tone(tone)
            }
            _ => Cell::default(),
        };
        (shown, change)
    }

    /// The quantities that differ, or `layers` if only they do.
    fn differences(&self) -> String {
        if self.status != NetworkStatus::Changed {
            return self.note.clone().unwrap_or_default();
        }
        let differ = |quantity: &&DiffQuantity| !quantity.pair.same();
        let names: Vec<&str> = self.quantities.iter().filter(differ).map(|quantity| quantity.name).collect();
        if names.is_empty() { "settings of layers".into() } else { names.join(", ") }
    }
}

/// Appends the networks that differ, a row for each, and how many do not.
pub fn section(page: &mut Page, networks: &[RevisedNetwork], revision: &str) {
    let differ: Vec<&RevisedNetwork> =
        networks.iter().filter(|network| network.status != NetworkStatus::Same).collect();
    let networks_word = |count: usize| format!("{count} network{}", if count == 1 { "" } else { "s" });
    page.title_with(
        format!("Changes since {revision}"),
        match (differ.len(), networks.len()) {
            (0, all) => format!("none of {}", networks_word(all)),
            (some, all) => format!("{some} of {}", networks_word(all)),
        },
    );
    if differ.is_empty() {
        page.text(format!("no network differs from {revision}"));
        return;
    }
    let row = |network: &&RevisedNetwork| {
        let (params, params_change) = network.figure("params");
        let (macs, macs_change) = network.figure("macs");
        let (memory, memory_change) = network.figure("memory");
        let (field, _) = network.figure("receptive_field");
        Row::new(vec![
            Cell::toned(&network.path, Tone::Name),
            network.status.cell(),
            params,
            params_change,
            macs,
            macs_change,
            memory,
            memory_change,
            field,
            Cell::text(network.differences()),
        ])
    };
    let columns = vec![
        Column::text("network"),
        Column::text("status"),
        Column::number("params"),
        Column::number("change").key("params change"),
        Column::number("MACs"),
        Column::number("change").key("MACs change"),
        Column::number("memory").optional(3),
        Column::number("change").key("memory change").optional(4),
        Column::number("RF").optional(2),
        Column::text("what differs").optional(1),
    ];
    page.table(Table { name: "networks", columns, rows: differ.iter().map(row).collect() });
    for network in differ {
        for condition in &network.met {
            let text = format!("fails: `{condition}` holds for {}", network.path);
            page.push(Block::Text(vec![StyledText::new(text, Tone::Bad)]));
        }
    }
    page.note(
        "Figures are those of now, of a deleted network those it had. Memory: activations alive at the worst step, f32. RF: \
         receptive field of the output, or of the last feature map that does not see everything. \
         `cnnkit diff --git REVISION SPEC` shows a network block by block.",
    );
}
