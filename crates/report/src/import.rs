//! `cnnkit import`: a model as a spec.

use schemars::JsonSchema;
use serde::Serialize;

use crate::Page;
use crate::imported::StatusAndImport;
use crate::summary::Summary;

/// What `cnnkit import` writes.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ImportSummary {
    /// The spec.
    pub yaml: String,
    /// What is not analysed of an imported model.
    #[serde(flatten)]
    pub import: Option<StatusAndImport>,
}

impl Summary for ImportSummary {
    const COMMAND: &'static str = "import";

    fn page(&self) -> Page {
        let mut page = Page::default();
        page.source(&self.yaml);
        page
    }

    fn partial(&self) -> bool {
        self.import.as_ref().is_some_and(|import| import.import.partial)
    }
}
