//! Summaries: the results of commands, as typed data of which page, JSON and exit status are views.
//!
//! Each command has one public struct (`ParamsSummary`, `RfSummary`, ...) that implements [`Summary`]. Its
//! serialised fields are the command's JSON, and their doc comments are the reference of that JSON
//! ([`crate::output`]); fields that only the page needs have `#[serde(skip)]`. [`Report::of`] and
//! [`Report::of_networks`] create the views.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{Page, Report};

/// Version of the JSON output; keys may be added to a version, never changed or removed.
pub const SCHEMA_VERSION: u64 = 1;

/// The result of a command.
pub trait Summary: Serialize + JsonSchema + Send + Sync + 'static {
    /// The command, as in the key `command`: `hdc-check`.
    const COMMAND: &'static str;

    /// Returns the view for people.
    fn page(&self) -> Page;

    /// Returns whether the command's own check passed; a broken rule or budget does not.
    fn passed(&self) -> bool {
        true
    }

    /// Returns whether a figure is partial because something was not analysed.
    fn partial(&self) -> bool {
        false
    }

    /// Appends what follows once after the pages of all networks of a call.
    fn footer(_page: &mut Page) {}
}

/// The network of a summary.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Spec {
    /// The network's name; null if the command is not about one network.
    pub name: Option<String>,
    /// The SPEC argument: a file, `zoo:NAME` or `-`; null if the command is not about one network.
    pub path: Option<String>,
}

/// The summary of one network, with the spec it belongs to.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Entry<T> {
    /// The network.
    pub spec: Spec,
    /// The summary.
    #[serde(flatten)]
    pub summary: T,
}

/// The whole JSON of a call.
#[derive(Debug, Clone, Serialize)]
pub struct Envelope<T> {
    schema: u64,
    command: &'static str,
    #[serde(flatten)]
    content: Content<T>,
}

/// One object, or a list.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum Content<T> {
    One(Entry<T>),
    Several { results: Vec<Entry<T>> },
}

impl<T: Summary> Envelope<T> {
    /// Returns the JSON of a command that is not about one network.
    pub fn of(summary: T) -> Self {
        Self::new(Content::One(Entry { spec: Spec::default(), summary }))
    }

    /// Returns the JSON of the summaries of networks: the keys of a single one, or `results` for several.
    pub fn of_networks(mut entries: Vec<Entry<T>>) -> Self {
        match (entries.len(), entries.pop()) {
            (1, Some(only)) => Self::new(Content::One(only)),
            (_, last) => {
                entries.extend(last);
                Self::new(Content::Several { results: entries })
            }
        }
    }

    fn new(content: Content<T>) -> Self {
        Self { schema: SCHEMA_VERSION, command: T::COMMAND, content }
    }

    /// Returns the entries: one, or those under `results`.
    pub fn entries(&self) -> &[Entry<T>] {
        match &self.content {
            Content::One(entry) => std::slice::from_ref(entry),
            Content::Several { results } => results,
        }
    }
}

impl Report {
    /// Returns the views of a summary that is not about one network.
    pub fn of<T: Summary>(summary: T) -> Self {
        Self::from_envelope(Envelope::of(summary))
    }

    /// Returns the views of the summaries of networks, one page below the other.
    pub fn of_networks<T: Summary>(entries: Vec<Entry<T>>) -> Self {
        Self::from_envelope(Envelope::of_networks(entries))
    }

    fn from_envelope<T: Summary>(envelope: Envelope<T>) -> Self {
        let summaries = || envelope.entries().iter().map(|entry| &entry.summary);
        let mut page = Page::default();
        let several = envelope.entries().len() > 1;
        for entry in envelope.entries() {
            let name = [&entry.spec.path, &entry.spec.name].into_iter().flatten().next();
            page.networks.extend(name.filter(|_| several).map(|name| (page.blocks.len(), name.clone())));
            page.blocks.extend(entry.summary.page().blocks);
        }
        T::footer(&mut page);
        let ok = summaries().all(Summary::passed);
        let partial = summaries().any(Summary::partial);
        Self { partial, ..Self::new(page, envelope).with_verdict(ok) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Serialize, JsonSchema)]
    struct Sum {
        sum: u64,
        #[serde(skip)]
        note: &'static str,
    }

    impl Summary for Sum {
        const COMMAND: &'static str = "sum";

        fn page(&self) -> Page {
            let mut page = Page::default();
            page.text(self.note);
            page
        }

        fn passed(&self) -> bool {
            self.sum < 5
        }

        fn partial(&self) -> bool {
            self.sum == 4
        }
    }

    fn sum(sum: u64) -> Sum {
        Sum { sum, note: "a note" }
    }

    fn entry(value: u64) -> Entry<Sum> {
        let spec = Spec { name: Some("net".into()), path: Some("net.yaml".into()) };
        Entry { spec, summary: sum(value) }
    }

    #[test]
    fn one_network_gives_its_keys_and_several_give_results() {
        let text = |report: Report| report.json.value().to_string();
        assert_eq!(
            text(Report::of(sum(3))),
            r#"{"schema":1,"command":"sum","spec":{"name":null,"path":null},"sum":3}"#
        );
        let one = r#""spec":{"name":"net","path":"net.yaml"},"sum":3"#;
        assert_eq!(
            text(Report::of_networks(vec![entry(3)])),
            format!(r#"{{"schema":1,"command":"sum",{one}}}"#)
        );
        assert_eq!(
            text(Report::of_networks(vec![entry(3), entry(3)])),
            format!(r#"{{"schema":1,"command":"sum","results":[{{{one}}},{{{one}}}]}}"#)
        );
    }

    #[test]
    fn one_failed_or_partial_network_decides_for_the_call() {
        let verdict = |values: &[u64]| {
            let report = Report::of_networks(values.iter().copied().map(entry).collect());
            (report.ok, report.partial, report.page.blocks.len())
        };
        assert_eq!(verdict(&[1, 2]), (true, false, 2));
        assert_eq!(verdict(&[1, 4, 2]), (true, true, 3));
        assert_eq!(verdict(&[5, 1]), (false, false, 2));
    }
}
