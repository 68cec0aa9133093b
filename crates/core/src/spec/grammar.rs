//! The spec language's own words, in one place: the decoder, error messages, the JSON Schema and the documentation
//! read these lists.

/// A key of a construct.
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// The kind of value that it takes.
    pub kind: FieldKind,
    /// Whether it is required.
    pub required: bool,
    /// What it means.
    pub doc: &'static str,
}

/// The kind of value that a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// A list of layers.
    Layers,
    /// A list of lists of layers, or a mapping of names to lists of layers.
    Paths,
    /// A number or an expression.
    Number,
    /// `true`, `false` or an expression.
    Bool,
    /// A name.
    Name,
    /// A list of names.
    Names,
    /// A layer that joins several inputs: `add`, `{concat: {axis: 1}}`.
    Join,
    /// A shape.
    Shape,
    /// A shape, or a mapping of names to shapes.
    Shapes,
    /// A mapping of names to values.
    Values,
    /// A mapping of layer kinds to arguments.
    Defaults,
    /// A mapping of names to blocks.
    Blocks,
    /// A mapping of names to lists of values, of one length: `{rate: [1, 2, 5]}`.
    Loop,
    /// Expectations: a mapping of quantities to values or bounds.
    Expectations,
    /// Text.
    Text,
    /// One of [`TECHNIQUES`].
    Technique,
}

/// A construct: something made of layers that can be used in place of a layer.
#[derive(Debug)]
pub struct Construct {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// Its keys.
    pub fields: &'static [Field],
}

const fn field(name: &'static str, kind: FieldKind, required: bool, doc: &'static str) -> Field {
    Field { name, kind, required, doc }
}

/// Keys of the top level of a spec (and, except for the network itself, of an included file).
pub static DOCUMENT: &[Field] = &[
    field("name", FieldKind::Text, false, "name of the network; the file's name if not given"),
    field("description", FieldKind::Text, false, "what the network is, in a line, and where it comes from"),
    field(
        "demonstrates",
        FieldKind::Technique,
        false,
        "the technique whose identity `cnnkit verify` runs with it, as `cnnkit demo` does",
    ),
    field("include", FieldKind::Names, false, "files whose blocks can be used, relative to this one"),
    field(
        "input",
        FieldKind::Shapes,
        true,
        "[C, L], [C, H, W] or [C, D, H, W] without the batch; a mapping names several inputs",
    ),
    field(
        "variables",
        FieldKind::Values,
        false,
        "values that expressions read as `$name`; `--set name=value` replaces them",
    ),
    field(
        "defaults",
        FieldKind::Defaults,
        false,
        "arguments for every layer of a kind, in this file: `conv: {bias: false}`",
    ),
    field("blocks", FieldKind::Blocks, false, "named groups of layers with arguments, used like layers"),
    field("layers", FieldKind::Layers, true, "the network, from its input to its output"),
    field("outputs", FieldKind::Names, false, "ids of what the network returns; its last layer if not given"),
    field(
        "expect",
        FieldKind::Expectations,
        false,
        "expectations that `cnnkit check` compares with the network",
    ),
];

/// The techniques that a spec can demonstrate: the identities that `cnnkit demo` runs.
pub static TECHNIQUES: &[&str] = &[
    "small-kernels",
    "asymmetric-kernels",
    "multi-kernel",
    "bottleneck",
    "depthwise-separable",
    "group-conv",
    "shuffle-unit",
    "residual",
    "dense",
    "squeeze-excite",
    "dilated",
    "gridding",
    "deformable",
];

/// Keys of a block.
pub static BLOCK: &[Field] = &[
    field("description", FieldKind::Text, false, "what the block is, and where it comes from"),
    field("args", FieldKind::Values, false, "arguments with their defaults; `~` for one that must be given"),
    field(
        "inputs",
        FieldKind::Names,
        false,
        "names of its inputs if there are several; the first layer reads the first",
    ),
    field("layers", FieldKind::Layers, true, "its layers"),
];

/// Keys allowed next to a layer, block or construct in a list of layers.
pub static MODIFIERS: &[Field] = &[
    field("id", FieldKind::Name, false, "a name for it; others refer to it by `from`"),
    field(
        "from",
        FieldKind::Names,
        false,
        "what it reads instead of the layer before it: an id or a list of ids",
    ),
    field("if", FieldKind::Bool, false, "it is skipped unless this is true"),
    field("share", FieldKind::Name, false, "the layer or block whose weights it uses"),
];

/// All constructs.
pub static CONSTRUCTS: &[Construct] = &[
    Construct {
        name: "sequential",
        doc: "layers one after another; with an `id` a named group",
        fields: &[],
    },
    Construct {
        name: "residual",
        doc: "the sum of a body and a shortcut around it (He et al. 2016)",
        fields: &[
            field("body", FieldKind::Layers, true, "the residual function"),
            field(
                "shortcut",
                FieldKind::Layers,
                false,
                "layers on the shortcut; the identity if there are none",
            ),
            field(
                "scale",
                FieldKind::Number,
                false,
                "constant factor on the body before it is added (Inception-ResNet)",
            ),
            field("join", FieldKind::Join, false, "how they are joined; `add` if not given"),
        ],
    },
    Construct {
        name: "branches",
        doc: "parallel paths that read the same input and are joined (Inception)",
        fields: &[
            field("paths", FieldKind::Paths, true, "the paths; an empty one is the identity"),
            field("join", FieldKind::Join, false, "how they are joined; `concat` if not given"),
            field(
                "split",
                FieldKind::Bool,
                false,
                "each path reads its own share of the channels (ShuffleNet v2)",
            ),
        ],
    },
    Construct {
        name: "repeat",
        doc: "layers repeated; the index is `$i`, from 0",
        fields: &[
            field("times", FieldKind::Number, false, "how often"),
            field(
                "for",
                FieldKind::Loop,
                false,
                "instead of `times`: one repetition for each value, `{rate: [1, 2, 5]}`; several lists advance together",
            ),
            field("index", FieldKind::Name, false, "name of the index; `i` if not given"),
            field("body", FieldKind::Layers, true, "what is repeated"),
        ],
    },
    Construct {
        name: "dense",
        doc: "each repetition reads the concatenation of the input and all earlier outputs (Huang et al. 2017)",
        fields: &[
            field("times", FieldKind::Number, true, "how often"),
            field("index", FieldKind::Name, false, "name of the index; `i` if not given"),
            field("body", FieldKind::Layers, true, "what is repeated"),
        ],
    },
];

/// The layer before, in `from`.
pub const PREVIOUS: &str = "previous";
/// The input of the network or of the block.
pub const INPUT: &str = "input";

/// Variables that every block (and the network, if it has one input) has in addition to its own; an argument or a
/// variable of the same name replaces them.
pub const BUILTINS: [(&str, &str); 2] = [
    ("in_channels", "channels of the block's input, the first if it has several"),
    ("in_size", "spatial sizes of the block's input, a list: `upsample: {size: $in_size}`"),
];

/// Returns the construct named `name`.
pub fn construct(name: &str) -> Option<&'static Construct> {
    CONSTRUCTS.iter().find(|construct| construct.name == name)
}

/// Returns whether `name` is reserved, so that no block may have it.
pub fn reserved(name: &str) -> bool {
    construct(name).is_some()
        || MODIFIERS.iter().any(|field| field.name == name)
        || [PREVIOUS, INPUT].contains(&name)
}
