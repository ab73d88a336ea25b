//! The contents of key pairs of EC2, which are JSON objects.

use std::fmt::Write as _;

use kernel::{Error, Result};
use serde_json::{Map, Value, json};

/// The id of a credential with this access key, by which a signed request finds it.
pub(crate) fn id_of(access: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, access.as_bytes());
    let mut id = String::new();
    for byte in digest.as_ref() {
        let _ = write!(id, "{byte:02x}");
    }
    id
}

/// The blob of a new key pair.
pub(crate) fn new_pair(access: &str, secret: &str) -> String {
    json!({"access": access, "secret": secret, "trust_id": null}).to_string()
}

/// A member of a stored blob; `None` if it is no text.
pub(crate) fn member(blob: &str, name: &str) -> Option<String> {
    let object: Value = serde_json::from_str(blob).ok()?;
    object.get(name)?.as_str().map(str::to_owned)
}

/// Whether a stored blob has a member that is not null.
pub(crate) fn has(blob: &str, name: &str) -> bool {
    let object: Option<Value> = serde_json::from_str(blob).ok();
    object.is_some_and(|object| object.get(name).is_some_and(|value| !value.is_null()))
}

/// The access key of a blob that a user gives.
///
/// # Errors
/// `Invalid` with Keystone's texts, which do not contain the blob.
pub(crate) fn access(blob: &str) -> Result<String> {
    let object = read(blob)?;
    match object.get("access") {
        Some(Value::String(access)) if !access.is_empty() => Ok(access.clone()),
        None | Some(Value::Null) => Err(expecting("access")),
        Some(_) => Err(invalid()),
    }
}

/// What limits the tokens of a key pair; it stays as it was created.
const SCOPE: &[&str] = &["trust_id", "app_cred_id", "access_token_id", "access_id"];

/// Checks the new blob of a key pair.
///
/// # Errors
/// As [`access`]; `Invalid` if it changes the scope of the key pair.
pub(crate) fn check_change(old: &str, new: &str) -> Result<()> {
    access(new)?;
    let (old, new) = (read(old)?, read(new)?);
    for name in SCOPE {
        let value = |object: &Map<String, Value>| object.get(*name).cloned().unwrap_or_default();
        if value(&old) != value(&new) {
            let text = format!("{name} can not be updated for credential");
            return Err(Error::invalid("blob", text));
        }
    }
    Ok(())
}

fn read(blob: &str) -> Result<Map<String, Value>> {
    match serde_json::from_str(blob) {
        Ok(Value::Object(object)) if !object.is_empty() => Ok(object),
        Ok(_) => Err(expecting("blob")),
        Err(_) => Err(invalid()),
    }
}

fn invalid() -> Error {
    Error::invalid("blob", "Invalid blob in credential")
}

fn expecting(what: &str) -> Error {
    Error::invalid(
        what,
        format!(
            "Expecting to find {what} in credential. The server could not comply with the request \
             since it is either malformed or otherwise incorrect. The client is assumed to be in \
             error."
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_the_digest_of_the_access_key() {
        assert_eq!(
            id_of("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_key_pair_has_an_access_key_and_keeps_its_scope() {
        let text = |blob: &str| access(blob).map_err(|e| e.message);
        assert_eq!(text(r#"{"access": "a", "secret": "s"}"#), Ok("a".into()));
        let invalid = Err("Invalid blob in credential".to_owned());
        assert_eq!(text("secret"), invalid);
        assert_eq!(text(r#"{"access": 1}"#), invalid);
        for blob in ["{}", "[]", "1", "null", r#"{"secret": "s"}"#] {
            let got = text(blob).unwrap_err();
            assert!(got.starts_with("Expecting to find "), "{got}");
            assert!(!got.contains("secret"), "{got}");
        }
        let old = new_pair("a", "s");
        assert!(check_change(&old, r#"{"access": "b", "secret": "t"}"#).is_ok());
        let got = check_change(&old, r#"{"access": "a", "trust_id": "t"}"#);
        assert_eq!(
            got.unwrap_err().message,
            "trust_id can not be updated for credential"
        );
    }
}
