//! Magnum's error texts that more than one room needs. The status follows
//! from the kind; `dialect.rs` renders the body.

use kernel::{Error, Kind};

/// 400 with a text of Magnum's own.
pub(crate) fn bad(field: &str, text: impl Into<String>) -> Error {
    Error::invalid(field, text)
}

/// 400 in the words of Magnum's body validation. `value` is already printed.
pub(crate) fn bad_field(field: &str, value: &str, why: &str) -> Error {
    Error::invalid(
        field,
        format!("Invalid input for field/attribute {field}. Value: '{value}'. {why}"),
    )
}

/// 406: the endpoint is not part of the API version asked for.
pub(crate) fn not_in_version(version: (u16, u16), api: &str) -> Error {
    Error::new(
        Kind::NotSupported { status: 406 },
        format!(
            "Version {}.{} was requested but the requested API {api} is not supported for this version.",
            version.0, version.1
        ),
    )
}

/// A lookup that fails as a fault of the request (400), not of the path.
pub(crate) fn as_bad_request(e: Error, field: &str) -> Error {
    if e.is_not_found() {
        Error::invalid(field, e.message)
    } else {
        e
    }
}

/// 400: the state forbids the operation.
pub(crate) fn wrong_state(what: &str, status: &str) -> Error {
    Error::invalid(
        "status",
        format!("{what} a cluster when status is \"{status}\" is not supported."),
    )
}
