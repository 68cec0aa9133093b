//! `cnnkit gridding`

use crate::cli::Failure;
use crate::report::Report;

/// Show which input positions a stack of dilated convolutions reads
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: Args) -> Result<Report, Failure> {
    Err(Failure::Usage("not supported yet: gridding".into(), None))
}
