//! Query strings as a list of pairs: services decide which keys they support,
//! in which version.

use axum::http::Uri;
use kernel::{Error, Result};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// All characters but those that RFC 3986 calls unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Decodes `a=b&c` into pairs; a key without `=` has an empty value.
#[must_use]
pub fn pairs(query: Option<&str>) -> Vec<(String, String)> {
    form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .into_owned()
        .collect()
}

/// Decodes a segment of a path; invalid escapes are unchanged.
#[must_use]
pub fn decode_segment(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Encodes a value for a query string.
#[must_use]
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Rejects a path or a query that is not UTF-8 or has control characters. No name or
/// id has control characters, and PostgreSQL does not store or compare all of them.
///
/// # Errors
/// `Invalid`.
pub fn check_text(uri: &Uri) -> Result<()> {
    for (part, text) in [
        ("path", uri.path()),
        ("query", uri.query().unwrap_or_default()),
    ] {
        let wrong = |what: &str| Error::invalid(part, format!("The {part} of the URL {what}."));
        let Ok(decoded) = percent_decode_str(text).decode_utf8() else {
            return Err(wrong("is not valid UTF-8; correct its encoding"));
        };
        if decoded.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(wrong("contains a control character; remove it"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_and_broken_escapes_stay() {
        let got = pairs(Some("name=a%20b+c&x&bad=%zz&half=%4"));
        let want = [("name", "a b c"), ("x", ""), ("bad", "%zz"), ("half", "%4")];
        assert_eq!(got, want.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        let text = "a b&c=d/%ü-._~";
        assert_eq!(encode(text), "a%20b%26c%3Dd%2F%25%C3%BC-._~");
        assert_eq!(decode_segment(&encode(text)), text);
        // Only a query has `+` for a space.
        assert_eq!(decode_segment("a+b"), "a+b");
    }

    #[test]
    fn control_characters_are_rejected_in_paths_and_queries() {
        let check = |text: &str| check_text(&text.parse().unwrap());
        assert!(check("/v3/users/a%00b").is_err());
        assert!(check("/v3/users?name=%0Ax").is_err());
        assert!(check("/v3/users?name%7f=x").is_err());
        assert!(check("/v3/users/%ff").is_err());
        assert!(check("/v3/users?name=%c3").is_err());
        assert!(check("/v3/users/%C3%BC?name=a%20b%2").is_ok());
    }
}
