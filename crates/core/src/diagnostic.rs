//! What is wrong, and where.
//!
//! Code that finds a flaw deep in the arithmetic knows no place: it returns a [`Problem`]. Whoever knows where the
//! offending layer was written turns it into a [`Diagnostic`].
//!
//! The grammar of a message: lower case, no full stop, the flaw with its numbers; the remedy goes into `help`.

use std::fmt;

use crate::source::{Origin, Span};

/// The kind of an error, with a stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The text is not YAML (or not UTF-8, or empty).
    Syntax,
    /// A key, layer, block, variable or argument that does not exist.
    UnknownName,
    /// Something required is not there.
    Missing,
    /// A value of the wrong type, or out of range.
    InvalidValue,
    /// Shapes that do not fit a layer, or each other.
    Shape,
    /// An id that is missing, taken, or comes later.
    Reference,
    /// An expression that cannot be evaluated.
    Expression,
    /// An included file that cannot be used.
    Include,
    /// A limit that keeps a hostile or mistaken spec from using up the machine.
    Limit,
    /// A count that does not fit into 64 bits.
    Overflow,
    /// A file that cannot be read.
    Io,
}

impl Code {
    /// The stable code, as findings carry it.
    pub fn id(self) -> &'static str {
        match self {
            Self::Syntax => "CK001",
            Self::UnknownName => "CK002",
            Self::Missing => "CK003",
            Self::InvalidValue => "CK004",
            Self::Shape => "CK005",
            Self::Reference => "CK006",
            Self::Expression => "CK007",
            Self::Include => "CK008",
            Self::Limit => "CK009",
            Self::Overflow => "CK010",
            Self::Io => "CK011",
        }
    }
}

/// A flaw without a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its kind.
    pub code: Code,
    /// The flaw, with its numbers.
    pub message: String,
    /// The remedy.
    pub help: Option<String>,
    /// The argument at fault, if one is.
    pub argument: Option<&'static str>,
}

impl Problem {
    /// A flaw of kind `code`.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: None, argument: None }
    }

    /// Shapes that do not fit.
    pub fn shape(message: impl Into<String>) -> Self {
        Self::new(Code::Shape, message)
    }

    /// An argument whose value cannot be used.
    pub fn argument(argument: &'static str, message: impl Into<String>) -> Self {
        Self { argument: Some(argument), ..Self::new(Code::InvalidValue, message) }
    }

    /// A count that leaves 64 bits.
    pub fn overflow(what: &str) -> Self {
        Self::new(Code::Overflow, format!("{what} does not fit into 64 bits"))
            .help("check the sizes: no real network is this large")
    }

    /// The same flaw with a remedy.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same flaw, blamed on `argument`.
    #[must_use]
    pub fn at(mut self, argument: &'static str) -> Self {
        self.argument = Some(argument);
        self
    }

    /// The flaw at the place where the layer `id` (or its argument at fault) was written.
    pub fn in_layer(self, id: &str, origin: &Origin) -> Diagnostic {
        let span = match self.argument {
            Some(name) => origin.argument(name),
            None => origin.span,
        };
        let mut diagnostic = Diagnostic::error(self.code, self.message, span);
        diagnostic.help.extend(self.help);
        if !id.is_empty() {
            diagnostic.node = Some(id.to_owned());
        }
        diagnostic.related =
            origin.used_at.iter().map(|(block, span)| (*span, format!("in this use of `{block}`"))).collect();
        diagnostic
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// A flaw at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its kind.
    pub code: Code,
    /// The flaw, with its numbers.
    pub message: String,
    /// The offending token; none for a flaw of the whole input.
    pub span: Option<Span>,
    /// The id of the layer at fault.
    pub node: Option<String>,
    /// Other places that matter, each with a remark.
    pub related: Vec<(Span, String)>,
    /// Remedies.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// An error of kind `code` at `span`.
    pub fn error(code: Code, message: impl Into<String>, span: impl Into<Option<Span>>) -> Self {
        Self { code, message: message.into(), span: span.into(), node: None, related: vec![], help: vec![] }
    }

    /// The same error with a remedy.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// The same error with another place that matters.
    #[must_use]
    pub fn related(mut self, span: Span, remark: impl Into<String>) -> Self {
        self.related.push((span, remark.into()));
        self
    }
}

/// ` (did you mean `conv`?)`-style help: the candidate closest to `name`, if it is close enough to be a typo.
pub fn suggest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = |text: &str| text.to_lowercase().replace(['-', ' '], "_");
    let wanted = folded(name);
    let limit = (wanted.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &folded(candidate)), candidate))
        .filter(|&(distance, _)| distance <= limit)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// The help line for an unknown `name`: the closest of `candidates`, else all of them if they are few.
pub fn did_you_mean(name: &str, candidates: &[&str]) -> Option<String> {
    if let Some(close) = suggest(name, candidates.iter().copied()) {
        return Some(format!("did you mean `{close}`?"));
    }
    (!candidates.is_empty() && candidates.len() <= 16).then(|| {
        format!("known here: {}", candidates.iter().map(|c| format!("`{c}`")).collect::<Vec<_>>().join(", "))
    })
}
