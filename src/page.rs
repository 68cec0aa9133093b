//! The page of `cnnkit report`: everything about networks in one HTML file.

use cnnkit_check::{Checked, Selection, judge_all};
use cnnkit_core::diagnostic::Problem;
use cnnkit_report::findings::Findings;
use cnnkit_report::html::{About, Book, NetworkData, Profile};
use cnnkit_report::imported::Figures;
use cnnkit_report::verify::VerifySummary;
use cnnkit_report::{Spec, compare, diff};

use crate::Network;
use crate::zoo::description_of;

/// A network with what the page shows besides the facts about its graph.
#[derive(Debug)]
pub struct Section<'a> {
    /// The network.
    pub network: &'a Network,
    /// What `cnnkit check` finds in it.
    pub findings: Findings,
    /// The claims, if it was verified.
    pub verified: Option<VerifySummary>,
    /// The times of its layers, if it was measured.
    pub profile: Option<Profile>,
}

impl<'a> Section<'a> {
    /// Returns a section with the findings of the default rules.
    pub fn of(network: &'a Network) -> Self {
        let facts = network.facts();
        let outcome = judge_all(&facts, &Selection::default(), &|_| cnnkit_check::Extra::default());
        let checked = Checked {
            path: network.path.clone(),
            name: Some(network.graph.name().to_owned()),
            sources: network.sources.clone(),
            outcome,
        };
        Self {
            network,
            findings: Findings::of(&[checked], cnnkit_check::rules::all()),
            verified: None,
            profile: None,
        }
    }

    fn data(self) -> NetworkData {
        let Self { network, findings, verified, profile } = self;
        let description =
            network.sources.iter().next().map(|source| description_of(&source.name, &source.text));
        let about = About {
            spec: Spec { name: Some(network.graph.name().to_owned()), path: Some(network.path.clone()) },
            description: description.unwrap_or_default(),
            findings,
            verified,
            profile,
            counts: network.import(Figures::Counts),
            dependences: network.import(Figures::Dependences),
        };
        NetworkData::of(&network.facts(), about)
    }
}

/// Returns the contents of a report about `sections`, side by side if there are several; with `changes`, the first is
/// the older version of the second.
///
/// # Errors
/// If the two cannot be compared.
pub fn book(sections: Vec<Section<'_>>, changes: bool) -> Result<Book, Problem> {
    let networks: Vec<&Network> = sections.iter().map(|section| section.network).collect();
    let import = |network: &Network| network.import(Figures::Dependences);
    let compare = (networks.len() > 1).then(|| {
        let imports =
            networks.iter().map(|network| import(network).map(|import| import.said_of(network.graph.name())));
        compare::summary(networks.iter().map(|network| &network.graph), imports.collect())
    });
    let diff = match networks.as_slice() {
        [old, new] if changes => {
            let facts = [&old.facts(), &new.facts()];
            Some(diff::summary([&old.path, &new.path], facts, &[], [import(old), import(new)])?)
        }
        _ => None,
    };
    let networks = sections.into_iter().map(Section::data).collect();
    Ok(Book { networks, compare, diff, picture: None })
}

impl Network {
    /// Returns everything about the network as one HTML page that needs no other file and no connection: its graph,
    /// the fields of its units, memory, costs, findings of the default rules.
    ///
    /// ```
    /// let page = cnnkit::Network::load("zoo:residual")?.html();
    /// assert!(page.starts_with("<!DOCTYPE html>") && page.contains("Content-Security-Policy"));
    /// # Ok::<(), cnnkit::LoadError>(())
    /// ```
    pub fn html(&self) -> String {
        let networks = vec![Section::of(self).data()];
        Book { networks, ..Book::default() }.html()
    }
}
