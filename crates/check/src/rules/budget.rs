//! CK602 to CK605: violations of a project's `cnnkit.toml` and failures of `--verify`. The check itself reports them,
//! because it has the project and may run the network.

use super::{Family, Meta, Severity};

/// A budget of the project is exceeded.
pub static OVER_BUDGET: Meta = Meta {
    id: "CK602",
    name: "over-budget",
    family: Family::Expectation,
    severity: Severity::Error,
    default: true,
    summary: "a network exceeds a budget of its project",
    what: "Measures the quantities in the `limit` of every `[[budget]]` in cnnkit.toml, for the specs that \
           its globs match.",
    why: "The budget is what the target device or the project allows.",
    instead: "Make the network fit; if the budget was wrong, change it in cnnkit.toml.",
    source: "docs/check.md",
    bad: "",
    good: "",
    settings: &[],
    fixes: false,
};

/// A quantity that may only improve got worse.
pub static WORSE_THAN_BASELINE: Meta = Meta {
    id: "CK603",
    name: "worse-than-baseline",
    family: Family::Expectation,
    severity: Severity::Error,
    default: true,
    summary: "a quantity that may only improve got worse",
    what: "Compares the quantities under `ratchet` of every `[[budget]]` with the figures in the baseline \
           file.",
    why: "Costs grow by small steps, none of which is worth a discussion; a ratchet makes each of them \
          visible.",
    instead: "Improve it again, or accept the new figure with `cnnkit check --update-baseline`, which makes \
              the change visible in the review.",
    source: "docs/check.md",
    bad: "",
    good: "",
    settings: &[],
    fixes: false,
};

/// A prediction that the executor contradicts.
pub static FAILED_CLAIM: Meta = Meta {
    id: "CK604",
    name: "failed-claim",
    family: Family::Expectation,
    severity: Severity::Error,
    default: true,
    summary: "a measurement of the running network differs from the prediction",
    what: "With `--verify`, runs the network and compares every prediction with a measurement, as `cnnkit \
           verify --fast` does: parameters, shapes, MACs, memory, receptive fields, gridding, channels.",
    why: "One of the two is wrong, and every other number about this network is in doubt.",
    instead: "Report it as a bug of cnnkit, with the spec.",
    source: "docs/check.md",
    bad: "",
    good: "",
    settings: &[],
    fixes: false,
};

/// A budget that applies to no spec.
pub static IDLE_BUDGET: Meta = Meta {
    id: "CK605",
    name: "idle-budget",
    family: Family::Expectation,
    severity: Severity::Warning,
    default: true,
    summary: "the globs of a budget match no spec of the project",
    what: "Holds `specs` of every `[[budget]]` in cnnkit.toml against the specs of the call, and if none fits, against all specs \
           and models below the project's folder.",
    why: "A folder that was renamed switches the guard off in silence.",
    instead: "Mend the globs, which are relative to the folder of cnnkit.toml, or remove the budget.",
    source: "docs/check.md",
    bad: "",
    good: "",
    settings: &[],
    fixes: false,
};
