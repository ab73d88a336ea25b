//! Bounds of all fields of the messages, in both directions. Each type lists
//! its bounds next to its fields; the receiver checks a message before it uses
//! it. The server answers 400 with the name of the field, or 413 to a body that
//! is longer than [`Message::MAX_BYTES`]; an agent refuses a frame or a task as
//! unsupported. Lengths are bytes of UTF-8.
//!
//! NUL is refused in every text: PostgreSQL cannot store it.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;

/// An identifier that the server assigned: a uuid, the version of the peers.
pub const ID: usize = 64;
/// The name of a node, a cluster or an object inside the cluster.
pub const NAME: usize = 255;
/// One of a set of words: a role, a state, a release.
pub const WORD: usize = 64;
/// An address with or without a port, or a range.
pub const ADDRESS: usize = 64;
/// A name with a port.
pub const NAME_AND_PORT: usize = NAME + 6;
/// A token of the server, of Swarm or of k3s.
pub const TOKEN: usize = 1024;
/// One certificate, request or key.
pub const PEM: usize = 16 * 1024;
/// Several certificates, as during a rotation.
pub const BUNDLE: usize = 64 * 1024;
/// A reason for display. Agents send at most [`SENT_TEXT`].
pub const REASON: usize = 16 * 1024;
/// The output of a program. Agents send at most [`SENT_TEXT`].
pub const LOG: usize = 256 * 1024;
/// The value of a label of the cluster.
pub const LABEL: usize = 64 * 1024;

/// Addresses that one node reports, or masters to join through.
pub const ADDRESSES: usize = 16;
/// Steps in one message. Agents send at most [`SENT_STEPS`].
pub const STEPS: usize = 1000;
/// Nodes in one message: a cluster has up to 1000, and lists of Swarm also
/// contain nodes that were replaced.
pub const NODES: usize = 4000;
/// Add-ons in one report.
pub const ADDONS: usize = 64;
/// Upstream servers of the cluster DNS.
pub const NAMESERVERS: usize = 64;
/// Labels of a cluster or of a node.
pub const LABELS: usize = 1024;

/// Maximum length of a text for display that an agent sends.
pub const SENT_TEXT: usize = 8 * 1024;
/// Maximum number of steps that an agent sends together.
pub const SENT_STEPS: usize = 64;

/// A field outside of its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Its path: `steps[2].log`.
    pub field: String,
    pub why: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.why)
    }
}

impl std::error::Error for FieldError {}

impl FieldError {
    fn new(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            why: why.into(),
        }
    }

    fn inside(self, outer: &str) -> Self {
        Self::new(format!("{outer}.{}", self.field), self.why)
    }
}

type Checked = Result<(), FieldError>;

/// A type whose fields have bounds.
pub trait Bounded {
    /// # Errors
    /// Names the first field that exceeds its bound or contains NUL.
    fn check(&self) -> Checked;
}

/// A body that agents post.
pub trait Message: Bounded + DeserializeOwned {
    /// Maximum length of the body, bytes.
    const MAX_BYTES: usize;
}

/// Checks one text.
///
/// # Errors
/// The text is longer than `most` bytes or contains NUL.
pub fn text(field: &str, value: &str, most: usize) -> Checked {
    if value.len() > most {
        let why = format!("{} bytes; at most {most} are allowed", value.len());
        return Err(FieldError::new(field, why));
    }
    if value.contains('\0') {
        let why = "the character NUL is not allowed";
        return Err(FieldError::new(field, why));
    }
    Ok(())
}

pub(crate) fn optional(field: &str, value: Option<&str>, most: usize) -> Checked {
    value.map_or(Ok(()), |value| text(field, value, most))
}

pub(crate) fn count(field: &str, found: usize, most: usize) -> Checked {
    if found > most {
        let why = format!("{found} entries; at most {most} are allowed");
        return Err(FieldError::new(field, why));
    }
    Ok(())
}

pub(crate) fn texts(field: &str, values: &[String], entries: usize, most: usize) -> Checked {
    count(field, values.len(), entries)?;
    (0..)
        .zip(values)
        .try_for_each(|(at, value): (usize, _)| text(&format!("{field}[{at}]"), value, most))
}

/// `value`: the bound of each value; keys are at most [`NAME`] long.
pub(crate) fn map(field: &str, values: &BTreeMap<String, String>, value: usize) -> Checked {
    count(field, values.len(), LABELS)?;
    values.iter().try_for_each(|(key, held)| {
        text(field, key, NAME)?;
        text(&format!("{field}[{key}]"), held, value)
    })
}

pub(crate) fn inner(field: &str, value: &impl Bounded) -> Checked {
    value.check().map_err(|e| e.inside(field))
}

pub(crate) fn each<T: Bounded>(field: &str, values: &[T], entries: usize) -> Checked {
    count(field, values.len(), entries)?;
    (0..)
        .zip(values)
        .try_for_each(|(at, value): (usize, _)| inner(&format!("{field}[{at}]"), value))
}

/// Makes a text for display of at most `most` bytes without NUL, as the sender
/// of a report does: the end is kept, because it is more useful than the start.
#[must_use]
pub fn display_text(text: &str, most: usize) -> String {
    const CUT: &str = "…";
    let clean = if text.contains('\0') {
        text.replace('\0', "\u{fffd}")
    } else {
        text.to_owned()
    };
    if clean.len() <= most {
        return clean;
    }
    let from = clean.len() - most.saturating_sub(CUT.len());
    let from = (from..clean.len()).find(|at| clean.is_char_boundary(*at));
    let end = from.and_then(|from| clean.get(from..)).unwrap_or_default();
    format!("{CUT}{end}")
}

#[cfg(test)]
mod tests;
