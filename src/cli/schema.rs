//! `cnnkit schema`

use cnnkit_core::spec::schema;
use cnnkit_report::{Page, Report};

/// Print the JSON Schema of the spec language, for editors
///
/// Editors with a YAML language server complete and check specs that begin with
/// `# yaml-language-server: $schema=PATH`. `--format json` prints the schema as well, without an envelope.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit schema -o cnnkit.schema.json")]
pub struct Args {}

pub fn run(_: Args) -> Report {
    let json = schema::generate();
    let mut page = Page::default();
    page.source(&cnnkit_report::render::json(&json));
    Report::new(page, json)
}
