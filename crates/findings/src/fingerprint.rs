//! Identifies a finding while the text around it changes: by the rule, the layer and the line's own content, not its
//! number.

use std::collections::HashMap;

use crate::{Checked, Located, in_project};

/// Maximum number of bytes of a line that count.
const MAX_LINE: usize = 4096;

/// Returns one fingerprint per finding. Identical findings are numbered, so that two of them remain two.
pub fn fingerprints(spec: &Checked, findings: &[Located]) -> Vec<String> {
    let mut seen: HashMap<u64, u64> = HashMap::new();
    let mut out = Vec::with_capacity(findings.len());
    let mut known: HashMap<&str, String> = HashMap::new();
    for finding in findings {
        let (file, content) = match finding.span {
            Some(span) => {
                let source = spec.sources.get(span.source);
                let start = spec.sources.line_start(span.source, span.start);
                // The start of a long line identifies it: it may have thousands of findings.
                let near = (start + MAX_LINE).min(source.text.len());
                let end = (near..=source.text.len()).find(|&at| source.text.is_char_boundary(at));
                let line = source.text[start..end.unwrap_or(start)].lines().next().unwrap_or("");
                // The comment of a line is not part of the network.
                (source.name.as_str(), line.split(" #").next().unwrap_or(line).trim())
            }
            None => (spec.path.as_str(), ""),
        };
        let file = known.entry(file).or_insert_with(|| in_project(file)).as_str();
        let node = finding.node.as_deref().unwrap_or("");
        let hash = fnv1a([finding.rule.id, file, node, content].join("\u{0}").as_bytes());
        let count = seen.entry(hash).or_default();
        out.push(format!("{:016x}", hash.wrapping_add(*count)));
        *count += 1;
    }
    out
}

/// Computes the 64-bit FNV-1a hash: stable from release to release, unlike the standard library's.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        // Test vectors of draft-eastlake-fnv.
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
