//! `cnnkit report`: one HTML file that needs nothing else.
//!
//! Rust computes all figures and writes them as JSON into the page; plain ES modules draw them. A strict content
//! security policy names the one script and the one style sheet by their digests, so nothing else runs, and the page
//! has no way to a network. Names of models are data: the scripts show them as text only.
//!
//! The modules below `page/` import each other and can be served as they are (a page in the browser gives them the same
//! JSON); in the file they are one script, in the order of `document.rs`.

mod digest;
mod document;
mod network;
mod profile;
mod reaches;
mod written;

use serde::Serialize;
use serde_json::Value;

use crate::compare::CompareSummary;
use crate::diff::DiffSummary;

pub use network::{About, NetworkData};
pub use profile::{Profile, Rates};
pub use written::{ReportSummary, ReportedNetwork};

/// The contents of a report.
#[derive(Debug, Default, Serialize)]
pub struct Book {
    /// The networks, in the order of the call.
    pub networks: Vec<NetworkData>,
    /// The networks side by side, if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compare: Option<CompareSummary>,
    /// What changed since an older network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<DiffSummary>,
    /// The picture below the input grid, as a `data:` URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
}

impl Book {
    /// Returns the data of the page.
    pub fn data(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }

    /// Returns the page.
    pub fn html(&self) -> String {
        document::write(self)
    }

    /// Returns the bytes of a picture as a `data:` URL.
    pub fn picture_url(kind: &str, bytes: &[u8]) -> String {
        format!("data:image/{kind};base64,{}", digest::base64(bytes))
    }

    fn title(&self) -> String {
        let names = || self.networks.iter().map(NetworkData::name);
        match names().collect::<Vec<_>>().as_slice() {
            [] => "cnnkit".to_owned(),
            [only] => format!("{only} - cnnkit"),
            [first, rest @ ..] => format!("{first} and {} more - cnnkit", rest.len()),
        }
    }
}
