//! Tables on terminals of any width: nothing is cut, no row is lost, no column is left out without a word.

use crate::support::program::cnnkit;

/// A call of every command with tables, quick enough to be made at every width.
const CALLS: &[&str] = &[
    "params zoo:squeeze-excite --depth all",
    "compare zoo:bottleneck-plain zoo:bottleneck",
    "rf zoo:shuffle-unit --effective --all",
    "rf zoo:residual --exact --unit 3,3",
    "sizes zoo:unet --near 500",
    "tile zoo:context_module_basic --image 400 --tile 200",
    "stream zoo:tcn --rate 16000",
    "channels zoo:group-conv",
    "paths zoo:residual",
    "paths zoo:dense",
    "graph zoo:resnet18",
    "gridding 1,1,1 --steps",
    "gridding 2,2,2",
    "gridding zoo:dilated-sawtooth",
    "hdc-check 1,2,5",
    "hdc-check 2,2,3 --explain",
    "hdc-check zoo:dilated-sawtooth",
    "hdc-design --layers 3 --max-rate 5",
    "hdc-design --survey 3,6",
    "demo",
    "demo gridding",
    "demo residual",
    "diff zoo:bottleneck-plain zoo:bottleneck",
    "check specs/techniques --select all --exit-zero",
    "rules",
    "explain CK301",
    "layers",
    "layers conv",
    "zoo",
];

fn at(call: &str, width: Option<usize>, color: bool) -> String {
    let mut command = cnnkit(&call.split(' ').collect::<Vec<_>>());
    match width {
        Some(width) => command.env("COLUMNS", width.to_string()),
        None => command.env_remove("COLUMNS"),
    };
    if color {
        command.args(["--color", "always"]);
    }
    let output = command.output().expect("the program runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(!text.is_empty(), "{call}: {}", String::from_utf8_lossy(&output.stderr));
    text
}

/// The text without its escape sequences.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut escape = false;
    for c in text.chars() {
        match c {
            '\u{1b}' => escape = true,
            'm' if escape => escape = false,
            _ if escape => {}
            c => out.push(c),
        }
    }
    out
}

/// How often each letter and digit occurs.
fn letters(text: &str) -> [usize; 128] {
    let mut counts = [0; 128];
    for byte in text.bytes().filter(u8::is_ascii_alphanumeric) {
        counts[usize::from(byte)] += 1;
    }
    counts
}

#[test]
fn nothing_is_cut_at_any_width_or_in_a_pipe() {
    for call in CALLS {
        let whole = at(call, None, false);
        for width in [40, 80] {
            let text = at(call, Some(width), false);
            assert!(!text.contains('…') || call.contains("gridding"), "{call} at {width}:\n{text}");
            assert!(
                text.lines().all(|line| !line.ends_with(' ')),
                "{call} at {width} ends in blanks:\n{text}"
            );
            if width < 80 {
                // Records have no title for the first column.
                continue;
            }
            // What is left out is named: there may be more text, never less.
            let (wide, narrow) = (letters(&whole), letters(&text));
            let dropped = text.contains("left out for want of room");
            let lost = (0..128).find(|&byte| narrow[byte] < wide[byte]);
            // Maps choose their glyphs by the width.
            let map = call.starts_with("gridding") || *call == "demo gridding";
            // Lines of a source are shown as far as there is room.
            let source = call.starts_with("check");
            assert!(
                dropped || map || source || lost.is_none(),
                "{call} at {width} loses `{}`:\n{text}",
                lost.unwrap_or(0) as u8 as char
            );
        }
    }
}

#[test]
fn lines_are_as_wide_as_the_terminal_at_most() {
    for call in CALLS {
        // Sources, shell lines and bars are drawn as they are.
        let drawn = ["explain", "layers conv", "check", "paths", "rf zoo:residual", "demo"];
        for width in [60, 120] {
            let text = at(call, Some(width), false);
            let wide: Vec<&str> = text.lines().filter(|line| line.chars().count() > width).collect();
            assert!(
                wide.is_empty()
                    || drawn.iter().any(|start| call.starts_with(start))
                    || call.starts_with("graph"),
                "{call} at {width}: {wide:#?}"
            );
        }
    }
}

#[test]
fn colour_changes_no_character() {
    for call in CALLS {
        for width in [40, 80] {
            assert_eq!(
                plain(&at(call, Some(width), true)),
                at(call, Some(width), false),
                "{call} at {width}"
            );
        }
    }
}

#[test]
fn hdc_check_keeps_all_3_rows_at_every_width() {
    for width in (40..=100).step_by(6) {
        let text = at("hdc-check 1,2,5", Some(width), false);
        for row in ["M_1", "M_2", "M_3"] {
            assert!(text.lines().any(|line| line.starts_with(row)), "{row} at {width}:\n{text}");
        }
    }
}

#[test]
fn compare_names_the_columns_that_it_leaves_out() {
    for width in (40..=100).step_by(6) {
        let text = at("compare zoo:bottleneck-plain zoo:bottleneck", Some(width), false);
        let hidden = text.lines().find(|line| line.contains("left out")).unwrap_or_default();
        for column in ["RF", "peak f32", "output"] {
            let title =
                text.lines().take_while(|line| !line.starts_with('─')).any(|line| line.contains(column));
            let record = text.contains(&format!("  {column}  "));
            let split = column == "peak f32" && text.contains("peak");
            assert!(title || record || split || hidden.contains(column), "{column} at {width}:\n{text}");
        }
    }
}

#[test]
fn a_row_is_a_line_in_a_pipe() {
    let text = at("zoo", None, false);
    let line = text.lines().find(|line| line.starts_with("deeplabv3_resnet50")).expect("a line");
    assert!(line.ends_with("(Chen et al. 2017, arXiv:1706.05587)"), "{line}");
}

#[test]
fn numbers_of_two_digits_in_gridding_1_1_1_stay_apart() {
    let text = at("gridding 1,1,1", Some(80), false);
    assert!(text.contains(" 36 42 36 "), "{text}");
    assert!(at("gridding 1,1", Some(80), false).contains(" 3 6 9 6 3"));
}
