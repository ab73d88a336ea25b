//! Fuzz targets of tokens and bodies. `./x fuzz` runs them, and the tests replay
//! their corpora.

use axum::http::HeaderMap;
use serde_json::{Map, Value};

use rest::RequestBody;

use crate::app_credential::ops::expiry;
use crate::app_credential::wire::CredentialFields;
use crate::catalog::wire::{EndpointFields, RegionFields, ServiceFields};
use crate::domain::wire::DomainFields;
use crate::domain_config::wire::GivenConfig;
use crate::ec2_token::request::Signed;
use crate::ec2_token::{s3, signature};
use crate::endpoint_filter::wire::EndpointGroupFields;
use crate::fields::{Change, New};
use crate::group::wire::GroupFields;
use crate::legacy_policy::wire::PolicyFields;
use crate::oauth_consumer::wire::ConsumerFields;
use crate::project::wire::ProjectFields;
use crate::role::wire::RoleFields;
use crate::token::fernet::{self, Key};
use crate::token::payload::Payload;
use crate::token::request::AuthRequest;
use crate::token::time::TokenTime;
use crate::trust;
use crate::trust::wire::TrustFields;
use crate::user::wire::{PasswordChange, UserFields};
use crate::user_credential::blob;
use crate::user_credential::wire::{BlobChange, UserCredentialFields};
use crate::{attributes, options};

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
        assert!(!issued_at.iso().starts_with('.'));
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
    assert!(!payload.expires_at.iso().starts_with('.'));
    let encoded = payload.encode().unwrap_or_default();
    assert_eq!(Payload::decode(&encoded), Some(payload));
    let issued_at = TokenTime::from_seconds(1_767_225_600).unwrap_or_default();
    let sealed = fernet::seal(key, issued_at, &encoded).unwrap_or_default();
    assert_eq!(fernet::open(key, &sealed), Some((issued_at, encoded)));
}

/// The body of `POST /v3/auth/tokens`.
pub fn token_request(data: &[u8]) {
    if let Ok(body) = rest::body::json(data, &HeaderMap::new()) {
        let _ = AuthRequest::read(Some(body));
    }
}

/// The other bodies.
pub fn identity_fields(data: &[u8]) {
    let Ok(body) = rest::body::json(data, &HeaderMap::new()) else {
        return;
    };
    if let Ok(New(user)) = New::<UserFields>::read(Some(body.clone())) {
        assert!(user.name.is_some_and(|n| !n.trim().is_empty()));
        let mut kept = Map::new();
        if attributes::merge_extra(&mut kept, user.extra).is_ok() {
            assert!(Value::Object(kept).to_string().len() <= 128 * 1024);
        }
        let mut stored = Map::new();
        let _ = options::apply(
            options::Kind::User,
            &mut stored,
            user.options.unwrap_or_default(),
        );
    }
    let project = Change::<ProjectFields>::read(Some(body.clone()));
    if let Ok(project) = project.and_then(|change| change.of("p")) {
        assert!(project.common.name.is_none_or(|n| n.chars().count() <= 64));
    }
    let _ = New::<DomainFields>::read(Some(body.clone()));
    let _ = Change::<DomainFields>::read(Some(body.clone()));
    let _ = Change::<RoleFields>::read(Some(body.clone()));
    let _ = New::<GroupFields>::read(Some(body.clone()));
    let _ = New::<ServiceFields>::read(Some(body.clone()));
    let _ = New::<RegionFields>::read(Some(body.clone()));
    if let Ok(New(endpoint)) = New::<EndpointFields>::read(Some(body.clone())) {
        endpoint.expand();
    }
    if let Ok(New(fields)) = New::<TrustFields>::read(Some(body.clone())) {
        let _ = trust::ops::expiry(fields.expires_at.as_deref());
    }
    let _ = New::<PasswordChange>::read(Some(body.clone()));
    let _ = New::<PolicyFields>::read(Some(body.clone()));
    let _ = New::<EndpointGroupFields>::read(Some(body.clone()));
    let _ = New::<ConsumerFields>::read(Some(body.clone()));
    if let Ok(signed) = Signed::read(Some(body.clone())) {
        assert!(!signature::is_valid(KEY, &signed));
        assert!(!s3::is_valid(KEY, &signed));
    }
    let _ = GivenConfig::read(Some(body.clone()));
    let _ = Change::<BlobChange>::read(Some(body.clone()));
    if let Ok(New(credential)) = New::<UserCredentialFields>::read(Some(body.clone())) {
        let _ = blob::access(&credential.blob);
        let _ = blob::check_change(&credential.blob, &credential.blob);
    }
    if let Ok(New(credential)) = New::<CredentialFields>::read(Some(body)) {
        let _ = expiry(credential.expires_at);
    }
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
