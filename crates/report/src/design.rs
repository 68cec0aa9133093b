//! `cnnkit hdc-design`: the Pareto front of schedules.

use schemars::JsonSchema;
use serde::Serialize;

use crate::exact::BigCount;
use crate::hdc::Require;
use crate::summary::Summary;
use crate::{Cell, Column, Page, Row, Table, Tone, Value};
use cnnkit_core::analysis::design::{self, Outcome, Search};
use cnnkit_core::analysis::pareto::Design;
use cnnkit_core::number::{counted, grouped, integer};

/// Published schedules that are compared with the front: HDC's own, and the widest that three layers of 3x3
/// allow.
const KNOWN: [&[u64]; 4] = [&[1, 2, 3], &[1, 2, 5], &[1, 3, 9], &[1, 2, 5, 9]];
/// Maximum number of rows of a front that are drawn; JSON and CSV have all of them.
const MOST_ROWS: usize = 40;

/// What `cnnkit hdc-design` finds: the best schedules for one or several kernels.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum DesignSummary {
    /// The search for one kernel.
    One(SearchSummary),
    /// The searches for several kernels.
    Several(SearchesSummary),
}

/// The searches for several kernels.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SearchesSummary {
    /// The search for the first kernel.
    #[serde(flatten)]
    pub first: SearchSummary,
    /// The searches for all kernels, the first included.
    pub results: Vec<SearchSummary>,
}

/// The search for one kernel.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SearchSummary {
    /// The kernel size K.
    pub kernel: u64,
    /// The smallest and the largest number of layers.
    pub layers: [usize; 2],
    /// The largest rate.
    pub max_rate: u64,
    /// The smallest receptive field, per axis.
    #[schemars(extend("unit" = "positions"))]
    pub min_size: u64,
    /// Number of layers after which the rates repeat; null if they need not repeat.
    pub period: Option<usize>,
    /// What a schedule must satisfy.
    pub require: Require,
    /// Whether the search accounts for every schedule: always true.
    pub exhaustive: bool,
    /// Number of schedules.
    pub schedules: BigCount,
    /// Number of branches and multisets of rates that were visited; bounds rule out the rest.
    pub visited: u64,
    /// The Pareto front of receptive field and evenness, by layers, then by receptive field.
    pub front: Vec<DesignEntry>,
    /// Published schedules, and their positions relative to the front.
    pub known: Vec<KnownDesign>,
}

/// The figures of a schedule.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct DesignEntry {
    /// Its rates, from the input to the output.
    pub rates: Vec<u64>,
    /// Its number of layers.
    pub layers: usize,
    /// Its receptive field, per axis.
    #[schemars(extend("unit" = "positions"))]
    pub size: u64,
    /// Smallest / largest multiplicity of an axis.
    pub evenness: f64,
    /// Largest multiplicity of an axis.
    pub largest_multiplicity: u64,
    /// Standard deviation / mean of the multiplicities of an axis.
    pub variation: f64,
    /// Whether the published rule passes.
    pub rule_ok: bool,
    /// Whether every position is read.
    pub hole_free: bool,
}

/// A published schedule.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct KnownDesign {
    /// Its figures.
    #[serde(flatten)]
    pub design: DesignEntry,
    /// Its position relative to the front.
    pub place: Standing,
    /// The schedule on the front that equals or surpasses it; null if none does.
    pub by: Option<String>,
}

/// The position of a schedule relative to the front.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub enum Standing {
    /// It is on the front.
    #[serde(rename = "on the front")]
    OnTheFront,
    /// It does not satisfy the requirement.
    #[serde(rename = "does not qualify")]
    DoesNotQualify,
    /// A schedule on the front has the same figures.
    #[serde(rename = "equal to")]
    EqualTo,
    /// A schedule on the front is better.
    #[serde(rename = "surpassed by")]
    SurpassedBy,
    /// It is outside the search space.
    #[serde(rename = "outside the search")]
    OutsideTheSearch,
}

impl Standing {
    fn words(self) -> &'static str {
        match self {
            Self::OnTheFront => "on the front",
            Self::DoesNotQualify => "does not qualify",
            Self::EqualTo => "equal to",
            Self::SurpassedBy => "surpassed by",
            Self::OutsideTheSearch => "outside the search",
        }
    }
}

