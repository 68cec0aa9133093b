//! `cnnkit hdc-check RATES`: the published rule and the exact verdict side by side.

use schemars::JsonSchema;
use serde::Serialize;

use crate::gridding::Breaks;
use crate::summary::Summary;
use crate::verify::Measured;
use crate::{Block, Cell, Column, Page, Row, StyledText, Table, Tone};
use cnnkit_core::analysis::gridding::Bound;
use cnnkit_core::analysis::hdc::{Check, Group, Grouping};
use cnnkit_core::analysis::proposal::{Proposal, Proposals};
use cnnkit_core::number::{grouped, times};

/// The verdicts that must pass for the check to pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Require {
    /// The published rule.
    Rule,
    /// The exact verdict.
    Exact,
    /// Both.
    Both,
}

/// What `cnnkit hdc-check RATES` computes about dilation rates with one kernel size.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct HdcSummary {
    /// The kernel size K.
    pub kernel: u64,
    /// All rates, from the input to the output.
    pub rates: Vec<u64>,
    /// Number of spatial axes.
    pub axes: usize,
    /// The groups that the rule is applied to, in order.
    pub groups: Vec<GroupSummary>,
    /// Greatest common divisor of all rates.
    pub gcd: u64,
    /// Whether the greatest common divisor of every group is 1.
    pub gcd_ok: bool,
    /// Whether there are several groups.
    pub sawtooth: bool,
    /// Number of layers after which the rates repeat; null if they do not, or if the groups were given.
    pub period: Option<usize>,
    /// Whether every group passes the published rule.
    pub rule_ok: bool,
    /// The exact coverage.
    pub exact: ExactVerdict,
    /// Whether the rule and the exact verdict agree.
    pub agrees: bool,
    /// The difference between the two verdicts, in one sentence.
    pub difference: String,
    /// The required verdict: `rule`, `exact` or `both`.
    #[serde(rename = "strict")]
    pub require: Require,
    /// Whether it passes and, with `--verify`, the run agrees.
    pub ok: bool,
    /// Schedules of the same length that pass both verdicts; null if this one does, or if they were not requested.
    pub proposals: Option<ProposalsSummary>,
    /// The comparison with a run on an impulse, with `--verify`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<Measured>,
    /// Whether the caller gave the groups.
    #[serde(skip)]
    given: bool,
    /// The exact criterion, rate by rate, if an explanation was requested.
    #[serde(skip)]
    bounds: Option<Vec<Bound>>,
}

/// A group of rates under the published rule.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct GroupSummary {
    /// Its rates r_1 .. r_n.
    pub rates: Vec<u64>,
    /// M_1 .. M_n.
    pub m: Vec<u64>,
    /// For each M_i, the three terms of which it is the maximum; null for M_n, which is r_n.
    pub terms: Vec<Option<[i128; 3]>>,
    /// M_2; M_1 in a group of one layer, which has no M_2.
    pub m2: u64,
    /// Whether `m2` is at most K.
    pub m2_ok: bool,
    /// Greatest common divisor of its rates.
    pub gcd: u64,
    /// Whether it is 1.
    pub gcd_ok: bool,
}

/// What the layers read, computed exactly.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ExactVerdict {
    /// Whether every position of the box is read.
    pub hole_free: bool,
    /// Fraction of the box that is read, from 0 to 1.
    #[schemars(extend("unit" = "share"))]
    pub coverage: f64,
    /// Largest distance between neighbouring positions that are read; 1 means no hole.
    #[schemars(extend("unit" = "positions"))]
    pub max_gap: u64,
    /// Size of the box, per axis.
    #[schemars(extend("unit" = "positions"))]
    pub size: u64,
    /// Positions that are never read, per axis.
    #[schemars(extend("unit" = "positions"))]
    pub missed: u64,
    /// The smallest rate that leaves a hole; null if none does.
    pub breaks: Option<Breaks>,
}

/// Schedules to use instead.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ProposalsSummary {
    /// The smallest change, the larger receptive field first.
    pub nearest: Vec<ProposalSummary>,
    /// Whether no nearer schedule exists; false if the search was cut short.
    pub proven: bool,
    /// The schedule with the largest receptive field whose rates rise and do not exceed the largest given rate.
    pub widest_within: Option<ProposalSummary>,
    /// The schedule with the largest receptive field whose rates rise within each group.
    pub widest: Option<ProposalSummary>,
}

/// A schedule to use instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProposalSummary {
    /// All its rates.
    pub rates: Vec<u64>,
    /// Its groups.
    pub groups: Vec<Vec<u64>>,
    /// Total change of the rates: the sum of the absolute differences.
    pub change: u64,
    /// Its receptive field, per axis.
    #[schemars(extend("unit" = "positions"))]
    pub size: u64,
}

