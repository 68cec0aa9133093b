//! Files that a spec includes for their blocks.

use super::Reader;
use crate::diagnostic::{Code, Diagnostic, Problem, did_you_mean};
use crate::source::Span;
use crate::spec::Overrides;
use crate::spec::grammar::{self, Field};
use crate::value::{Located, Value};

/// Maximum number of files that one spec may include.
const MAX_FILES: usize = 64;

impl Reader<'_> {
    pub(super) fn include(&mut self, from: &str, value: &Located) {
        let list = match &value.value {
            Value::List(list) => list.clone(),
            Value::Text(_) => vec![value.clone()],
            other => {
                self.errors.push(
                    Diagnostic::error(
                        Code::InvalidValue,
                        format!("`include` is {}", other.describe()),
                        value.span,
                    )
                    .help("it is a list of files: `include: [../blocks/resnet.yaml]`"),
                );
                return;
            }
        };
        for item in list {
            let Value::Text(include) = &item.value else {
                let message = format!("expected a file name, found {}", item.value.describe());
                self.errors.push(
                    Diagnostic::error(Code::Include, message, item.span)
                        .help("a file name, relative to this file: `../blocks/resnet.yaml`"),
                );
                continue;
            };
            match self.files.resolve(from, include) {
                Ok(path) => self.include_one(&path, item.span),
                Err(problem) => {
                    self.errors.push(Problem { code: Code::Include, ..problem }.located(item.span));
                }
            }
        }
    }

    fn include_one(&mut self, path: &str, at: Span) {
        match self.open.iter().find(|(open, _)| open == path) {
            Some((_, true)) => return, // read before: its blocks are known
            Some((_, false)) => {
                let chain: Vec<&str> =
                    self.open.iter().filter(|(_, done)| !done).map(|(open, _)| open.as_str()).collect();
                self.errors.push(
                    Diagnostic::error(Code::Include, format!("`{path}` includes itself"), at)
                        .help(format!("the cycle is {} -> {path}", chain.join(" -> "))),
                );
                return;
            }
            None => {}
        }
        if self.open.len() >= MAX_FILES {
            self.errors.push(
                Diagnostic::error(Code::Limit, format!("more than {MAX_FILES} files are included"), at)
                    .help("put blocks that belong together into one file"),
            );
            return;
        }
        let Some((source, root)) = self.parse(path, Some(at)) else { return };
        let position = self.open.len();
        self.open.push((path.to_owned(), false));
        if let Value::Map(entries) = &root.value {
            let allowed: Vec<&Field> = grammar::DOCUMENT
                .iter()
                .filter(|f| {
                    ["description", "include", "variables", "defaults", "blocks", "name"].contains(&f.name)
                })
                .collect();
            for (key, _) in entries {
                if !allowed.iter().any(|field| field.name == key.name) {
                    let known = grammar::DOCUMENT.iter().any(|field| field.name == key.name);
                    let message = if known {
                        format!("an included file defines blocks, it cannot have `{}`", key.name)
                    } else {
                        format!("unknown key `{}` in an included file", key.name)
                    };
                    let names: Vec<&str> = allowed.iter().map(|field| field.name).collect();
                    let mut error = Diagnostic::error(Code::UnknownName, message, key.span);
                    error.help.extend(did_you_mean(&key.name, &names));
                    self.errors.push(error);
                }
            }
            self.scope(path, source, entries, &Overrides::default());
        } else if root.value != Value::Null {
            let message = format!("expected a file of blocks, found {}", root.value.describe());
            self.errors.push(
                Diagnostic::error(Code::Include, message, root.span)
                    .help("it starts with `blocks:`, then a name and its layers"),
            );
        }
        self.open[position].1 = true;
    }
}
