//! Fuzz targets of the parsers of requests. `./x fuzz` runs them, and the tests
//! replay their corpora.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, Uri};
use kernel::{Ctx, Scope, Target};
use serde_json::Value;

use crate::policy::Undeclared;
use crate::version::Negotiator;
use crate::{Microversion, body, link, query};

const MEDIA_TYPES: &[&str] = &[
    "",
    "application/json",
    "Application/JSON ; charset=utf-8",
    "application/octet-stream",
    "application/json-patch+json",
    "text/plain",
];

/// A JSON body; the first byte selects the media type.
pub fn json_body(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else {
        return;
    };
    let media = MEDIA_TYPES[usize::from(*choice) % MEDIA_TYPES.len()];
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    let Ok(value) = body::json(bytes, &headers) else {
        return;
    };
    assert!(media != "text/plain", "another media type is refused");
    assert!(!has_refused(&value), "a control character is refused");
    // The reader of floats is not exact in the last digit.
    if !has_float(&value) {
        let again = body::json(value.to_string().as_bytes(), &headers);
        assert_eq!(again.ok(), Some(value));
    }
}

/// Whether a text has a control character that no text may have, or the name of a
/// field has any control character.
fn has_refused(value: &Value) -> bool {
    let of_text = |c: char| c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\r');
    let of_name = |c: char| c.is_ascii_control();
    match value {
        Value::String(text) => text.contains(of_text),
        Value::Array(items) => items.iter().any(has_refused),
        Value::Object(map) => map
            .iter()
            .any(|(k, v)| k.contains(of_name) || has_refused(v)),
        _ => false,
    }
}

fn has_float(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_float),
        Value::Object(map) => map.values().any(has_float),
        _ => false,
    }
}

/// A URL: path and query.
pub fn url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    assert_eq!(query::decode_segment(&query::encode(text)), text);
    let Ok(uri) = format!("/{text}").parse::<Uri>() else {
        return;
    };
    let pairs = query::pairs(uri.query());
    if query::check_text(&uri).is_ok() {
        let control = |text: &str| text.chars().any(|c| c.is_ascii_control());
        let segments = uri.path().split('/').map(query::decode_segment);
        assert!(!segments.into_iter().any(|s| control(&s)), "{uri}");
        assert!(
            !pairs.iter().any(|(k, v)| control(k) || control(v)),
            "{uri}"
        );
    }
    let borrowed: Vec<(&str, &str)> = pairs.iter().map(|(k, v)| (&**k, &**v)).collect();
    let parsed = link::with_query("/list", &borrowed).parse::<Uri>();
    // The parser of URLs has a limit of length.
    if let Ok(next) = parsed {
        assert_eq!(query::pairs(next.query()), pairs);
    }
}

const VERSIONS: Negotiator = Negotiator {
    services: &["container-infrastructure-management", "container-infra"],
    min: Microversion::new(1, 1),
    max: Microversion::new(1, 14),
};

/// The value of the header `OpenStack-API-Version`.
pub fn api_version(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else {
        return;
    };
    let mut headers = HeaderMap::new();
    headers.insert("openstack-api-version", value);
    let Ok(used) = VERSIONS.negotiate(&headers) else {
        return;
    };
    assert!((VERSIONS.min..=VERSIONS.max).contains(&used.version));
    let mut answer = HeaderMap::new();
    VERSIONS.answer(&used, &mut answer);
    // The answer names the version as a client may ask for it.
    assert_eq!(VERSIONS.negotiate(&answer), Ok(used));
}

/// Rules of a policy file, one `name: rule` per line.
pub fn policy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut policies = Undeclared::default();
    let mut names = Vec::new();
    for line in text.lines().take(64) {
        let (name, rule) = line.split_once(':').unwrap_or(("", line));
        if policies.set(name, rule) {
            names.push((name, rule));
        }
    }
    let callers = [Ctx::default(), member(), Ctx::service("r")];
    let targets = [Target::default(), Target::project("p1")];
    for (name, rule) in names {
        for ctx in &callers {
            for target in &targets {
                policies.allows(name, ctx, target);
                check_negation(&policies, rule, ctx, target);
            }
        }
    }
}

/// A rule without references to others is the opposite of its negation.
fn check_negation(policies: &Undeclared, rule: &str, ctx: &Ctx, target: &Target) {
    if rule.len() > 40 || rule.contains("rule:") || rule.trim().is_empty() {
        return;
    }
    let mut both = policies.clone();
    if both.set("+", rule) && both.set("-", &format!("not ( {rule} )")) {
        assert_ne!(
            both.allows("+", ctx, target),
            both.allows("-", ctx, target),
            "{rule}"
        );
    }
}

fn member() -> Ctx {
    Ctx {
        user_id: "u1".into(),
        scope: Scope::Project {
            id: "p1".into(),
            name: "p".into(),
            domain_id: "default".into(),
        },
        roles: vec!["member".into(), "reader".into()],
        ..Ctx::default()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn corpora_pass() {
        testkit::replay("json_body", super::json_body);
        testkit::replay("url", super::url);
        testkit::replay("api_version", super::api_version);
        testkit::replay("policy", super::policy);
    }
}