impl From<&Design> for DesignEntry {
    fn from(design: &Design) -> Self {
        Self {
            rates: design.rates.clone(),
            layers: design.rates.len(),
            size: design.size,
            evenness: design.evenness(),
            largest_multiplicity: design.largest,
            variation: design.variation,
            rule_ok: design.rule_ok(),
            hole_free: design.hole_free,
        }
    }
}

impl From<design::Require> for Require {
    fn from(require: design::Require) -> Self {
        match require {
            design::Require::Rule => Self::Rule,
            design::Require::Exact => Self::Exact,
            design::Require::Both => Self::Both,
        }
    }
}

impl From<Require> for design::Require {
    fn from(require: Require) -> Self {
        match require {
            Require::Rule => Self::Rule,
            Require::Exact => Self::Exact,
            Require::Both => Self::Both,
        }
    }
}

impl SearchSummary {
    /// Returns the summary of `search`, whose result is `outcome`.
    pub fn of(search: &Search, outcome: &Outcome) -> Self {
        let known = KNOWN.iter().filter_map(|rates| search.place(rates)).map(|known| {
            let (place, by) = standing(search, outcome, &known);
            KnownDesign { design: DesignEntry::from(&known), place, by }
        });
        Self {
            kernel: search.kernel,
            layers: [search.layers.0, search.layers.1],
            max_rate: search.max_rate,
            min_size: search.min_size,
            period: search.period,
            require: search.require.into(),
            exhaustive: true,
            schedules: BigCount(outcome.schedules.clone()),
            visited: outcome.visited,
            front: outcome.front.iter().map(DesignEntry::from).collect(),
            known: known.collect(),
        }
    }

    /// Formats `Schedules for kernel 3, 3 layers, rates up to 12`.
    pub fn title(&self) -> String {
        let layers = match self.layers {
            [first, last] if first == last => counted(first as u64, "layer"),
            [first, last] => format!("{first} to {last} layers"),
        };
        let period = self.period.map(|period| format!(", period {period}")).unwrap_or_default();
        format!("Schedules for kernel {}, {layers}, rates up to {}{period}", self.kernel, self.max_rate)
    }

    fn section(&self, page: &mut Page) {
        page.title_with(
            self.title(),
            match self.require {
                Require::Rule => "the published rule passes",
                Require::Exact => "no holes",
                Require::Both => "the published rule passes, no holes",
            },
        );
        if self.front.is_empty() {
            page.text(
                "no schedule satisfies this: allow more layers, larger rates or a smaller receptive field",
            );
        } else {
            page.table(self.table());
            page.text(self.advice());
        }
        let hidden = self.front.len().saturating_sub(MOST_ROWS);
        if hidden > 0 {
            page.note(format!("{} more in the middle; --format csv or json has all", grouped(hidden as u64)));
        }
        page.note(format!(
            "exhaustive: {} schedules accounted for, {} branches and multisets looked at, the rest ruled out by bounds",
            integer(&self.schedules.0),
            grouped(self.visited),
        ));
    }

    /// Which of many to take, by what matters.
    fn advice(&self) -> String {
        let name = |design: Option<&DesignEntry>| {
            design
                .map(|design| format!("{} ({} wide)", written(&design.rates), grouped(design.size)))
                .unwrap_or_default()
        };
        let fewest = self.front.iter().map(|design| design.layers).min().unwrap_or(0);
        let few = self.front.iter().filter(|design| design.layers == fewest);
        let widest = self.front.iter().max_by_key(|design| design.size);
        let even = self.front.iter().max_by(|a, b| a.evenness.total_cmp(&b.evenness));
        if let [only] = self.front.as_slice() {
            return format!("take {}: no other schedule is on the front", name(Some(only)));
        }
        format!(
            "take {} for the fewest layers, {} for the widest field, {} for the most even one",
            name(few.max_by_key(|design| design.size)),
            name(widest),
            name(even)
        )
    }

