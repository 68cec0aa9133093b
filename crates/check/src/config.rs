//! `cnnkit.toml`, searched upwards from the current folder: rules, levels and budgets for many specs.
//!
//! ```toml
//! fail-on = "warning"              # note, warning or error
//! baseline = "cnnkit-baseline.json"
//! exclude = ["vendor/**"]
//!
//! [rules]
//! extend-select = ["cost"]         # select, extend-select, ignore: ids, names, families, all, default
//! CK301 = "error"                  # off, note, warning or error
//! unused-block = {level = "note"}  # with the rule's own numbers beside the level
//!
//! [[override]]
//! specs = ["experiments/**"]
//! rules = {CK401 = "off"}
//!
//! [[budget]]
//! specs = ["specs/mobile/**"]
//! limit = {params = {max = "5M"}, macs = {max = "600M"}}
//! ratchet = ["params", "macs"]     # may only improve against the baseline
//!
//! [[python]]                       # a network that the Python package of cnnkit imports
//! model = "package.models:Net"
//! input = [3, 224, 224]
//! args = {depth = 50}
//! ```
//!
//! `pyproject.toml` may have the same, below `[tool.cnnkit]`.

mod python;

use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use num_traits::ToPrimitive as _;

use crate::rules::{RULES, Severity};
use crate::toml;
use crate::{Active, Selection, Selector};
use cnnkit_core::diagnostic::{Code, Diagnostic, Problem, Rejected, did_you_mean};
use cnnkit_core::source::{Sources, Span};
use cnnkit_core::spec::expectation::{self, EXPECTABLE, Expectation, Quantity};
use cnnkit_core::value::{Key, Located, Value};
use cnnkit_findings::{PROJECT_FILE, PYPROJECT_FILE};

pub use python::Object;

/// The table's names there, one below the other.
const TABLE: [&str; 2] = ["tool", "cnnkit"];
/// Size limit of the file, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The settings of a project.
#[derive(Debug, Default)]
pub struct Project {
    /// The file's text, for messages about positions in it.
    pub sources: Sources,
    /// The folder that globs are relative to.
    pub folder: PathBuf,
    /// Fail if a finding is at least this severe.
    pub fail_on: Option<Severity>,
    /// The baseline, relative to the folder.
    pub baseline: Option<String>,
    /// Globs that are skipped when folders are searched.
    pub exclude: GlobSet,
    /// Rules for every spec.
    pub rules: Choices,
    /// Rules for some specs.
    pub overrides: Vec<(GlobSet, Choices)>,
    /// Limits for some specs.
    pub budgets: Vec<Budget>,
    /// Networks of Python that are checked with the project.
    pub objects: Vec<Object>,
}

