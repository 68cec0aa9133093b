//! What a rule reads and what it says: the vocabulary that `cnnkit check` and its reports share.
//!
//! [`Facts`] and [`quantity`] are what a rule reads of a network. A [`Finding`] is what it says, [`Located`] is that with
//! its position in the text, and [`Checked`] is everything that was found in one spec. No rule is known here, so that the
//! crate of reports does not depend on rules.

mod checked;
mod condition;
pub mod edit;
mod facts;
mod figures;
mod finding;
mod fingerprint;
mod fix;
mod located;
mod meta;
mod project_file;
pub mod quantity;

pub use checked::{Checked, Outcome, Skipped};
pub use condition::Condition;
pub use facts::Facts;
pub use figures::Figures;
pub use finding::{Edit, Finding, Fix, Location};
pub use fingerprint::fingerprints;
pub use fix::{Rewrite, apply, rewrites};
pub use located::{Located, locate, places};
pub use meta::{Family, Meta, Setting, Severity};
pub use project_file::{PROJECT_FILE, PYPROJECT_FILE, in_project, is_project_file};