impl Require {
    /// Returns its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Exact => "exact",
            Self::Both => "both",
        }
    }

    /// Returns whether the required verdicts pass.
    fn holds(self, rule: bool, exact: bool) -> bool {
        match self {
            Self::Rule => rule,
            Self::Exact => exact,
            Self::Both => rule && exact,
        }
    }
}

impl From<&Group> for GroupSummary {
    fn from(group: &Group) -> Self {
        Self {
            rates: group.rates.clone(),
            m: group.distances.iter().map(|distance| distance.m).collect(),
            terms: group.distances.iter().map(|distance| distance.terms).collect(),
            m2: group.m2,
            m2_ok: group.m2_ok,
            gcd: group.gcd,
            gcd_ok: group.gcd == 1,
        }
    }
}

impl From<&Proposal> for ProposalSummary {
    fn from(proposal: &Proposal) -> Self {
        Self {
            rates: proposal.groups.concat(),
            groups: proposal.groups.clone(),
            change: proposal.change,
            size: proposal.size,
        }
    }
}

impl From<&Proposals> for ProposalsSummary {
    fn from(proposals: &Proposals) -> Self {
        Self {
            nearest: proposals.nearest.iter().map(ProposalSummary::from).collect(),
            proven: proposals.proven,
            widest_within: proposals.widest_within.as_ref().map(ProposalSummary::from),
            widest: proposals.widest.as_ref().map(ProposalSummary::from),
        }
    }
}

impl HdcSummary {
    /// Returns the summary of `check`, with `proposals` if it failed; `explain` shows the rule and the exact
    /// criterion.
    pub fn of(check: &Check, require: Require, explain: bool, proposals: Option<&Proposals>) -> Self {
        let (missed, size) = check.missed();
        let mut summary = Self {
            kernel: check.rule.kernel,
            rates: check.rates.clone(),
            axes: check.exact.axes.len(),
            groups: check.rule.groups.iter().map(GroupSummary::from).collect(),
            gcd: check.rule.gcd,
            gcd_ok: check.rule.gcd_ok,
            sawtooth: check.rule.groups.len() > 1,
            period: match check.rule.grouping {
                Grouping::Periodic(period) => Some(period),
                Grouping::Single | Grouping::Given => None,
            },
            rule_ok: check.rule.ok,
            exact: ExactVerdict {
                hole_free: check.exact.hole_free(),
                coverage: check.exact.coverage(),
                max_gap: check.exact.max_gap(),
                size,
                missed,
                breaks: check.breaks().map(Breaks::from),
            },
            agrees: check.agrees(),
            difference: String::new(),
            require,
            ok: require.holds(check.rule.ok, check.exact.hole_free()),
            proposals: proposals.map(ProposalsSummary::from),
            verify: None,
            given: check.rule.grouping == Grouping::Given,
            bounds: explain.then(|| check.bounds.clone()),
        };
        summary.difference = difference(&summary);
        summary
    }

    /// Returns the same summary with the comparison with a run of the layers.
    #[must_use]
    pub fn measured(mut self, measured: Measured) -> Self {
        self.ok &= measured.ok;
        self.verify = Some(measured);
        self
    }

    /// Formats whether the required verdict passes, with its name.
    fn decision(&self) -> Block {
        let decides = match self.require {
            Require::Rule => "the published rule decides (--require rule)",
            Require::Exact => "the exact verdict decides (--require exact)",
            Require::Both => "the rule and the exact verdict must both hold (--require both)",
        };
        let holds = self.require.holds(self.rule_ok, self.exact.hole_free);
        let (word, tone) = if holds { ("passes", Tone::Good) } else { ("fails", Tone::Bad) };
        Block::Text(vec![StyledText::new(word, tone), StyledText::plain(format!(": {decides}"))])
    }
}

impl Summary for HdcSummary {
    const COMMAND: &'static str = "hdc-check";

    fn page(&self) -> Page {
        let mut page = Page::default();
        let kernel = vec![self.kernel.to_string(); self.axes].join("x");
        page.title_with(format!("HDC check of rates {}", written(self)), format!("{kernel} kernels"));
        page.table(verdicts(self));
        for (i, group) in self.groups.iter().enumerate() {
            let repeated = self.groups[..i].iter().any(|other| other.rates == group.rates);
            if !repeated {
                page.title_with(format!("M of group {}", list(&group.rates)), group_remark(self, group));
                page.table(distances(group));
            }
        }
        let tone = if self.agrees { Tone::Good } else { Tone::Warn };
        let word = if self.agrees { "rule and truth agree" } else { "rule and truth disagree" };
        let difference = StyledText::plain(format!(": {}", self.difference));
        page.push(Block::Text(vec![StyledText::new(word, tone), difference]));
        if let Some(bounds) = &self.bounds {
            explanation(&mut page, self, bounds);
        }
        if let Some(proposals) = &self.proposals {
            propose(&mut page, self, proposals);
        }
        page.push(self.decision());
        if self.kernel != 3 {
            page.note(format!(
                "the rule is applied as printed; the 2 in its formula is K - 1 for K = 3 only, and here K = {}",
                self.kernel
            ));
        }
        if let Some(measured) = &self.verify {
            measured.section(&mut page);
        }
        page
    }

