//! Reading files of strangers, and replacing files whole.

mod read;
mod replace;

pub use read::{Unreadable, open, read, read_start, within};
pub use replace::{Replacement, WriteError, replace};
