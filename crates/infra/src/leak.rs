//! Result of comparing the ledger with the infrastructure.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{LABEL, LABEL_INSTALLATION, PREFIX};

/// The side on which an object without counterpart exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// It exists in the engine but not in the ledger, and uses resources.
    Engine,
    /// It exists in the ledger but not in the engine, because it was removed
    /// externally.
    Ledger,
}

/// An object that exists on one side only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Leak {
    pub side: Side,
    /// `container`, `volume`, `network`, or `grant` of a range of user ids: the name is
    /// then that of its container, or the path of a file that is not valid.
    pub object: &'static str,
    /// Its name on the host.
    pub name: String,
    /// Id of its row, as far as known.
    pub id: Option<String>,
    /// Suggested action.
    pub hint: String,
}

/// Whether an object of a host belongs to this installation: by its label, or
/// by our name prefix if it has no label of another installation.
#[must_use]
pub fn owned(name: &str, labels: &BTreeMap<String, String>, installation: &str) -> bool {
    match labels.get(LABEL_INSTALLATION) {
        Some(other) => other == installation,
        None => labels.contains_key(LABEL) || name.starts_with(PREFIX),
    }
}
