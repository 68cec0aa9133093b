//! `cnnkit man`

use std::path::Path;

use crate::cli::commands::command;
use crate::cli::{Failure, output};
use cnnkit_report::{Page, Report};

/// Print the manual page; with `-o DIR`, write a page for each command
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit man | man -l -
  cnnkit man -o ~/.local/share/man/man1")]
pub struct Args {
    /// The folder given by `-o`.
    #[arg(skip)]
    pub folder: Option<String>,
}

pub fn run(args: Args) -> Result<Report, Failure> {
    let mut root = command();
    root.build();
    let mut page = Page::default();
    let Some(folder) = args.folder else {
        page.source(&page_of(root));
        return Ok(Report::text(page));
    };
    std::fs::create_dir_all(&folder).map_err(|error| {
        Failure::usage(format!("cannot make the folder `{folder}`: {error}"), "name another folder")
    })?;
    let save = |name: &str, text: String| {
        output::save(&Path::new(&folder).join(format!("{name}.1")).to_string_lossy(), &text)
    };
    let mut pages = 1;
    for sub in root.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let name = format!("cnnkit-{}", sub.get_name());
        save(&name, page_of(sub.clone()))?;
        pages += 1;
    }
    save("cnnkit", page_of(root))?;
    page.text(format!("{pages} pages in {folder}"));
    Ok(Report::text(page))
}

fn page_of(command: clap::Command) -> String {
    let mut roff = Vec::new();
    // Writing to memory cannot fail.
    let _ = clap_mangen::Man::new(command).render(&mut roff);
    String::from_utf8_lossy(&roff).into_owned()
}
