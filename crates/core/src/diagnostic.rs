//! Errors and their positions.
//!
//! Code that finds a flaw deep in the arithmetic has no position: it returns a [`Problem`]. The caller that has the
//! position of the offending layer turns it into a [`Diagnostic`].
//!
//! The grammar of a message: lower case, no full stop, the flaw with its numbers; the remedy goes into `help`.

use std::fmt;

use crate::source::{Origin, Sources, Span};

/// The kind of an error, with a stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The text is not YAML (or not UTF-8, or empty).
    Syntax,
    /// A key, layer, block, variable or argument that does not exist.
    UnknownName,
    /// Something required is missing.
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
    /// A limit that keeps a hostile or mistaken spec from exhausting the machine.
    Limit,
    /// A count that does not fit into 64 bits.
    Overflow,
    /// A file that cannot be read.
    Io,
}

impl Code {
    /// Returns the stable code, as findings use it.
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

/// A flaw without a position.
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
    /// Returns a flaw of kind `code`.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: None, argument: None }
    }

    /// Returns a flaw of mismatched shapes.
    pub fn shape(message: impl Into<String>) -> Self {
        Self::new(Code::Shape, message)
    }

    /// Returns a flaw of an argument whose value cannot be used.
    pub fn argument(argument: &'static str, message: impl Into<String>) -> Self {
        Self { argument: Some(argument), ..Self::new(Code::InvalidValue, message) }
    }

    /// Returns a flaw of a count that exceeds 64 bits.
    pub fn overflow(what: &str) -> Self {
        Self::new(Code::Overflow, format!("{what} does not fit into 64 bits"))
            .help("check the sizes: no real network is this large")
    }

    /// Adds a remedy.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Attributes the flaw to `argument`.
    #[must_use]
    pub fn at(mut self, argument: &'static str) -> Self {
        self.argument = Some(argument);
        self
    }

    /// Returns the flaw at `span`; without a span, a flaw of the whole input.
    pub fn located(self, span: impl Into<Option<Span>>) -> Diagnostic {
        let mut diagnostic = Diagnostic::error(self.code, self.message, span);
        diagnostic.help.extend(self.help);
        diagnostic
    }

    /// Returns the flaw at the position where the layer `id` (or its argument at fault) was written.
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

impl std::error::Error for Problem {}

/// A flaw with its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its kind.
    pub code: Code,
    /// The flaw, with its numbers.
    pub message: String,
    /// The offending token; `None` for a flaw of the whole input.
    pub span: Option<Span>,
    /// The id of the layer at fault.
    pub node: Option<String>,
    /// Other relevant positions, each with a remark.
    pub related: Vec<(Span, String)>,
    /// Remedies.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// Returns an error of kind `code` at `span`.
    pub fn error(code: Code, message: impl Into<String>, span: impl Into<Option<Span>>) -> Self {
        Self { code, message: message.into(), span: span.into(), node: None, related: vec![], help: vec![] }
    }

    /// Adds a remedy.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Adds another relevant position.
    #[must_use]
    pub fn related(mut self, span: Span, remark: impl Into<String>) -> Self {
        self.related.push((span, remark.into()));
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.node {
            Some(node) => write!(f, " (in `{node}`)"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Diagnostic {}

/// Maximum number of candidates that are compared: a spec may have 100,000 names, and as many mistyped.
const MAX_CANDIDATES: usize = 4096;
/// Maximum number of characters of a name for which a close one is looked for.
const MAX_COMPARED: usize = 200;

/// Returns the candidate closest to `name`, if it is close enough to be a typo: for `did you mean` help. Of very many
/// candidates, only the first are compared.
pub fn suggest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = |text: &str| text.to_lowercase().replace(['-', ' '], "_");
    let wanted = folded(name);
    let length = wanted.chars().count();
    // A name of one or two letters is like every other: only case and dashes can be wrong.
    let limit = if length <= 2 { 0 } else { (length / 3).clamp(1, 3) };
    candidates
        .into_iter()
        .take(MAX_CANDIDATES)
        // No typo changes the length by more; a comparison takes the product of the lengths.
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= limit && length <= MAX_COMPARED)
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &folded(candidate)), candidate))
        .filter(|&(distance, _)| distance <= limit)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// Returns the help line for an unknown `name`: the closest of `candidates`, or all of them if they are few.
pub fn did_you_mean(name: &str, candidates: &[&str]) -> Option<String> {
    if let Some(close) = suggest(name, candidates.iter().copied()) {
        return Some(format!("did you mean `{close}`?"));
    }
    (!candidates.is_empty() && candidates.len() <= 16).then(|| {
        format!("known here: {}", candidates.iter().map(|c| format!("`{c}`")).collect::<Vec<_>>().join(", "))
    })
}

/// Texts that were rejected, with every flaw found in them.
#[derive(Debug, Clone, Default)]
pub struct Rejected {
    /// The texts.
    pub sources: Sources,
    /// The flaws.
    pub flaws: Vec<Diagnostic>,
}

impl fmt::Display for Rejected {
    /// Writes one line per flaw, which begins with its position: `net.yaml:3:5: `.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, flaw) in self.flaws.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            if let Some(span) = flaw.span {
                let (line, column) = self.sources.line_column(span.source, span.start);
                write!(f, "{}:{line}:{column}: ", self.sources.get(span.source).name)?;
            }
            write!(f, "{flaw}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Rejected {}
