//! Signatures of requests to EC2, in the versions 0, 1, 2 and 4 that Keystone's clients
//! make.

use std::fmt::Write as _;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{self, HMAC_SHA1_FOR_LEGACY_USE_ONLY, HMAC_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::request::{Pairs, Signed, value_of};

const V4: &str = "AWS4-HMAC-SHA256";

/// Whether a request is signed with this secret. Some clients sign without the port of
/// the host.
pub(crate) fn is_valid(secret: &str, request: &Signed) -> bool {
    let matches = |request: &Signed| {
        let made = generate(secret, request);
        made.is_some_and(|made| is_same(&made, &request.signature))
    };
    if matches(request) {
        return true;
    }
    let Some(host) = without_port(&request.host) else {
        return false;
    };
    matches(&Signed {
        host,
        ..request.clone()
    })
}

/// Takes the same time for all signatures of one length.
pub(super) fn is_same(made: &str, given: &str) -> bool {
    verify_slices_are_equal(made.as_bytes(), given.as_bytes()).is_ok()
}

fn without_port(host: &str) -> Option<String> {
    let name = match host.strip_prefix('[') {
        Some(address) => address.split_once(']')?.0,
        None => host.rsplit_once(':')?.0,
    };
    Some(name.to_lowercase())
}

/// The signature that a request should have; `None` if it lacks a part.
fn generate(secret: &str, request: &Signed) -> Option<String> {
    let params = &request.params;
    match value_of(params, "SignatureVersion") {
        Some("0") => {
            let text = [value_of(params, "Action")?, value_of(params, "Timestamp")?].concat();
            Some(sha1(secret, &text))
        }
        Some("1") => {
            let mut sorted: Vec<_> = params.iter().collect();
            sorted.sort_by_key(|(name, _)| name.to_lowercase());
            let text: String = sorted.iter().map(|(n, v)| format!("{n}{v}")).collect();
            Some(sha1(secret, &text))
        }
        Some("2") => Some(version_2(secret, request)),
        None if is_version_4(request) => version_4(secret, request),
        _ => None,
    }
}

fn mac(algorithm: hmac::Algorithm, key: &[u8], text: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(algorithm, key);
    hmac::sign(&key, text).as_ref().to_vec()
}

pub(super) fn sha1(secret: &str, text: &str) -> String {
    sha1_of(secret, text.as_bytes())
}

pub(super) fn sha1_of(secret: &str, text: &[u8]) -> String {
    STANDARD.encode(mac(HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes(), text))
}

fn version_2(secret: &str, request: &Signed) -> String {
    let mut params = request.params.clone();
    params.retain(|(name, _)| name != "SignatureMethod");
    params.push(("SignatureMethod".to_owned(), "HmacSHA256".to_owned()));
    let (verb, host, path) = (&request.verb, &request.host, &request.path);
    let text = format!("{verb}\n{host}\n{path}\n{}", canonical_query(&params));
    STANDARD.encode(mac(HMAC_SHA256, secret.as_bytes(), text.as_bytes()))
}

fn is_version_4(request: &Signed) -> bool {
    match value_of(&request.headers, "Authorization") {
        Some(header) => header.starts_with(V4),
        None => value_of(&request.params, "X-Amz-Algorithm") == Some(V4),
    }
}

fn version_4(secret: &str, request: &Signed) -> Option<String> {
    let signed_headers = auth_part(request, "SignedHeaders")?;
    let query = match request.verb.eq_ignore_ascii_case("POST") {
        // The parameters are in the body.
        true => String::new(),
        false => canonical_query(&request.params),
    };
    let headers = canonical_headers(&request.headers, signed_headers);
    let (verb, path, hash) = (
        request.verb.to_uppercase(),
        &request.path,
        &request.body_hash,
    );
    let canonical = format!("{verb}\n{path}\n{query}\n{headers}\n{signed_headers}\n{hash}");
    let credential = auth_part(request, "Credential")?;
    let (_, scope) = credential.split_once('/')?;
    let mut parts = scope.split('/');
    let (date, region, service) = (parts.next()?, parts.next()?, parts.next()?);
    let time = amz_date(request)?;
    if date.is_empty() || !time.starts_with(date) {
        return None;
    }
    let hash = hex(digest(&SHA256, canonical.as_bytes()).as_ref());
    let text = format!("{V4}\n{time}\n{scope}\n{hash}");
    Some(version_4_of(
        secret,
        [date, region, service],
        text.as_bytes(),
    ))
}

/// Signs a text of version 4; `scope` is the date, the region and the service.
pub(super) fn version_4_of(secret: &str, scope: [&str; 3], text: &[u8]) -> String {
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [scope[0], scope[1], scope[2], "aws4_request"] {
        key = mac(HMAC_SHA256, &key, part.as_bytes());
    }
    hex(&mac(HMAC_SHA256, &key, text))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The date of a valid request. In version 4 it is `X-Amz-Date`, which is always signed;
/// `Timestamp` is not if it is a parameter of a `POST`.
pub(super) fn date(request: &Signed) -> Option<String> {
    let params = &request.params;
    let date = match value_of(params, "SignatureVersion") {
        None if is_version_4(request) => amz_date(request),
        _ => value_of(params, "Timestamp").or_else(|| amz_date(request)),
    };
    date.filter(|date| !date.is_empty()).map(str::to_owned)
}

/// `X-Amz-Date`, of the headers or of the parameters.
fn amz_date(request: &Signed) -> Option<&str> {
    value_of(&request.headers, "X-Amz-Date").or_else(|| value_of(&request.params, "X-Amz-Date"))
}

/// A part of the header `Authorization`, or the parameter for it.
fn auth_part<'a>(request: &'a Signed, name: &str) -> Option<&'a str> {
    let Some(header) = value_of(&request.headers, "Authorization") else {
        return value_of(&request.params, &format!("X-Amz-{name}"));
    };
    let (_, rest) = header.split_once(&format!("{name}="))?;
    rest.split(',').next()
}

fn canonical_headers(headers: &Pairs, signed: &str) -> String {
    let mut lines = Vec::new();
    for name in signed.split(';') {
        let same = |(n, _): &&(String, String)| n.trim().to_lowercase() == name;
        // Python keeps the last of several values.
        if let Some((_, value)) = headers.iter().rev().find(same) {
            lines.push(format!("{name}:{}", value.trim()));
        }
    }
    lines.join("\n") + "\n"
}

/// The parameters, sorted and encoded.
fn canonical_query(params: &Pairs) -> String {
    let mut sorted: Vec<_> = params.iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    let pair = |(name, value): &&(String, String)| format!("{}={}", quote(name), quote(value));
    let pairs: Vec<String> = sorted.iter().map(pair).collect();
    pairs.join("&")
}

/// Encodes all bytes other than letters, digits, `_`, `.`, `-` and `~`.
fn quote(text: &str) -> String {
    let mut quoted = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"_.-~".contains(&byte) {
            quoted.push(char::from(byte));
        } else {
            let _ = write!(quoted, "%{byte:02X}");
        }
    }
    quoted
}

#[cfg(test)]
mod tests;
