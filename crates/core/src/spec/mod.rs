//! Text to graph: the spec language. Contains YAML, but no layer arithmetic.
//!
//! [`load`] reads a file and what it includes ([`files`]), splits up the top level ([`document`]), expands blocks,
//! repetitions and conditions into nodes ([`expand`]), and lets the graph infer shapes. It reports every error found
//! on the way, at its exact position.

pub mod document;
pub mod env;
pub mod evaluate;
pub mod expand;
pub mod expectation;
pub mod expr;
pub mod files;
pub mod grammar;
pub mod identifier;
pub mod names;
pub mod quantity;
pub mod schema;
pub mod yaml;

use crate::diagnostic::{Code, Diagnostic, Rejected};
use crate::graph::{Graph, Unbuilt};
use crate::source::Sources;

/// What the command line replaces in a spec.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Variables: pairs of name and YAML text.
    pub variables: Vec<(String, String)>,
    /// Input shapes; the name is empty for a network with one input.
    pub inputs: Vec<(String, Vec<u64>)>,
}

/// A loaded spec.
#[derive(Debug)]
pub struct Loaded {
    /// The network.
    pub graph: Graph,
    /// The spec as written, with the position of every value.
    pub document: document::Document,
    /// All texts that it was read from; the first is the spec itself.
    pub sources: Sources,
    /// The technique that it demonstrates, one of [`grammar::TECHNIQUES`].
    pub demonstrates: Option<&'static str>,
}

/// Maximum number of errors that are reported for one spec.
const MAX_ERRORS: usize = 100;

/// Reads the spec `path` from `files` and builds its graph.
pub fn load(files: &dyn files::Files, path: &str, overrides: &Overrides) -> Result<Loaded, Box<Rejected>> {
    let mut sources = Sources::default();
    let (document, mut errors) = document::read(files, path, overrides, &mut sources);
    if let Some(document) = document {
        match expand::expand(&document, overrides) {
            Ok(graph) if errors.is_empty() => {
                let demonstrates = document.demonstrates;
                return Ok(Loaded { graph, document, sources, demonstrates });
            }
            Ok(_) => {}
            Err(Unbuilt::Flaws(more)) => errors.extend(more),
            Err(Unbuilt::Poisoned) => {}
        }
    }
    if errors.is_empty() {
        let message = "the network could not be built";
        errors.push(Diagnostic::error(Code::Shape, message, None).help("please report this spec as a bug"));
    }
    Err(Box::new(Rejected { sources, flaws: tidy(errors) }))
}

/// Reads the spec `path` from `files` without building its graph.
pub fn read(
    files: &dyn files::Files,
    path: &str,
    overrides: &Overrides,
) -> Result<(document::Document, Sources), Box<Rejected>> {
    let mut sources = Sources::default();
    match document::read(files, path, overrides, &mut sources) {
        (Some(document), errors) if errors.is_empty() => Ok((document, sources)),
        (_, errors) => Err(Box::new(Rejected { sources, flaws: tidy(errors) })),
    }
}

/// Merges the same flaw found in each use of a block into one error, and truncates very long lists.
pub fn tidy(errors: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut seen = std::collections::HashSet::new();
    let mut unique: Vec<Diagnostic> =
        errors.into_iter().filter(|e| seen.insert((e.code, e.span, e.message.clone()))).collect();
    unique.sort_by_key(|error| error.span.map(|span| (span.source, span.start, span.end)));
    unique.truncate(MAX_ERRORS);
    unique
}
