//! Fuzz targets of tokens and bodies. `./x fuzz` runs them, and the tests replay
//! their corpora.

use axum::http::HeaderMap;
use serde_json::Value;

use crate::app_credential;
use crate::call::Fields;
use crate::token::fernet::{self, Key};
use crate::token::payload::Payload;
use crate::token::wire;

/// Published with the format; tokens of this key appear in the corpus.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A token, the contents of one, and the file of a key.
pub fn fernet(data: &[u8]) {
    let Some(key) = Key::parse(KEY) else {
        return;
    };
    payload(&key, data);
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Some((issued_at, bytes)) = fernet::open(&key, text) {
        assert!(issued_at.checked_mul(1_000_000).is_some());
        payload(&key, &bytes);
    }
    if let Some(read) = Key::parse(text) {
        assert_eq!(
            Key::parse(&read.text()).map(|k| k.text()),
            Some(read.text())
        );
    }
}

/// The contents of a token, without the encryption, which a fuzzer cannot pass.
fn payload(key: &Key, bytes: &[u8]) {
    let Some(payload) = Payload::decode(bytes) else {
        return;
    };
    // Times are shown in microseconds.
    assert!(payload.expires_at.checked_mul(1_000_000).is_some());
    let encoded = payload.encode().unwrap_or_default();
    assert_eq!(Payload::decode(&encoded), Some(payload));
    let sealed = fernet::seal(key, 1_767_225_600, &encoded).unwrap_or_default();
    assert_eq!(fernet::open(key, &sealed), Some((1_767_225_600, encoded)));
}

/// The body of `POST /v3/auth/tokens`.
pub fn token_request(data: &[u8]) {
    if let Ok(body) = rest::body::json(data, &HeaderMap::new()) {
        let _ = wire::read(&body);
    }
}

/// The objects in other bodies.
pub fn identity_fields(data: &[u8]) {
    let Ok(Value::Object(map)) = rest::body::json(data, &HeaderMap::new()) else {
        return;
    };
    let names: Vec<String> = map.keys().cloned().collect();
    let fields = Fields(map);
    for name in &names {
        if let Ok(Some(text)) = fields.text(name, 64) {
            assert!(text.chars().count() <= 64);
        }
        let _ = fields.nullable(name, 64);
        let _ = fields.boolean(name);
    }
    if let Ok(name) = fields.required_name(255) {
        assert!(!name.trim().is_empty());
    }
    let _ = app_credential::ops::expiry(&fields);
}

#[cfg(test)]
mod tests {
    #[test]
    fn corpora_pass() {
        testkit::replay("fernet", super::fernet);
        testkit::replay("token_request", super::token_request);
        testkit::replay("identity_fields", super::identity_fields);
    }
}