/// Which rules run, and how severe their findings are; one set of choices may override another.
#[derive(Debug, Default)]
pub struct Choices {
    /// If given, only these rules.
    pub select: Option<Vec<Selector>>,
    /// Rules that run in addition.
    pub extend: Vec<Selector>,
    /// Rules that do not run.
    pub ignore: Vec<Selector>,
    /// Levels by rule id; `None` is off.
    pub levels: Vec<(&'static str, Option<Severity>)>,
    /// The rules' settings: id, key, value.
    pub settings: Vec<(&'static str, String, f64)>,
}

/// Limits for some specs.
#[derive(Debug)]
pub struct Budget {
    /// The specs that it applies to.
    pub specs: GlobSet,
    /// Position of the globs in the project's file.
    pub place: Span,
    /// The limits, with positions in the project's file.
    pub limits: Vec<Expectation>,
    /// Quantities that may only improve, with their positions.
    pub ratchet: Vec<(Quantity, Span)>,
}

impl Choices {
    /// Applies these choices to `selection`.
    pub fn apply(&self, selection: &mut Selection) {
        for &rule in RULES {
            let id = rule.meta().id;
            let picked = |list: &[Selector]| list.iter().any(|selector| selector.includes(id));
            if let Some(select) = &self.select {
                if picked(select) {
                    selection.enable(rule);
                } else {
                    selection.disable(id);
                }
            }
            if picked(&self.extend) {
                selection.enable(rule);
            }
            for (_, level) in self.levels.iter().filter(|(of, _)| *of == id) {
                match level {
                    Some(severity) => selection.enable(rule).severity = *severity,
                    None => selection.disable(id),
                }
            }
            if picked(&self.ignore) {
                selection.disable(id);
            }
            if let Some(active) = selection.rules.iter_mut().find(|active| active.rule.meta().id == id) {
                self.number(active);
            }
        }
    }

    fn number(&self, active: &mut Active) {
        let id = active.rule.meta().id;
        for (_, name, value) in self.settings.iter().filter(|(of, ..)| *of == id) {
            active.settings.retain(|(known, _)| known != name);
            active.settings.push((name.clone(), *value));
        }
    }
}

impl Project {
    /// Returns the project that contains `folder`; the default if there is none, or all errors in its file.
    pub fn find(folder: &Path) -> Result<Self, Box<Rejected>> {
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
        let found = folder.ancestors().find_map(|dir| Some((dir, settings_in(dir)?)));
        let Some((home, file)) = found else {
            return Ok(Self { folder, ..Self::default() });
        };
        let path = home.join(file);
        let shown = std::env::current_dir()
            .ok()
            .and_then(|here| path.strip_prefix(here).map(Path::to_path_buf).ok())
            .unwrap_or_else(|| path.clone());
        let refused = |why: String, help: &str| {
            let message = format!("cannot read `{}`: {why}", shown.display());
            let error = Diagnostic::error(Code::Io, message, None).help(help);
            Box::new(Rejected { flaws: vec![error], ..Rejected::default() })
        };
        // Messages show lines of the file: it must be one of the project.
        if !cnnkit_files::within(home, &path) {
            return Err(refused("it is a link that leads out of the project".into(), "put the file here"));
        }
        let bytes = cnnkit_files::read(&path, MAX_BYTES)
            .map_err(|error| refused(error.to_string(), "it is a small text file; check its permissions"))?;
        let text = String::from_utf8(bytes)
            .map_err(|error| refused(error.utf8_error().to_string(), "save the file as UTF-8"))?;
        Self::parse(&shown.to_string_lossy(), &text, home)
    }

    /// Parses the project file `text`.
    pub fn parse(name: &str, text: &str, folder: &Path) -> Result<Self, Box<Rejected>> {
        let mut sources = Sources::default();
        let source = sources.add(name, text);
        let (root, errors) = toml::parse(text, source);
        let mut reader = Reader { errors, project: Self { folder: folder.to_path_buf(), ..Self::default() } };
        let pyproject = Path::new(name).file_name().is_some_and(|name| name == PYPROJECT_FILE);
        let below = if pyproject { &TABLE[..] } else { &[] };
        let settings = below.iter().try_fold(&root, |table, name| find(table, name));
        if let Some(settings) = settings {
            reader.root(settings);
        }
        if reader.errors.is_empty() {
            reader.project.sources = sources;
            Ok(reader.project)
        } else {
            Err(Box::new(Rejected { sources, flaws: cnnkit_core::spec::tidy(reader.errors) }))
        }
    }

    /// Returns the path of the baseline; none if the file names none.
    ///
    /// # Errors
    /// If it leads out of the project's folder.
    pub fn baseline_path(&self) -> Result<Option<PathBuf>, Problem> {
        let Some(name) = &self.baseline else { return Ok(None) };
        let path = self.folder.join(name);
        // The folder of a new baseline need not be there.
        let there = path.ancestors().skip(1).find(|folder| folder.exists()).unwrap_or(&self.folder);
        let plain =
            Path::new(name).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        let inside = if path.exists() || path.is_symlink() { path.as_path() } else { there };
        if plain && cnnkit_files::within(&self.folder, inside) {
            return Ok(Some(path));
        }
        Err(Problem::new(Code::Io, format!("the baseline `{name}` leads out of the project's folder"))
            .help("name a file below the folder of cnnkit.toml, or give `--baseline FILE`"))
    }

    /// Returns the rules for the spec at `path`.
    pub fn selection(&self, path: &str) -> Selection {
        let mut selection = Selection::default();
        self.rules.apply(&mut selection);
        let inside = self.inside(path);
        for (_, choices) in self.overrides.iter().filter(|(specs, _)| specs.is_match(&inside)) {
            choices.apply(&mut selection);
        }
        selection
    }

    /// Returns the budgets of the spec at `path`.
    pub fn budgets(&self, path: &str) -> impl Iterator<Item = &Budget> {
        let inside = self.inside(path);
        self.budgets.iter().filter(move |budget| budget.specs.is_match(&inside))
    }

    /// Returns the path relative to the project's folder, which globs are matched against.
    pub fn inside(&self, path: &str) -> String {
        if path.starts_with("zoo:") || path == "-" {
            return path.to_owned();
        }
        let real = Path::new(path).canonicalize().unwrap_or_else(|_| PathBuf::from(path));
        real.strip_prefix(&self.folder).unwrap_or(&real).to_string_lossy().replace('\\', "/")
    }
}

/// Returns the file in `folder` that has the settings of a project.
fn settings_in(folder: &Path) -> Option<&'static str> {
    if folder.join(PROJECT_FILE).is_file() {
        return Some(PROJECT_FILE);
    }
    let header = format!("[{}", TABLE.join("."));
    let bytes = cnnkit_files::read(&folder.join(PYPROJECT_FILE), MAX_BYTES).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    // Also `[[tool.cnnkit.python]]`.
    let has = text.lines().any(|line| line.trim_start().trim_start_matches('[').starts_with(&header[1..]));
    has.then_some(PYPROJECT_FILE)
}

struct Reader {
    project: Project,
    errors: Vec<Diagnostic>,
}

const ROOT: [&str; 7] = ["fail-on", "baseline", "exclude", "rules", "override", "budget", "python"];

impl Reader {
    fn error(&mut self, code: Code, message: String, span: Span, help: impl Into<String>) {
        self.errors.push(Diagnostic::error(code, message, span).help(help));
    }

