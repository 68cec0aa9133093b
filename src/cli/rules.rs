//! `cnnkit rules` and `cnnkit explain`

use serde_json::{Value, json};

use crate::cli::Failure;
use cnnkit_check::rules::{self, Family, Meta};
use cnnkit_core::diagnostic::suggest;
use cnnkit_report::{Block, Cell, Column, Page, Report, Row, StyledText, Table, Tone};

/// List the rules of `cnnkit check`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One family only
    #[arg(long, value_name = "NAME", value_parser = family)]
    family: Option<Family>,
}

/// Explain a rule: what it looks at, why the flaw is bad, what to do instead
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit explain CK301
  cnnkit explain bias-before-norm")]
pub struct ExplainArgs {
    /// Ids or names of rules
    #[arg(required = true, value_name = "RULE")]
    rules: Vec<String>,
}

fn family(text: &str) -> Result<Family, String> {
    let names: Vec<&str> = Family::ALL.iter().map(|family| family.name()).collect();
    let known = Family::ALL.into_iter().find(|family| family.name() == text);
    known.ok_or_else(|| format!("there is no such family; the families are {}", names.join(", ")))
}

/// Runs `cnnkit rules`.
pub fn run(args: Args) -> Report {
    let wanted = |meta: &Meta| args.family.is_none_or(|family| meta.family == family);
    let mut metas: Vec<&'static Meta> = rules::all().filter(|meta| wanted(meta)).collect();
    metas.sort_by_key(|meta| meta.id);
    let mut page = Page::default();
    for family in Family::ALL {
        let rows: Vec<Row> = metas
            .iter()
            .filter(|meta| meta.family == family)
            .map(|meta| {
                Row::new(vec![
                    Cell::toned(meta.id, Tone::Name),
                    Cell::text(meta.name),
                    Cell::text(meta.severity.name()),
                    Cell::text(if meta.default { "on" } else { "" }),
                    Cell::text(if meta.fixes { "fix" } else { "" }),
                    Cell::text(meta.summary),
                ])
            })
            .collect();
        if rows.is_empty() {
            continue;
        }
        page.title_with(family.name(), family.summary());
        let columns = vec![
            Column::text("id"),
            Column::text("name"),
            Column::text("level").optional(1),
            Column::text("default").optional(2),
            Column::text("fix").optional(3),
            Column::text("flaw"),
        ];
        page.table(Table { columns, rows });
    }
    page.note(
        "`cnnkit explain ID` explains a rule. On: runs unless ignored; the others are advice, for `--select` or \
         `--extend-select`, by id, name, family or `all`. Levels and numbers are set in cnnkit.toml.",
    );
    let json = json!({"rules": metas.iter().map(|meta| entry(meta)).collect::<Vec<_>>()});
    Report { page, json: super::envelope_of("rules", &json), ok: true }
}

/// Runs `cnnkit explain`.
pub fn explain(args: ExplainArgs) -> Result<Report, Failure> {
    let mut page = Page::default();
    let mut list = Vec::new();
    for name in &args.rules {
        let Some(meta) = rules::find(name) else {
            let known: Vec<&str> = rules::all().flat_map(|meta| [meta.id, meta.name]).collect();
            let close = suggest(name, known).map(|close| format!("did you mean `{close}`?"));
            let help = close.unwrap_or_else(|| "`cnnkit rules` lists them".into());
            return Err(Failure::usage(format!("there is no rule `{name}`"), help));
        };
        describe(meta, &mut page);
        list.push(entry(meta));
    }
    let json = json!({"rules": list});
    Ok(Report { page, json: super::envelope_of("explain", &json), ok: true })
}

fn describe(meta: &Meta, page: &mut Page) {
    let on = if meta.default { "on by default" } else { "off unless it is asked for" };
    let fixes = if meta.fixes { ", with fixes" } else { "" };
    page.title_with(format!("{} {}", meta.id, meta.name), meta.summary);
    page.text(format!("{}, {}, {on}{fixes}.", meta.family.name(), meta.severity.name()));
    let mut part = |title: &str, text: &str| {
        page.push(Block::Text(vec![
            StyledText::new(format!("{title}. "), Tone::Strong),
            StyledText::plain(text),
        ]));
    };
    part("What", meta.what);
    part("Why", meta.why);
    if !meta.bad.is_empty() {
        part("Flawed", "the smallest spec in which it fires:");
        page.source(&indented(meta.bad));
        page.push(Block::Text(vec![StyledText::new("Better.", Tone::Strong)]));
        page.source(&indented(meta.good));
    }
    let mut part = |title: &str, text: &str| {
        page.push(Block::Text(vec![
            StyledText::new(format!("{title}. "), Tone::Strong),
            StyledText::plain(text),
        ]));
    };
    part("Instead", meta.instead);
    for setting in meta.settings {
        let text = format!(
            "`{}` = {} in cnnkit.toml, under [rules.{}]: {}",
            setting.name, setting.value, meta.name, setting.doc
        );
        part("Setting", &text);
    }
    part("Source", meta.source);
    if meta.family != Family::Spec && !meta.id.starts_with("CK19") {
        let text = format!("# cnnkit: ignore[{}] the reason", meta.id);
        part("To accept a finding", &format!("write `{text}` behind the line, or above it."));
    }
}

fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |out, line| out + "  " + line + "\n")
}

fn entry(meta: &Meta) -> Value {
    json!({
        "id": meta.id,
        "name": meta.name,
        "family": meta.family.name(),
        "severity": meta.severity.name(),
        "default": meta.default,
        "fixes": meta.fixes,
        "summary": meta.summary,
        "what": meta.what,
        "why": meta.why,
        "instead": meta.instead,
        "source": meta.source,
        "bad": meta.bad,
        "good": meta.good,
        "settings": meta.settings.iter().map(|setting| json!({
            "name": setting.name, "value": setting.value, "doc": setting.doc,
        })).collect::<Vec<_>>(),
    })
}
