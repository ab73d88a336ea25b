//! What a comparison of the ledger with the infrastructure finds.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{LABEL, LABEL_INSTALLATION, PREFIX};

/// Where an object is that the other side does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The engine has it, the ledger does not: it eats the machine.
    Engine,
    /// The ledger has it, the engine does not: somebody removed it.
    Ledger,
}

/// One object that only one side knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Leak {
    pub side: Side,
    /// `container`, `volume` or `network`.
    pub object: &'static str,
    /// Its name on the host.
    pub name: String,
    /// Id of the row it belongs or belonged to, as far as known.
    pub id: Option<String>,
    /// What to do about it.
    pub hint: String,
}

/// Whether an object of a host belongs to this installation: by its label, or
/// by our name prefix where it carries no label of another installation.
#[must_use]
pub fn owned(name: &str, labels: &BTreeMap<String, String>, installation: &str) -> bool {
    match labels.get(LABEL_INSTALLATION) {
        Some(other) => other == installation,
        None => labels.contains_key(LABEL) || name.starts_with(PREFIX),
    }
}
