//! An expression, in every place of a spec that evaluates one.

use super::everything::load;

/// Most bytes of an expression that are worth the time.
const MOST: usize = 2000;

/// Loads a spec in which the text is an argument, a condition, a count, an id and a variable.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(&bytes[..bytes.len().min(MOST)]) else { return };
    // What a quoted YAML text can have in one line.
    let text = text.replace('\'', "''").replace(char::is_control, " ");
    load(
        "net.yaml",
        format!(
            "variables: {{a: 3, b: [1, 2], c: true, d: same, e: '{text}'}}
input: [3, 8, 8]
layers:
  - conv: {{out_channels: '{text}', kernel: 1}}
  - if: '{text}'
    sequential: [relu]
  - repeat: {{times: '{text}', id: 'x${{{text}}}', body: [relu]}}
  - repeat: {{for: {{i: '{text}'}}, body: [conv: {{out_channels: $i, kernel: 1}}]}}
"
        )
        .as_bytes(),
    );
}