    fn passed(&self) -> bool {
        self.ok
    }
}

fn list(rates: &[u64]) -> String {
    let shown: Vec<String> = rates.iter().take(24).map(u64::to_string).collect();
    format!("{}{}", shown.join(","), if rates.len() > 24 { ",..." } else { "" })
}

/// Formats the rates as on the command line: groups are separate if the caller separated them.
fn written(check: &HdcSummary) -> String {
    if check.given {
        groups(&check.groups.iter().map(|group| group.rates.clone()).collect::<Vec<_>>())
    } else {
        list(&check.rates)
    }
}

fn groups(groups: &[Vec<u64>]) -> String {
    groups.iter().map(|rates| list(rates)).collect::<Vec<_>>().join("/")
}

fn verdicts(check: &HdcSummary) -> Table {
    let mark =
        |holds: bool| if holds { Cell::toned("holds", Tone::Good) } else { Cell::toned("fails", Tone::Bad) };
    let kernel = check.kernel;
    let m2: Vec<String> = check.groups.iter().map(|group| group.m2.to_string()).collect();
    let single = check.groups.iter().all(|group| group.rates.len() == 1);
    let name = if single { "M_1" } else { "M_2" };
    let (missed, size) = (check.exact.missed, check.exact.size);
    let row = |what: &str, found: String, verdict: Cell| {
        Row::new(vec![Cell::text(what), Cell::text(found), verdict])
    };
    let gcds: Vec<String> = check.groups.iter().map(|group| group.gcd.to_string()).collect();
    let mut rows = vec![
        row("rule: the gcd of a group is 1", once(&gcds), mark(check.gcd_ok)),
        row(
            &format!("rule: {name} <= K = {kernel}"),
            once(&m2),
            mark(check.groups.iter().all(|group| group.m2_ok)),
        ),
        row(
            "exact: no hole",
            format!(
                "{} of {} read per axis, largest gap {}",
                grouped(size - missed),
                grouped(size),
                check.exact.max_gap
            ),
            mark(check.exact.hole_free),
        ),
    ];
    rows[2].rule_above = true;
    let columns = vec![Column::text("check"), Column::text("found"), Column::text("verdict")];
    Table { name: "verdicts", columns, rows }
}

/// Formats the values of the groups in order, or the one value that they share.
fn once(values: &[String]) -> String {
    match values {
        [first, rest @ ..] if rest.iter().all(|value| value == first) => first.clone(),
        _ => values.join(", "),
    }
}

fn group_remark(check: &HdcSummary, group: &GroupSummary) -> String {
    let count = times(check.groups.iter().filter(|other| other.rates == group.rates).count() as u64);
    let single = if group.rates.len() == 1 { "; one layer has no M_2, so M_1 counts" } else { "" };
    match check.period {
        _ if check.given => format!("given {count}{single}"),
        Some(1) => format!("found {count}: the same rate in every layer{single}"),
        Some(period) => format!("found {count}: the rates repeat every {period} layers{single}"),
        None if single.is_empty() => "the whole list is one group".into(),
        None => "one layer has no M_2, so M_1 counts".into(),
    }
}

fn distances(group: &GroupSummary) -> Table {
    let number = |value: i128| Cell::text(value.to_string());
    let rows =
        group.m.iter().zip(&group.terms).zip(&group.rates).enumerate().map(|(i, ((&m, terms), rate))| {
            let decides = i == 1.min(group.rates.len() - 1);
            let tone = match (decides, group.m2_ok) {
                (false, _) => Tone::Plain,
                (true, true) => Tone::Good,
                (true, false) => Tone::Bad,
            };
            let [first, second, third] = match terms {
                Some(terms) => terms.map(number),
                None => [Cell::default(), Cell::default(), Cell::count(*rate)],
            };
            Row::new(vec![
                Cell::text(format!("M_{}", i + 1)),
                Cell::count(*rate),
                first,
                second,
                third,
                Cell::count(m).tone(tone),
            ])
        });
    let right = |title: &str| Column { right: true, ..Column::text(title) };
    Table {
        name: "distances",
        columns: vec![
            Column::text("i"),
            Column::number("r_i"),
            right("M_i+1 - 2 r_i"),
            right("M_i+1 - 2 (M_i+1 - r_i)"),
            right("r_i").key("third term"),
            Column::number("max = M_i"),
        ],
        rows: rows.collect(),
    }
}

