//! `cnnkit hdc-check SPEC`: every chain of dilated convolutions of a network against the rule and the exact coverage.

use schemars::JsonSchema;
use serde::Serialize;

use crate::chains::{counted, distinct, ids, labels, rates};
use crate::gridding::GriddingSummary;
use crate::hdc::{HdcSummary, Require};
use crate::imported::StatusAndImport;
use crate::summary::Summary;
use crate::verify::Measured;
use crate::{Block, Page, StyledText, Tone};
use cnnkit_core::analysis::dilated::{Chain, Chains};
use cnnkit_core::analysis::gridding::Gridding;
use cnnkit_core::analysis::hdc::Check;
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::Graph;
use cnnkit_core::number::share;

/// What `cnnkit hdc-check SPEC` computes about a network.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct NetworkHdcSummary {
    /// The chains of dilated convolutions; chains with the same rates and kernels appear once.
    pub chains: Vec<ChainHdc>,
    /// Whether there are more chains than could be listed.
    pub truncated: bool,
    /// Whether every chain passes the required verdict and, with `--verify`, the runs agree.
    pub ok: bool,
    /// The comparison with runs on an impulse, with `--verify`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<Measured>,
    /// What is not analysed of an imported model.
    #[serde(flatten)]
    pub import: Option<StatusAndImport>,
    /// The network's name.
    #[serde(skip)]
    name: String,
    /// Number of chains.
    #[serde(skip)]
    count: usize,
}

/// A chain of dilated convolutions and its check.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ChainHdc {
    /// Ids of its convolutions, in order.
    pub nodes: Vec<String>,
    /// Number of chains with the same rates and kernels, including this one.
    pub alike: usize,
    /// Its check.
    #[serde(flatten)]
    pub check: ChainCheck,
}

/// The check of a chain.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ChainCheck {
    /// One kernel size and one rate per layer: the published rule applies.
    Uniform(Box<HdcSummary>),
    /// Kernels or rates that differ within the chain: only the exact verdict exists.
    Mixed(MixedSummary),
}

/// The exact verdict on a chain to which the published rule does not apply.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct MixedSummary {
    /// The rates of each axis, in order.
    pub rates: Vec<Vec<u64>>,
    /// The kernels of each axis, in order.
    pub kernel: Vec<Vec<u64>>,
    /// Always null: the rule does not apply.
    pub rule_ok: (),
    /// The exact coverage.
    pub exact: MixedVerdict,
    /// Always null: there is no second verdict to agree with.
    pub agrees: (),
    /// Whether it is hole-free, or only the published rule is required.
    pub ok: bool,
    /// The rates as text.
    #[serde(skip)]
    written: String,
}

/// What the layers of a chain read, computed exactly.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct MixedVerdict {
    /// Whether every position of the box is read.
    pub hole_free: bool,
    /// Fraction of the box that is read, from 0 to 1.
    #[schemars(extend("unit" = "share"))]
    pub coverage: f64,
    /// Largest distance between neighbouring positions that are read; 1 means no hole.
    #[schemars(extend("unit" = "positions"))]
    pub max_gap: u64,
}

impl NetworkHdcSummary {
    /// Computes the check of `graph`, whose chains are `chains`.
    pub fn of(graph: &Graph, chains: &Chains, require: Require, explain: bool) -> Result<Self, Problem> {
        let one = |(chain, alike): (&Chain, usize)| {
            let check = match chain.uniform() {
                Some((kernel, rates)) => {
                    let check = Check::of(kernel, &[rates], chain.rates.len())?;
                    ChainCheck::Uniform(Box::new(HdcSummary::of(&check, require, explain, None)))
                }
                None => ChainCheck::Mixed(MixedSummary::of(chain, require)?),
            };
            Ok(ChainHdc { nodes: ids(graph, chain), alike, check })
        };
        let list = distinct(chains).into_iter().map(one).collect::<Result<Vec<_>, Problem>>()?;
        Ok(Self {
            ok: list.iter().all(|chain| chain.check.ok()),
            chains: list,
            truncated: chains.truncated,
            verify: None,
            import: None,
            name: graph.name().to_owned(),
            count: chains.chains.len(),
        })
    }

    /// Returns the same summary with the comparison with runs of the chains.
    #[must_use]
    pub fn measured(mut self, measured: Measured) -> Self {
        self.ok &= measured.ok;
        self.verify = Some(measured);
        self
    }
}

impl Summary for NetworkHdcSummary {
    const COMMAND: &'static str = "hdc-check";

    fn page(&self) -> Page {
        let mut page = Page::default();
        page.title_with(format!("HDC check of {}", self.name), counted(self.count, self.truncated));
        let labels = labels(&self.chains.iter().map(|chain| chain.nodes.as_slice()).collect::<Vec<_>>());
        for (chain, label) in self.chains.iter().zip(labels) {
            let others = match chain.alike {
                0 | 1 => String::new(),
                alike => format!(", and {} chains of the same rates", alike - 1),
            };
            let layers = StyledText::new(label, Tone::Name);
            page.push(Block::Text(vec![StyledText::plain("layers "), layers, StyledText::plain(others)]));
            page.blocks.extend(match &chain.check {
                ChainCheck::Uniform(check) => check.page().blocks,
                ChainCheck::Mixed(check) => check.page().blocks,
            });
        }
        if self.chains.is_empty() {
            page.text("no dilated convolution, so nothing can fail");
        }
        if let Some(measured) = &self.verify {
            measured.section(&mut page);
        }
        page
    }

    fn passed(&self) -> bool {
        self.ok
    }

    fn partial(&self) -> bool {
        self.import.as_ref().is_some_and(|import| import.import.partial)
    }
}

impl ChainCheck {
    fn ok(&self) -> bool {
        match self {
            Self::Uniform(check) => check.ok,
            Self::Mixed(check) => check.ok,
        }
    }
}

impl MixedSummary {
    fn of(chain: &Chain, require: Require) -> Result<Self, Problem> {
        let stack = chain.stack()?;
        let facts = Gridding::of(&stack)?;
        let hole_free = facts.hole_free();
        Ok(Self {
            rates: chain.rates.clone(),
            kernel: chain.kernels.clone(),
            rule_ok: (),
            exact: MixedVerdict { hole_free, coverage: facts.coverage(), max_gap: facts.max_gap() },
            agrees: (),
            ok: hole_free || require == Require::Rule,
            written: rates(&GriddingSummary::rates_of(&stack)),
        })
    }

    fn page(&self) -> Page {
        let mut page = Page::default();
        page.title_with(format!("HDC check of rates {}", self.written), "kernels of several sizes");
        let (word, tone) =
            if self.exact.hole_free { ("hole-free", Tone::Good) } else { ("holes", Tone::Bad) };
        let (read, gap) = (share(self.exact.coverage), self.exact.max_gap);
        page.push(Block::Text(vec![
            StyledText::new(word, tone),
            StyledText::plain(format!(
                ": exactly {read} of the box is read, the largest gap is {gap}; the published rule knows one kernel \
                 size and does not apply"
            )),
        ]));
        page
    }
}
