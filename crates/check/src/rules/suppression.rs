//! CK191, CK192: comments that suppress nothing, or are malformed. Reading the comments reports them.

use super::{Family, Meta, Severity};

/// A suppression that suppresses nothing.
pub static UNUSED_SUPPRESSION: Meta = Meta {
    id: "CK191",
    name: "unused-suppression",
    family: Family::Style,
    severity: Severity::Warning,
    default: true,
    summary: "a suppression that suppresses nothing",
    what: "Checks every `# cnnkit: ignore[...]` and `ignore-file[...]` of a rule that ran.",
    why: "It would hide a later flaw that nobody has accepted, and its reason is no longer true.",
    instead: "Remove it, with its reason.",
    source: "as ruff's unused-noqa (RUF100)",
    bad: "input: [3, 32, 32]
layers:
  - conv: {out_channels: 8, kernel: 3}  # cnnkit: ignore[CK401] as published
  - relu
",
    good: "input: [3, 32, 32]
layers:
  - conv: {out_channels: 8, kernel: 3}  # cnnkit: ignore[CK401] as published
  - batch_norm
",
    settings: &[],
    fixes: false,
};

/// A comment that was meant to suppress something but does not.
pub static MALFORMED_SUPPRESSION: Meta = Meta {
    id: "CK192",
    name: "malformed-suppression",
    family: Family::Style,
    severity: Severity::Error,
    default: true,
    summary: "a comment that was meant to suppress a finding but does not",
    what: "Checks comments that start with `cnnkit:`, or that name a rule next to a word such as `noqa` or \
           `disable`. Fires if the directive or the rule does not exist, or if the reason is missing.",
    why: "Its author believes that the flaw is accepted; its readers cannot find out why.",
    instead: "Write `# cnnkit: ignore[CK301] the reason` at the end of the line or on the line above it, or \
              `ignore-file[CK301] the reason` for the whole file.",
    source: "docs/check.md",
    bad: "input: [3, 32, 32]
layers:
  - conv: {out_channels: 8, kernel: 3}  # noqa: CK401
  - batch_norm
",
    good: "input: [3, 32, 32]
layers:
  - conv: {out_channels: 8, kernel: 3}  # cnnkit: ignore[CK401] as published
  - batch_norm
",
    settings: &[],
    fixes: false,
};