/// Formats the difference between the rule and the exact verdict, in one sentence.
fn difference(check: &HdcSummary) -> String {
    let (missed, size) = (check.exact.missed, check.exact.size);
    let read = format!("{} of {} positions per axis are never read", grouped(missed), grouped(size));
    match (check.rule_ok, check.exact.hole_free) {
        (true, true) => {
            format!("the rule passes, and every one of the {} positions per axis is read", grouped(size))
        }
        (true, false) => format!("the rule passes, yet {read}"),
        (false, true) => format!("the rule fails ({}), yet nothing is missed", rule_flaw(check)),
        (false, false) => format!("the rule fails ({}), and {read}", rule_flaw(check)),
    }
}

fn rule_flaw(check: &HdcSummary) -> String {
    let kernel = check.kernel;
    let gcd = check.groups.iter().find(|group| group.gcd != 1).map(|group| format!("gcd {}", group.gcd));
    let m2 = check.groups.iter().find(|group| !group.m2_ok).map(|group| {
        let name = if group.rates.len() == 1 { "M_1" } else { "M_2" };
        format!("{name} = {} > {kernel}", group.m2)
    });
    [gcd, m2].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn explanation(page: &mut Page, check: &HdcSummary, bounds: &[Bound]) {
    page.title_with("The published rule", "Wang et al. 2018, section 3.2, arXiv 1702.08502");
    page.text(
        "For each group of rates r_1 .. r_n: their gcd must be 1, and with M_n = r_n and M_i = max[ M_i+1 - 2 r_i, \
         M_i+1 - 2 (M_i+1 - r_i), r_i ] the goal is M_2 <= K. M_i is meant as the largest distance between two \
         nonzero values. In a sawtooth (1,2,5,1,2,5) the rule applies to each repeating group.",
    );
    page.title_with("The exact criterion", "decides the second verdict; the computed reach confirms it");
    page.text(
        "Sort the rates: there is no hole if and only if each is at most 1 + (K - 1) times the sum of the smaller \
         ones. Smaller rates reach no further than that, so a larger one leaves the next position out; and an \
         interval shifted by no more than its length leaves nothing out.",
    );
    let mut shown: Vec<&Bound> = bounds.iter().collect();
    shown.dedup_by_key(|bound| bound.step);
    let rows = shown.iter().take(40).map(|bound| {
        let verdict = if bound.holds() {
            Cell::toned("fits", Tone::Good)
        } else {
            Cell::toned("leaves holes", Tone::Bad)
        };
        Row::new(vec![Cell::count(bound.step), Cell::count(bound.largest), verdict])
    });
    page.table(Table {
        name: "bounds",
        columns: vec![Column::number("rate"), Column::number("largest that fits"), Column::text("verdict")],
        rows: rows.collect(),
    });
    if let Some(Breaks { rate, largest }) = check.exact.breaks {
        page.text(format!("rate {} breaks it: it can be at most {} here", grouped(rate), grouped(largest)));
    }
}

fn propose(page: &mut Page, check: &HdcSummary, proposals: &ProposalsSummary) {
    let row = |what: &str, proposal: &ProposalSummary| {
        Row::new(vec![
            Cell::text(what),
            Cell::toned(groups(&proposal.groups), Tone::Name),
            Cell::count(proposal.change),
            Cell::count(proposal.size),
        ])
    };
    let nearest = if proposals.proven { "smallest change" } else { "smallest change found" };
    let mut rows: Vec<Row> = proposals.nearest.iter().map(|proposal| row(nearest, proposal)).collect();
    if let Some(proposal) = &proposals.widest_within {
        rows.push(row("widest within the largest rate", proposal));
    }
    if let Some(proposal) = proposals.widest.as_ref().filter(|p| proposals.widest_within.as_ref() != Some(*p))
    {
        rows.push(row("widest of all", proposal));
    }
    if rows.is_empty() {
        return;
    }
    let now = check.exact.size;
    page.title_with("Use instead", format!("same length, passes both; receptive field now {}", grouped(now)));
    page.table(Table {
        name: "proposals",
        columns: vec![
            Column::text("proposal"),
            Column::text("rates"),
            Column::number("change"),
            Column::number("receptive field"),
        ],
        rows,
    });
    page.note("change: sum of the differences of the rates; widest: among groups whose rates rise");
}
