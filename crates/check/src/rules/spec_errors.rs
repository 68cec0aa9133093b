//! CK001 to CK011: errors that prevent a spec from being built. Reading the spec reports them; their documentation is
//! here.

use super::{Family, Meta, Severity};
use cnnkit_core::diagnostic::Code;

/// A spec without errors.
const GOOD: &str = "input: [3, 32, 32]\nlayers:\n  - conv: {out_channels: 8, kernel: 3}\n";

const fn meta(
    id: &'static str,
    name: &'static str,
    summary: &'static str,
    [what, why, instead, bad]: [&'static str; 4],
) -> Meta {
    Meta {
        id,
        name,
        family: Family::Spec,
        severity: Severity::Error,
        default: true,
        summary,
        what,
        why,
        instead,
        source: "docs/spec.md",
        bad,
        good: GOOD,
        settings: &[],
        fixes: false,
    }
}

/// The documentation of each [`Code`], in the order of their ids.
pub static SPEC_ERRORS: [Meta; 11] = [
    meta(
        "CK001",
        "syntax",
        "the text is not YAML",
        [
            "Reads the file as one YAML document in UTF-8.",
            "A network that cannot be read cannot be analysed.",
            "Fix the line: indentation, quotes, brackets. An editor with the JSON Schema (`cnnkit schema`) shows the error while you type.",
            "input: [3, 32, 32\nlayers: [relu]\n",
        ],
    ),
    meta(
        "CK002",
        "unknown-name",
        "a key, layer, block, variable or argument does not exist",
        [
            "Checks every name against the vocabulary (`cnnkit layers`), the language (docs/spec.md) and the spec's own blocks.",
            "A misspelt argument that is silently ignored builds a different network from the intended one.",
            "Use the suggestion, or define the block or variable.",
            "input: [3, 32, 32]\nlayers:\n  - convv: {out_channels: 8, kernel: 3}\n",
        ],
    ),
    meta(
        "CK003",
        "missing",
        "something required is missing",
        [
            "Requires the keys and arguments without a default: `input`, `layers`, `out_channels`.",
            "There is no value that would be right to assume.",
            "Give it; `cnnkit layers NAME` lists a layer's arguments.",
            "input: [3, 32, 32]\n",
        ],
    ),
    meta(
        "CK004",
        "invalid-value",
        "a value has the wrong type or is out of range",
        [
            "Checks every value against what its argument takes.",
            "A kernel of 0, or a text in place of a number, has no meaning.",
            "Give a value of the type that the message names.",
            "input: [3, 32, 32]\nlayers:\n  - conv: {out_channels: 8, kernel: wide}\n",
        ],
    ),
    meta(
        "CK005",
        "shape",
        "shapes do not fit a layer, or each other",
        [
            "Infers the shape of every layer from its inputs.",
            "The network cannot run.",
            "Change the size, the padding or the channels that the message names; `cnnkit sizes` lists the input sizes that fit.",
            "input: [3, 32, 32]\nlayers:\n  - conv: {out_channels: 8, kernel: 33}\n",
        ],
    ),
    meta(
        "CK006",
        "reference",
        "an id is missing, taken, or comes later",
        [
            "Resolves every `from`, `share` and `outputs`.",
            "A layer can only read what was computed before it.",
            "Name an earlier layer; ids resolve from the inside out.",
            "input: [3, 32, 32]\nlayers:\n  - {relu: {}, from: nowhere}\n",
        ],
    ),
    meta(
        "CK007",
        "expression",
        "an expression cannot be evaluated",
        [
            "Evaluates every text with a `$name` in it, exactly.",
            "An unknown variable or a division by zero leaves an argument without a value.",
            "Define the variable before its use, or fix the expression.",
            "input: [3, 32, 32]\nlayers:\n  - conv: {out_channels: $width, kernel: 3}\n",
        ],
    ),
    meta(
        "CK008",
        "include",
        "an included file cannot be used",
        [
            "Reads the files under `include`, relative to the file that names them and below the project's folder.",
            "The blocks that it should define are missing.",
            "Check the path; keep included files below the folder that contains `.git` or `cnnkit.toml`.",
            "include: [nowhere.yaml]\ninput: [3, 32, 32]\nlayers:\n  - relu\n",
        ],
    ),
    meta(
        "CK009",
        "limit",
        "the spec exceeds a limit that protects the machine",
        [
            "Limits the size of the text, the number of layers, the elements of a tensor and the depth of blocks.",
            "A typo in a `repeat` must not exhaust the machine.",
            "Check the counts and sizes that the message names.",
            "input: [3, 32, 32]\nlayers:\n  - repeat: {times: 10000000, body: [relu]}\n",
        ],
    ),
    meta(
        "CK010",
        "overflow",
        "a count does not fit into 64 bits",
        [
            "Computes every count exactly.",
            "A number that wraps around would be silently wrong.",
            "Check the sizes: no real network is this large.",
            "input: [65536, 8192, 8192]\nlayers:\n  - conv: {out_channels: 65536, kernel: 3, padding: same}\n",
        ],
    ),
    meta(
        "CK011",
        "io",
        "a file cannot be read",
        [
            "Opens every file that is named.",
            "There is nothing to check.",
            "Check the path and its permissions.",
            "",
        ],
    ),
];

/// Returns the documentation of `code`.
pub fn of_code(code: Code) -> &'static Meta {
    SPEC_ERRORS.iter().find(|meta| meta.id == code.id()).unwrap_or(&SPEC_ERRORS[0])
}
