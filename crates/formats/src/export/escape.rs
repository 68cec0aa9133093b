//! Text between double quotes, with escapes that Python and YAML share.

/// Returns `text` between double quotes: a string literal of Python, a double-quoted scalar of YAML.
pub(super) fn double_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match (c, u32::from(c)) {
            ('\\' | '"', _) => out.extend(['\\', c]),
            (' '..='~', _) => out.push(c),
            (c, _) if c.is_alphanumeric() => out.push(c),
            (_, code @ 0..=0xff) => out += &format!("\\x{code:02x}"),
            (_, code @ 0..=0xffff) => out += &format!("\\u{code:04x}"),
            (_, code) => out += &format!("\\U{code:08x}"),
        }
    }
    out.push('"');
    out
}
