//! Amounts of memory on the command line.

use cnnkit_core::spec::expectation::amount;
use cnnkit_core::spec::quantity::Unit;

/// Parses `24GiB` or `320KiB`: whole bytes, at least one.
pub fn parse(text: &str) -> Result<u64, String> {
    let bytes = amount(Unit::Bytes, text)?;
    let whole = bytes.is_integer().then(|| u64::try_from(bytes.to_integer()).ok()).flatten();
    whole
        .filter(|&bytes| bytes > 0)
        .ok_or_else(|| format!("`{text}` is not a number of bytes; write 320KiB or 24GiB"))
}
