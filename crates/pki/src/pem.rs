//! Reading and writing PEM.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Encodes a PEM block: Base64 in lines of 64 characters, with a final newline.
pub(crate) fn encode(label: &str, der: &[u8]) -> String {
    let body = Zeroizing::new(STANDARD.encode(der));
    let mut out = String::with_capacity(body.len() + body.len() / 64 + 2 * label.len() + 40);
    out.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest: &str = &body;
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = tail;
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

/// The DER content of the first block with one of the labels; text around
/// blocks (as written by openssl) is ignored. `None` if there is none.
#[must_use]
pub fn first_der(text: &str, labels: &[&str]) -> Option<Zeroizing<Vec<u8>>> {
    labels
        .iter()
        .filter_map(|label| {
            let begin = format!("-----BEGIN {label}-----");
            let end = format!("-----END {label}-----");
            let start = text.find(&begin)?;
            let body = &text[start + begin.len()..];
            let body = &body[..body.find(&end)?];
            let compact: Zeroizing<String> =
                Zeroizing::new(body.chars().filter(|c| !c.is_whitespace()).collect());
            let der = STANDARD.decode(compact.as_bytes()).ok()?;
            Some((start, Zeroizing::new(der)))
        })
        .min_by_key(|(start, _)| *start)
        .map(|(_, der)| der)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_found_again() {
        for length in [0usize, 1, 47, 48, 49, 200] {
            let data = vec![9u8; length];
            let text = format!("noise\n{}more", encode("THING", &data));
            assert_eq!(
                first_der(&text, &["OTHER", "THING"]).unwrap().as_slice(),
                data
            );
        }
        assert!(first_der("-----BEGIN THING-----\n!!\n-----END THING-----", &["THING"]).is_none());
        assert!(first_der("-----BEGIN THING-----\nAAAA", &["THING"]).is_none());
    }
}
