//! Conversion of values to text, in the format of Python (Heat's language).

use std::fmt::Write as _;

use serde_json::Value;
use sha2::Digest as _;

use super::budget::MAX_OUTPUT;

/// The text of a value: that of Python's `str()` for a scalar, an empty text for null,
/// and JSON with sorted keys for a list or a map.
#[must_use]
pub fn python_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Number(n) => match (n.is_f64(), n.as_f64()) {
            (true, Some(f)) => format!("{f:?}"),
            _ => n.to_string(),
        },
        Value::String(s) => s.clone(),
        Value::Array(_) | Value::Object(_) => to_sorted_json(value),
    }
}

/// JSON with sorted keys, a space after `,` and `:`, and ASCII only.
#[must_use]
pub fn to_sorted_json(value: &Value) -> String {
    let mut out = String::new();
    write_json(value, &mut out);
    out
}

fn write_json(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write_json(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            out.push('{');
            for (i, key) in keys.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write_text(key, out);
                out.push_str(": ");
                write_json(&map[*key], out);
            }
            out.push('}');
        }
        Value::String(s) => write_text(s, out),
        other => out.push_str(&other.to_string()),
    }
}

fn write_text(text: &str, out: &mut String) {
    let quoted = Value::String(text.to_owned()).to_string();
    for c in quoted.chars() {
        if c.is_ascii() {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
}

/// The hexadecimal digest of a text in Latin-1, as in Heat's function `digest`.
///
/// # Errors
/// An unknown algorithm, or a character that Latin-1 does not have.
pub fn digest(algorithm: &str, text: &str) -> Result<String, String> {
    let bytes: Vec<u8> = text
        .chars()
        .map(|c| u8::try_from(u32::from(c)))
        .collect::<Result<_, _>>()
        .map_err(|_| "The text of digest must be in Latin-1.".to_owned())?;
    Ok(match algorithm.to_lowercase().as_str() {
        "md5" => hex(&md5::Md5::digest(&bytes)),
        "sha1" => hex(&sha1::Sha1::digest(&bytes)),
        "sha224" => hex(&sha2::Sha224::digest(&bytes)),
        "sha256" => hex(&sha2::Sha256::digest(&bytes)),
        "sha384" => hex(&sha2::Sha384::digest(&bytes)),
        "sha512" => hex(&sha2::Sha512::digest(&bytes)),
        _ => {
            return Err(format!(
                "Algorithm \"{algorithm}\" is not supported; use md5, sha1, sha224, sha256, sha384 or sha512."
            ));
        }
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

/// A parameter of `str_replace`.
pub(super) struct Substitute {
    pub key: String,
    pub value: String,
    /// Whether the key occurred in the text.
    pub found: bool,
}

/// Maximum number of pieces of a text that are searched for keys.
const MAX_WORK: usize = 10_000_000;

/// A piece of a text during replacement.
enum Piece {
    /// Not replaced yet.
    Open(String),
    /// A replacement, which is not scanned again.
    Put(String),
}

/// Replaces all keys as Heat does: longer keys first, and keys of the same length in
/// alphabetical order.
///
/// # Errors
/// The result has more than `limit` bytes, or there are too many keys for a long
/// template.
pub(super) fn replace_all(
    template: String,
    params: &mut [Substitute],
    limit: usize,
) -> Result<String, String> {
    params.sort_by(|a, b| {
        let longer = b.key.len().cmp(&a.key.len());
        longer.then_with(|| a.key.cmp(&b.key))
    });
    let mut size = template.len();
    let mut pieces = vec![Piece::Open(template)];
    let mut work = 0;
    for param in params.iter_mut().filter(|p| !p.key.is_empty()) {
        work += pieces.len();
        if work > MAX_WORK {
            return Err("\"str_replace\" has too many params for such a long template.".into());
        }
        let mut next = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let text = match piece {
                Piece::Open(text) if text.contains(&param.key) => text,
                other => {
                    next.push(other);
                    continue;
                }
            };
            let mut parts = text.split(param.key.as_str());
            next.push(Piece::Open(parts.next().unwrap_or_default().to_owned()));
            for part in parts {
                param.found = true;
                size = size.saturating_add(param.value.len());
                if size > limit {
                    return Err(format!(
                        "The value would take more than {MAX_OUTPUT} bytes."
                    ));
                }
                next.push(Piece::Put(param.value.clone()));
                next.push(Piece::Open(part.to_owned()));
            }
        }
        pieces = next;
    }
    let texts = pieces.into_iter().map(|p| match p {
        Piece::Open(text) | Piece::Put(text) => text,
    });
    Ok(texts.collect())
}
