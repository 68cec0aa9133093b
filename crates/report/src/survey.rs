//! `cnnkit hdc-design --survey`: how often the published rule and the exact verdict agree.

use schemars::JsonSchema;
use serde::Serialize;

use crate::design::written;
use crate::summary::Summary;
use crate::{Block, Cell, Column, Fact, Page, Row, Table, Tone};
use cnnkit_core::analysis::survey::Survey;
use cnnkit_core::number::{grouped, share};

/// The counts of `cnnkit hdc-design --survey`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SurveySummary {
    /// The kernel size K.
    pub kernel: u64,
    /// The counts.
    pub survey: SurveyCounts,
}

/// Counts over all schedules with this number of layers and this largest rate.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SurveyCounts {
    /// Number of layers.
    pub layers: usize,
    /// The largest rate.
    pub max_rate: u64,
    /// All schedules.
    pub schedules: u64,
    /// The rule passes, and there is no hole.
    pub rule_and_exact: u64,
    /// The rule passes, yet there are holes.
    pub rule_only: u64,
    /// The rule fails, yet there is no hole.
    pub exact_only: u64,
    /// The rule fails, and there are holes.
    pub neither: u64,
    /// Fraction of the schedules on which both agree, from 0 to 1.
    #[schemars(extend("unit" = "share"))]
    pub agreement: f64,
    /// M_2 <= K (the greatest common divisor is ignored), yet there are holes.
    pub m2_only: u64,
    /// Schedules whose rates rise from 1.
    pub rising: Rising,
    /// The smallest schedules that pass the rule with holes.
    pub rule_only_smallest: Vec<Vec<u64>>,
    /// The smallest schedules that fail the rule without holes.
    pub exact_only_smallest: Vec<Vec<u64>>,
}

/// Schedules whose rates rise from 1.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct Rising {
    /// Their number.
    pub schedules: u64,
    /// The number of schedules on which the rule is wrong.
    pub misjudged: u64,
}

impl SurveySummary {
    /// Returns the summary of `survey` over `layers` layers with rates up to `largest`.
    pub fn of(kernel: u64, layers: usize, largest: u64, survey: &Survey) -> Self {
        let counts = SurveyCounts {
            layers,
            max_rate: largest,
            schedules: survey.schedules,
            rule_and_exact: survey.both,
            rule_only: survey.rule_only,
            exact_only: survey.exact_only,
            neither: survey.neither,
            agreement: survey.agreement(),
            m2_only: survey.m2_only,
            rising: Rising { schedules: survey.rising.0, misjudged: survey.rising.1 },
            rule_only_smallest: survey.rule_only_smallest.clone(),
            exact_only_smallest: survey.exact_only_smallest.clone(),
        };
        Self { kernel, survey: counts }
    }
}

impl Summary for SurveySummary {
    const COMMAND: &'static str = "hdc-design";

    fn page(&self) -> Page {
        let (kernel, survey) = (self.kernel, &self.survey);
        let (layers, largest) = (survey.layers, survey.max_rate);
        let mut page = Page::default();
        page.title_with(
            format!(
                "The published rule against the truth: {layers} layers, rates 1 to {largest}, kernel {kernel}"
            ),
            format!("all {} schedules, each as one group", grouped(survey.schedules)),
        );
        page.table(survey.table());
        let agreeing = (survey.rule_and_exact + survey.neither) as f64 / survey.schedules.max(1) as f64;
        page.text(format!("rule and truth agree on {} of the schedules", share(agreeing)));
        let examples = |list: &[Vec<u64>]| match list {
            [] => Cell::text("none"),
            list => Cell::text(list.iter().map(|rates| written(rates)).collect::<Vec<_>>().join("   ")),
        };
        let rising = format!("{} of them misjudged", grouped(survey.rising.misjudged));
        page.push(Block::Facts(vec![
            Fact::new("smallest that pass the rule with holes", examples(&survey.rule_only_smallest)),
            Fact::new("smallest that fail the rule without", examples(&survey.exact_only_smallest)),
            Fact::new("pass M_2 <= K alone, with holes", Cell::count(survey.m2_only)),
            Fact::new("rising from 1", Cell::count(survey.rising.schedules)).remark(rising),
        ]));
        page.note(
            "smallest: by the sum of the rates, then in order; rule: gcd 1 and M_2 <= K (Wang et al. 2018, 3.2)",
        );
        page
    }
}

impl SurveyCounts {
    fn table(&self) -> Table {
        let row = |rule: &str, exact: &str, count: u64, tone: Tone| {
            Row::new(vec![
                Cell::text(rule),
                Cell::text(exact),
                Cell::count(count).tone(tone),
                Cell::share(count, self.schedules),
            ])
        };
        Table {
            name: "survey",
            columns: vec![
                Column::text("rule"),
                Column::text("exact"),
                Column::number("schedules"),
                Column::number("share"),
            ],
            rows: vec![
                row("passes", "no hole", self.rule_and_exact, Tone::Good),
                row("passes", "holes", self.rule_only, Tone::Bad),
                row("fails", "no hole", self.exact_only, Tone::Bad),
                row("fails", "holes", self.neither, Tone::Good),
            ],
        }
    }
}