    fn root(&mut self, root: &Located) {
        for (key, value) in entries(root) {
            match key.name.as_str() {
                "fail-on" => self.project.fail_on = self.level(value).flatten(),
                "baseline" => self.project.baseline = self.text(value),
                "exclude" => self.project.exclude = self.globs(value),
                "rules" => self.project.rules = self.choices(value),
                "override" => {
                    for table in items(value) {
                        self.known(table, &["specs", "rules"], "in `[[override]]`");
                        let specs = self.required(table, "specs").map(|value| self.globs(value));
                        let rules = self.required(table, "rules").map(|value| self.choices(value));
                        self.project.overrides.extend(specs.zip(rules));
                    }
                }
                "budget" => {
                    for table in items(value) {
                        self.budget(table);
                    }
                }
                "python" => items(value).iter().for_each(|table| self.object(table)),
                _ => {}
            }
        }
        self.known(root, &ROOT, "in cnnkit.toml");
    }

    fn budget(&mut self, table: &Located) {
        let known = self.errors.len();
        self.known(table, &["specs", "limit", "ratchet"], "in `[[budget]]`");
        // A misspelt `limit` is one error, not two.
        let misspelt = self.errors.len() > known;
        let written = self.required(table, "specs");
        let place = written.map_or(table.span, |value| value.span);
        let specs = written.map(|value| self.globs(value)).unwrap_or_default();
        let mut budget = Budget { specs, place, limits: vec![], ratchet: vec![] };
        if let Some(value) = find(table, "limit") {
            let (limits, errors) = expectation::limits(value);
            budget.limits = limits;
            self.errors.extend(errors);
        }
        for item in find(table, "ratchet").map(items).unwrap_or_default() {
            let Some(name) = self.text(item) else { continue };
            let improves = |e: &expectation::Expectable| e.network && e.better.is_some();
            match EXPECTABLE.iter().find(|e| e.name == name && improves(e)) {
                Some(found) => budget.ratchet.push((found.quantity, item.span)),
                None => {
                    let names: Vec<&str> =
                        EXPECTABLE.iter().filter(|e| improves(e)).map(|e| e.name).collect();
                    let help = did_you_mean(&name, &names).unwrap_or_default();
                    self.error(Code::UnknownName, format!("`{name}` cannot be ratcheted"), item.span, help);
                }
            }
        }
        if budget.limits.is_empty() && budget.ratchet.is_empty() && !misspelt && self.errors.len() == known {
            let message = "a budget needs `limit` or `ratchet`".into();
            self.error(Code::Missing, message, table.span, "`limit = {params = {max = \"5M\"}}`");
        }
        self.project.budgets.push(budget);
    }

    fn choices(&mut self, value: &Located) -> Choices {
        let mut choices = Choices::default();
        for (key, value) in entries(value) {
            match key.name.as_str() {
                "select" => choices.select = Some(self.selectors(value)),
                "extend-select" => choices.extend = self.selectors(value),
                "ignore" => choices.ignore = self.selectors(value),
                name => self.rule(name, key, value, &mut choices),
            }
        }
        choices
    }

