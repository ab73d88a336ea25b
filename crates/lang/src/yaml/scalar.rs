//! Types of plain scalars: PyYAML's implicit types (YAML 1.1), with timestamps
//! kept as text, as in Heat's loader.

use crate::Kind;

/// The value of a plain scalar; `None` for `.inf` and `.nan`, which templates
/// cannot store.
pub(super) fn implicit(text: &str) -> Option<Kind> {
    if matches!(text, "" | "~" | "null" | "Null" | "NULL") {
        return Some(Kind::Null);
    }
    if let Some(b) = boolean(text) {
        return Some(Kind::Bool(b));
    }
    let first = text.as_bytes().first().copied().unwrap_or_default();
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) {
        return Some(Kind::Text(text.to_owned()));
    }
    if is_not_finite(text) {
        return None;
    }
    Some(
        int(text)
            .or_else(|| float(text))
            .unwrap_or_else(|| Kind::Text(text.to_owned())),
    )
}

/// The value of a scalar with an explicit core tag; `None` if they do not
/// match.
pub(super) fn tagged(tag: &str, text: &str) -> Option<Kind> {
    match tag {
        "str" => Some(Kind::Text(text.to_owned())),
        "null" => Some(Kind::Null),
        "bool" => boolean(text).map(Kind::Bool),
        "int" => int(text),
        "float" => float(text).or_else(|| match int(text)? {
            #[expect(clippy::cast_precision_loss, reason = "the tag !!float requires it")]
            Kind::Int(i) => Some(Kind::Float(i as f64)),
            other => Some(other),
        }),
        // Heat keeps dates as text.
        "timestamp" => Some(Kind::Text(text.to_owned())),
        _ => None,
    }
}

fn boolean(text: &str) -> Option<bool> {
    Some(match text {
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => true,
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => false,
        _ => return None,
    })
}

fn is_not_finite(text: &str) -> bool {
    let bare = text.trim_start_matches(['+', '-']);
    matches!(bare, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN")
}

fn split_sign(text: &str) -> (i128, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (-1, &text[1..]),
        Some(b'+') => (1, &text[1..]),
        _ => (1, text),
    }
}

fn int(text: &str) -> Option<Kind> {
    let (sign, body) = split_sign(text);
    let magnitude = if let Some(bits) = body.strip_prefix("0b") {
        radix(bits, 2)?
    } else if let Some(hex) = body.strip_prefix("0x") {
        radix(hex, 16)?
    } else if body == "0" {
        0
    } else if let Some(octal) = body.strip_prefix('0') {
        radix(octal, 8)?
    } else if body.contains(':') {
        sexagesimal(body)?
    } else if body.starts_with(|c: char| c.is_ascii_digit()) {
        radix(body, 10)?
    } else {
        return None;
    };
    let value = sign.checked_mul(magnitude)?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "beyond 64 bits only a float is left"
    )]
    Some(i64::try_from(value).map_or_else(|_| Kind::Float(value as f64), Kind::Int))
}

fn radix(text: &str, radix: u32) -> Option<i128> {
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    // from_str_radix would accept a second sign.
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    i128::from_str_radix(&digits, radix).ok()
}

/// Parses an integer in base 60, which YAML 1.1 has: `1:30` is 90.
fn sexagesimal(text: &str) -> Option<i128> {
    let mut parts = text.split(':');
    let mut total = radix(parts.next()?, 10)?;
    for part in parts {
        let ok = (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        let digit: i128 = part.parse().ok().filter(|d| ok && *d < 60)?;
        total = total.checked_mul(60)?.checked_add(digit)?;
    }
    Some(total)
}

/// Parses a float, which needs a dot, and a sign in its exponent: `1e3` is text in
/// YAML 1.1.
fn float(text: &str) -> Option<Kind> {
    let (sign, body) = split_sign(text);
    let (mantissa, exponent) = match body.find(['e', 'E']) {
        Some(at) => (&body[..at], Some(&body[at + 1..])),
        None => (body, None),
    };
    let (whole, fraction) = mantissa.split_once('.')?;
    // PyYAML allows no sign before a bare dot.
    let leads = whole.starts_with(|c: char| c.is_ascii_digit())
        || (whole.is_empty() && body == text && fraction.starts_with(|c: char| c.is_ascii_digit()));
    let digits = |s: &str| s.chars().all(|c| c.is_ascii_digit() || c == '_');
    if !leads || !digits(fraction) {
        return None;
    }
    if let Some(e) = exponent {
        let rest = e.strip_prefix(['+', '-'])?;
        if rest.is_empty() || !rest.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
    }
    let whole = if whole.contains(':') && exponent.is_none() {
        sexagesimal(whole)?.to_string()
    } else if digits(whole) {
        whole.replace('_', "")
    } else {
        return None;
    };
    let fraction = fraction.replace('_', "");
    let e = exponent.map(|e| format!("e{e}")).unwrap_or_default();
    let value: f64 = format!("0{whole}.{fraction}0{e}").parse().ok()?;
    #[expect(clippy::cast_precision_loss, reason = "it is 1 or -1")]
    let value = value * sign as f64;
    value.is_finite().then_some(Kind::Float(value))
}
