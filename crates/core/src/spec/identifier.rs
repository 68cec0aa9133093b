//! The characters of names: ids, and what becomes part of an id or is read as a variable.
//!
//! Names travel into terminals, workflow commands, tables and generated Python. They are words, so that none of these
//! can take them for anything else.

/// Maximum number of characters of a name.
pub const MAX_LENGTH: usize = 100;
/// Maximum number of characters of an input's name; models have longer ones than people write.
pub const MAX_INPUT_LENGTH: usize = 200;

/// A kind of name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The id of a layer, block or group.
    Id,
    /// The name of a block's definition.
    Block,
    /// The name of a path of `branches`.
    Branch,
    /// The name of an input of the network, which may have dots: exporters number tensors so.
    Input,
    /// The name of an input of a block.
    BlockInput,
    /// The name of a variable, an argument or an index.
    Variable,
}

impl Kind {
    /// Returns what a name of this kind cannot be: "an id".
    fn words(self) -> &'static str {
        match self {
            Self::Id => "an id",
            Self::Block => "the name of a block",
            Self::Branch => "the name of a branch",
            Self::Input | Self::BlockInput => "the name of an input",
            Self::Variable => "the name of a variable",
        }
    }

    /// Returns whether a name of this kind may have the character `c`.
    pub fn allows(self, c: char) -> bool {
        c.is_alphanumeric() || matches!(c, '_' | '-') || (self == Self::Input && c == '.')
    }

    /// Returns the maximum number of characters of a name of this kind.
    pub fn max_length(self) -> usize {
        if self == Self::Input { MAX_INPUT_LENGTH } else { MAX_LENGTH }
    }
}

/// A flaw of a name, and its remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// The flaw.
    pub message: String,
    /// The remedy.
    pub help: String,
}

/// Returns why `name` cannot be a name of kind `kind`; none if it can.
pub fn flaw(name: &str, kind: Kind) -> Option<Flaw> {
    let words = kind.words();
    if name.is_empty() {
        return Some(Flaw { message: format!("{words} cannot be empty"), help: "give it a name".into() });
    }
    let length = name.chars().count();
    let limit = kind.max_length();
    let shown: String = name.chars().take(limit).collect();
    if length > limit {
        return Some(Flaw {
            message: format!("`{shown}` cannot be {words}: it has {length} characters, the limit is {limit}"),
            help: "give it a shorter name".into(),
        });
    }
    (!name.chars().all(|c| kind.allows(c))).then(|| Flaw {
        message: format!("`{shown}` cannot be {words}"),
        help: if kind == Kind::Input {
            "use letters, digits, `_`, `-` and `.`".into()
        } else {
            "use letters, digits, `_` and `-`".into()
        },
    })
}
