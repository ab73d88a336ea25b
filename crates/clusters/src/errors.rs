//! Magnum's error texts that are used in several files. The status follows from
//! the kind; `dialect.rs` renders the body.

use kernel::{Error, Kind};
use rest::Microversion;

use crate::status::StoredStatus;

/// 400 with one of Magnum's texts.
pub(crate) fn bad_request(field: &str, text: impl Into<String>) -> Error {
    Error::invalid(field, text)
}

/// Maximum number of characters of a value or field name that an error repeats.
const SHOWN: usize = 1000;

/// 400 with the text of Magnum's body validation. `value` is already formatted.
pub(crate) fn invalid_field(field: &str, value: &str, why: &str) -> Error {
    let (field, value) = (start(field), start(value));
    Error::invalid(
        field,
        format!("Invalid input for field/attribute {field}. Value: '{value}'. {why}"),
    )
}

/// The start of a text that may have the size of a whole request.
fn start(text: &str) -> &str {
    let end = text.char_indices().nth(SHOWN).map(|(at, _)| at);
    end.map_or(text, |end| &text[..end])
}

/// 406: the endpoint is not part of the requested API version.
pub(crate) fn not_in_version(version: Microversion, api: &str) -> Error {
    Error::new(
        Kind::NotSupported { status: 406 },
        format!(
            "Version {version} was requested but the requested API {api} is not supported for \
             this version."
        ),
    )
}

/// 400: a query parameter that the operation does not have.
pub(crate) fn unknown_argument(name: &str) -> Error {
    bad_request(name, format!("Unknown argument: \"{}\"", start(name)))
}

/// Converts a failed lookup to an error of the request body (400) instead of
/// the path.
pub(crate) fn as_bad_request(e: Error, field: &str) -> Error {
    if e.is_not_found() {
        Error::invalid(field, e.message)
    } else {
        e
    }
}

/// 400: the state forbids the operation.
pub(crate) fn wrong_state(what: &str, status: &StoredStatus) -> Error {
    Error::invalid(
        "status",
        format!("{what} a cluster when status is \"{status}\" is not supported."),
    )
}
