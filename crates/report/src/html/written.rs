//! What `cnnkit report` says about the file that it wrote.

use schemars::JsonSchema;
use serde::Serialize;

use super::NetworkData;
use crate::summary::{Spec, Summary};
use crate::{Page, StyledText, Tone};
use cnnkit_core::number;

/// The file that `cnnkit report` writes.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ReportSummary {
    /// Path of the file.
    pub file: String,
    /// Its size.
    #[schemars(extend("unit" = "bytes"))]
    pub bytes: usize,
    /// The networks in it.
    pub networks: Vec<ReportedNetwork>,
    /// Whether every claim is true, with `--verify`; true without it.
    pub ok: bool,
}

/// A network of a report.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ReportedNetwork {
    /// The network, as in the other commands.
    pub spec: Spec,
    /// Number of findings.
    pub findings: usize,
    /// Parts that could not be computed, each with the reason.
    pub missing: Vec<String>,
    /// Whether a figure depends on an operator that is not analysed.
    pub partial: bool,
}

impl ReportedNetwork {
    /// Returns the entry of a network.
    pub fn of(data: &NetworkData) -> Self {
        Self {
            spec: data.spec.clone(),
            findings: data.check.items.len(),
            missing: data.missing.iter().map(|(part, why)| format!("{part}: {why}")).collect(),
            partial: data.partial(),
        }
    }
}

impl Summary for ReportSummary {
    const COMMAND: &'static str = "report";

    fn page(&self) -> Page {
        let mut page = Page::default();
        let names: Vec<&str> =
            self.networks.iter().filter_map(|network| network.spec.name.as_deref()).collect();
        let shown = match names.as_slice() {
            [first, second, third, _, rest @ ..] => {
                format!("{first}, {second}, {third} and {} more", rest.len() + 1)
            }
            all => all.join(", "),
        };
        page.text(format!("{}: {shown}, {}", self.file, number::bytes(self.bytes as u64)));
        for network in &self.networks {
            let name = network.spec.name.as_deref().unwrap_or_default();
            for missing in &network.missing {
                page.push(crate::Block::Text(vec![
                    StyledText::new(format!("{name} lacks "), Tone::Warn),
                    StyledText::plain(missing.clone()),
                ]));
            }
        }
        page
    }

    fn passed(&self) -> bool {
        self.ok
    }

    fn partial(&self) -> bool {
        self.networks.iter().any(|network| network.partial)
    }
}
