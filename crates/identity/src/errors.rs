//! Errors in Keystone's words.

use kernel::{Error, Kind, Rule};

/// Maximum number of characters of a value that an error repeats.
const SHOWN: usize = 1000;

/// 400: a field, its value, and what would be right.
pub(crate) fn wrong(field: &str, value: &str, why: &str) -> Error {
    let end = value
        .char_indices()
        .nth(SHOWN)
        .map_or(value.len(), |(at, _)| at);
    let value = &value[..end];
    Error::invalid(
        field,
        format!("Invalid input for field/attribute {field}. Value: {value}. {why}"),
    )
}

pub(crate) fn missing(what: &str, id: &str) -> Error {
    Error::new(Kind::NotFound, format!("Could not find {what}: {id}."))
}

/// 401; the reason is logged and not shown.
pub(crate) fn unauthenticated(why: &str) -> Error {
    Error::unauthenticated().context(why)
}

pub(crate) fn forbidden(rule: &Rule) -> Error {
    forbidden_action(rule.name)
}

pub(crate) fn forbidden_action(action: &str) -> Error {
    Error::forbidden(format!(
        "You are not authorized to perform the requested action: {action}."
    ))
}

/// Converts a unique violation; other errors are unchanged.
pub(crate) fn as_conflict(e: Error, text: String) -> Error {
    if e.kind == Kind::AlreadyExists {
        Error::exists(text)
    } else {
        e
    }
}

/// 403: the resource option `immutable` is set.
pub(crate) fn immutable(verb: &str, kind: &str, id: &str) -> Error {
    Error::forbidden(format!(
        "Unable to {verb} immutable {kind} resource: `{id}. Set resource option \"immutable\" to false first."
    ))
}
