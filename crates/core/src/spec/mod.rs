//! Text to graph: the spec language. Knows YAML, knows no layer arithmetic.
//!
//! [`load`] reads a file and what it includes ([`files`]), takes the top level apart ([`document`]), expands blocks,
//! repetitions and conditions into nodes ([`expand`]), and lets the graph infer shapes. Every mistake found on the way is
//! reported, at its exact place.

pub mod document;
pub mod env;
pub mod expand;
pub mod expectation;
pub mod expr;
pub mod files;
pub mod grammar;
pub mod names;
pub mod schema;
pub mod yaml;

use crate::diagnostic::{Code, Diagnostic};
use crate::graph::Graph;
use crate::source::Sources;

/// What the command line replaces in a spec.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Variables: pairs of name and YAML text.
    pub variables: Vec<(String, String)>,
    /// Input shapes; the name is empty for a network with one input.
    pub inputs: Vec<(String, Vec<u64>)>,
}

/// A spec that was read.
#[derive(Debug)]
pub struct Loaded {
    /// The network.
    pub graph: Graph,
    /// The spec as it is written, with the place of every value.
    pub document: document::Document,
    /// All texts that it was read from; the first is the spec itself.
    pub sources: Sources,
    /// The technique that it says it demonstrates, one of [`grammar::TECHNIQUES`].
    pub demonstrates: Option<&'static str>,
}

/// The texts and everything that is wrong in them.
pub type Rejected = Box<(Sources, Vec<Diagnostic>)>;

/// Most errors that are reported for one spec.
const MAX_ERRORS: usize = 100;

/// Reads the spec `path` from `files` and builds its graph.
pub fn load(files: &dyn files::Files, path: &str, overrides: &Overrides) -> Result<Loaded, Rejected> {
    let mut sources = Sources::default();
    let (document, mut errors) = document::read(files, path, overrides, &mut sources);
    if let Some(document) = document {
        match expand::expand(&document, overrides) {
            Ok(graph) if errors.is_empty() => {
                let demonstrates = document.demonstrates;
                return Ok(Loaded { graph, document, sources, demonstrates });
            }
            Ok(_) => {}
            Err(more) => {
                // What a broken include would have brought is not known: a block that is missing is not a mistake of its
                // own, unless it looks like a typo.
                let broken = errors.iter().any(|error| error.code == Code::Include);
                let follows = |error: &Diagnostic| {
                    error.code == Code::UnknownName
                        && error.message.starts_with("unknown layer or block")
                        && !error.help.iter().any(|help| help.starts_with("did you mean"))
                };
                errors.extend(more.into_iter().filter(|error| !(broken && follows(error))));
            }
        }
    }
    if errors.is_empty() {
        let message = "the network could not be built";
        errors.push(Diagnostic::error(Code::Shape, message, None).help("please report this spec as a bug"));
    }
    Err(Box::new((sources, tidy(errors))))
}

/// The same flaw found in each use of a block is one error; very many are cut short.
fn tidy(errors: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut seen = std::collections::HashSet::new();
    let mut unique: Vec<Diagnostic> =
        errors.into_iter().filter(|e| seen.insert((e.code, e.span, e.message.clone()))).collect();
    unique.sort_by_key(|error| error.span.map(|span| (span.source, span.start, span.end)));
    unique.truncate(MAX_ERRORS);
    unique
}