    fn table(&self) -> Table {
        let columns = vec![
            Column::text("rates"),
            Column::number("layers"),
            Column::number("receptive field"),
            Column::number("evenness"),
            Column::number("variation").optional(1),
            Column::text("rule").optional(2),
            Column::text("holes").optional(3),
            Column::text("place"),
        ];
        let count = self.front.len();
        let shown = |i: usize| count <= MOST_ROWS || i < MOST_ROWS / 2 || i >= count - MOST_ROWS / 2;
        let front = self.front.iter().enumerate();
        let mut rows: Vec<Row> = front
            .map(|(i, design)| Row { hidden: !shown(i), ..row(design, "front".into(), Tone::Good) })
            .collect();
        let known = self.known.iter().filter(|known| known.place != Standing::OnTheFront).map(|known| {
            let by = known.by.as_ref().map(|other| format!(" {other}")).unwrap_or_default();
            row(&known.design, format!("published, {}{by}", known.place.words()), Tone::Quiet)
        });
        for (i, mut known) in known.enumerate() {
            known.rule_above = i == 0;
            rows.push(known);
        }
        Table { name: "designs", columns, rows }
    }
}

fn row(design: &DesignEntry, place: String, tone: Tone) -> Row {
    let verdict = |good: bool, yes: &str, no: &str| {
        if good { Cell::toned(yes, Tone::Good) } else { Cell::toned(no, Tone::Bad) }
    };
    Row::new(vec![
        Cell::toned(written(&design.rates), Tone::Name),
        Cell::count(design.layers as u64),
        Cell::count(design.size),
        Value::Number(design.evenness, 4).into(),
        Value::Number(design.variation, 3).into(),
        verdict(design.rule_ok, "passes", "fails"),
        verdict(design.hole_free, "none", "some"),
        Cell::toned(place, tone),
    ])
}

impl DesignSummary {
    /// Returns the summary of the searches, one per kernel, and what they found.
    pub fn of(first: &(Search, Outcome), more: &[(Search, Outcome)]) -> Self {
        let summary = |(search, outcome): &(Search, Outcome)| SearchSummary::of(search, outcome);
        let first = summary(first);
        if more.is_empty() {
            return Self::One(first);
        }
        let results = std::iter::once(first.clone()).chain(more.iter().map(summary)).collect();
        Self::Several(SearchesSummary { first, results })
    }

    /// Returns the searches, one per kernel.
    pub fn searches(&self) -> &[SearchSummary] {
        match self {
            Self::One(search) => std::slice::from_ref(search),
            Self::Several(searches) => &searches.results,
        }
    }
}

impl Summary for DesignSummary {
    const COMMAND: &'static str = "hdc-design";

    fn page(&self) -> Page {
        let mut page = Page::default();
        self.searches().iter().for_each(|search| search.section(&mut page));
        page.note(
            "front: no schedule with as few layers beats these in both receptive field and evenness; evenness = smallest / \
             largest multiplicity of an axis; variation = standard deviation / mean; published: schedules of the literature \
             (Wang et al. 2018: 1,2,3, 1,2,5 and 1,2,5,9) and 1,3,9, the widest that three 3x3 allow without holes",
        );
        page
    }

    fn passed(&self) -> bool {
        self.searches().iter().any(|search| !search.front.is_empty())
    }
}

/// Returns the position of `design` relative to the front, and the schedule that equals or surpasses it.
fn standing(search: &Search, outcome: &Outcome, design: &Design) -> (Standing, Option<String>) {
    let meets = match search.require {
        design::Require::Rule => design.rule_ok(),
        design::Require::Exact => design.hole_free,
        design::Require::Both => design.rule_ok() && design.hole_free,
    } && design.size >= search.min_size;
    if outcome.front.iter().any(|other| other.rates == design.rates) {
        return (Standing::OnTheFront, None);
    }
    match outcome.front.iter().find(|other| other.covers(design)) {
        _ if !meets => (Standing::DoesNotQualify, None),
        Some(other) if design.covers(other) => (Standing::EqualTo, Some(written(&other.rates))),
        Some(other) => (Standing::SurpassedBy, Some(written(&other.rates))),
        None => (Standing::OutsideTheSearch, None),
    }
}

pub(crate) fn written(rates: &[u64]) -> String {
    rates.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}