    /// Parses `CK301 = "error"`, or `CK301 = {level = "error", object = 64}`.
    fn rule(&mut self, name: &str, key: &Key, value: &Located, choices: &mut Choices) {
        let found = crate::rules::find(name);
        let Some(meta) = found.filter(|meta| RULES.iter().any(|rule| rule.meta().id == meta.id)) else {
            let (message, help) = match found {
                Some(meta) => (
                    format!("the level of `{}` cannot be changed", meta.id),
                    "it is always an error".to_owned(),
                ),
                None => {
                    let mut known: Vec<&str> =
                        RULES.iter().flat_map(|rule| [rule.meta().id, rule.meta().name]).collect();
                    known.extend(["select", "extend-select", "ignore"]);
                    let help = did_you_mean(name, &known).filter(|help| help.starts_with("did"));
                    (format!("there is no rule `{name}`"), help.unwrap_or("`cnnkit rules` lists them".into()))
                }
            };
            return self.error(Code::UnknownName, message, key.span, help);
        };
        let Value::Map(entries) = &value.value else {
            choices.levels.extend(self.level(value).map(|level| (meta.id, level)));
            return;
        };
        for (key, value) in entries {
            let declared = meta.settings.iter().any(|setting| setting.name == key.name);
            match (&value.value, key.name.as_str()) {
                (_, "level") => choices.levels.extend(self.level(value).map(|level| (meta.id, level))),
                (Value::Number(number), name) if declared => {
                    let number = number.to_f64().unwrap_or(f64::NAN);
                    choices.settings.push((meta.id, name.to_owned(), number));
                }
                (other, name) if declared => {
                    let message = format!("`{name}` is a number, found {}", other.describe());
                    self.error(Code::InvalidValue, message, value.span, "give a number without quotes");
                }
                (_, name) => {
                    let names: Vec<&str> =
                        meta.settings.iter().map(|setting| setting.name).chain(["level"]).collect();
                    let help = did_you_mean(name, &names).unwrap_or_default();
                    let message = format!("`{}` has no setting `{name}`", meta.name);
                    self.error(Code::UnknownName, message, key.span, help);
                }
            }
        }
    }

    /// Parses a level; the inner `None` is off.
    fn level(&mut self, value: &Located) -> Option<Option<Severity>> {
        match &value.value {
            Value::Text(text) => match text.as_str() {
                "off" => return Some(None),
                "note" => return Some(Some(Severity::Note)),
                "warning" => return Some(Some(Severity::Warning)),
                "error" => return Some(Some(Severity::Error)),
                _ => {}
            },
            Value::Bool(false) => return Some(None),
            _ => {}
        }
        let message = format!("expected a level, found {}", value.value.describe());
        let help = "`off`, `note`, `warning` or `error`";
        self.error(Code::InvalidValue, message, value.span, help);
        None
    }

    fn text(&mut self, value: &Located) -> Option<String> {
        if let Value::Text(text) = &value.value {
            return Some(text.clone());
        }
        let message = format!("expected text, found {}", value.value.describe());
        self.error(Code::InvalidValue, message, value.span, "put it into quotes");
        None
    }

    fn selectors(&mut self, value: &Located) -> Vec<Selector> {
        let mut list = Vec::new();
        for item in items(value) {
            let Some(text) = self.text(item) else { continue };
            match Selector::parse(&text) {
                Ok(selector) => list.push(selector),
                Err(problem) => {
                    self.error(problem.code, problem.message, item.span, problem.help.unwrap_or_default());
                }
            }
        }
        list
    }

    fn globs(&mut self, value: &Located) -> GlobSet {
        let mut set = GlobSetBuilder::new();
        for item in items(value) {
            let Some(text) = self.text(item) else { continue };
            match GlobBuilder::new(&text).literal_separator(true).build() {
                Ok(glob) => drop(set.add(glob)),
                Err(error) => {
                    let message = format!("`{text}` is not a glob: {}", error.kind());
                    self.error(Code::InvalidValue, message, item.span, "`*` is any name, `**` any folders");
                }
            }
        }
        set.build().unwrap_or_default()
    }

    fn required<'a>(&mut self, table: &'a Located, name: &str) -> Option<&'a Located> {
        let found = find(table, name);
        if found.is_none() {
            let message = format!("`{name}` is missing");
            self.error(Code::Missing, message, table.span, "for example `specs = [\"specs/**\"]`");
        }
        found
    }

    fn known(&mut self, table: &Located, names: &[&str], place: &str) {
        for (key, _) in entries(table).iter().filter(|(key, _)| !names.contains(&key.name.as_str())) {
            let help = did_you_mean(&key.name, names).unwrap_or_default();
            self.error(Code::UnknownName, format!("unknown key `{}` {place}", key.name), key.span, help);
        }
    }
}

fn entries(value: &Located) -> &[(Key, Located)] {
    if let Value::Map(entries) = &value.value { entries } else { &[] }
}

/// Returns the items of a list; a single value is a list of one.
fn items(value: &Located) -> &[Located] {
    if let Value::List(items) = &value.value { items } else { std::slice::from_ref(value) }
}

fn find<'a>(table: &'a Located, name: &str) -> Option<&'a Located> {
    entries(table).iter().find(|(key, _)| key.name == name).map(|(_, value)| value)
}
