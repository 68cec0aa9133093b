//! The file: head, policy, style, data, script.

use super::Book;
use super::digest::{base64, sha256};

/// The modules of the page; a module stands behind what it imports.
const MODULES: &[(&str, &str)] = &[
    ("sets.js", include_str!("page/sets.js")),
    ("support.js", include_str!("page/support.js")),
    ("ways.js", include_str!("page/ways.js")),
    ("text.js", include_str!("page/text.js")),
    ("dom.js", include_str!("page/dom.js")),
    ("model.js", include_str!("page/model.js")),
    ("head.js", include_str!("page/head.js")),
    ("place.js", include_str!("page/place.js")),
    ("graph.js", include_str!("page/graph.js")),
    ("card.js", include_str!("page/card.js")),
    ("picture.js", include_str!("page/picture.js")),
    ("microscope.js", include_str!("page/microscope.js")),
    ("charts.js", include_str!("page/charts.js")),
    ("table.js", include_str!("page/table.js")),
    ("book.js", include_str!("page/book.js")),
    ("main.js", include_str!("page/main.js")),
];

const STYLE: &str = include_str!("page/page.css");

/// Returns the page of `book`.
pub fn write(book: &Book) -> String {
    let script = script();
    let hash = |text: &str| format!("'sha256-{}'", base64(&sha256(text.as_bytes())));
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data: blob:; base-uri 'none'; form-action 'none'",
        hash(&script),
        hash(STYLE),
    );
    let title = escaped(&crate::render::safe::visible(&book.title()));
    let data = in_script(&serde_json::to_string(book).unwrap_or_else(|_| "null".to_owned()));
    let version = env!("CARGO_PKG_VERSION");
    format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="cnnkit {version}">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<noscript><p>This report draws its figures with the script inside this file: allow scripts to see it.</p></noscript>
<div id="app"></div>
<script type="application/json" id="data">{data}</script>
<script type="module">{script}</script>
</body>
</html>
"#
    )
}

/// Returns the modules as one script: without imports, and with nothing exported.
fn script() -> String {
    let mut all = String::from("'use strict';\n");
    for (_, text) in MODULES {
        let mut importing = false;
        for line in text.lines() {
            importing |= line.starts_with("import ");
            if importing {
                importing = !line.ends_with(';');
                continue;
            }
            all += line.strip_prefix("export ").unwrap_or(line);
            all.push('\n');
        }
    }
    all
}

/// Returns JSON that stands inside a `script` element: no `<` begins a tag or ends the element, and no line separator
/// ends a line. All of these occur inside strings only.
fn in_script(json: &str) -> String {
    crate::render::safe::json(json).replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// Returns text with the characters escaped that HTML reads as markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_one_script_that_no_tag_ends() {
        let script = script();
        assert!(!script.contains("</") || !script.to_lowercase().contains("</script"));
        assert!(!script.lines().any(|line| line.starts_with("import ") || line.starts_with("export ")));
        assert!(!STYLE.to_lowercase().contains("</style"));
        // One scope: no two modules may define one name.
        let mut names: Vec<&str> = Vec::new();
        for line in script.lines() {
            let line = line.strip_prefix("async ").unwrap_or(line);
            let begins =
                ["function ", "const ", "let ", "class "].iter().find_map(|word| line.strip_prefix(word));
            if let Some(rest) = begins {
                names.push(rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or(rest));
            }
        }
        names.sort_unstable();
        let twice: Vec<_> =
            names.windows(2).filter(|pair| pair[0] == pair[1] && !pair[0].is_empty()).collect();
        assert!(twice.is_empty(), "{twice:?}");
    }

    #[test]
    fn modules_stand_behind_what_they_import() {
        for (index, (name, text)) in MODULES.iter().enumerate() {
            for line in text.lines().filter(|line| line.contains(" from './")) {
                let from = line.split("'./").nth(1).and_then(|rest| rest.split('\'').next()).expect("a path");
                let at = MODULES.iter().position(|(other, _)| *other == from);
                assert!(at.is_some_and(|at| at < index), "{name} imports {from}");
            }
        }
    }

    #[test]
    fn data_ends_no_element() {
        let json = in_script(r#"{"name":"</script><img onerror=x> & <!--"}"#);
        assert!(!json.contains('<') && !json.contains('>') && !json.contains('&'));
        let back: serde_json::Value = serde_json::from_str(&json).expect("the same JSON");
        assert_eq!(back["name"], "</script><img onerror=x> & <!--");
    }
}
