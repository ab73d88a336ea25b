//! The origin of an object on a host, and whether a worker may continue with
//! it.

use std::collections::BTreeMap;

use kernel::{Error, Kind};
use serde::{Deserialize, Serialize};

use crate::{LABEL, LABEL_BUILD, LABEL_EPOCH};

/// The actor of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Actor {
    /// A run of a reconciler, identified by the epoch of its lease.
    Lease(i64),
    /// The sweep, which removes objects without a row.
    Sweep,
}

impl Actor {
    /// Epochs are compared; the sweep counts as newer than every lease.
    #[must_use]
    pub fn epoch(self) -> i64 {
        match self {
            Self::Lease(epoch) => epoch,
            Self::Sweep => i64::MAX,
        }
    }
}

/// Relation between an existing object and the wanted object of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// Another run of the same build created it: continue with it.
    Same,
    /// An earlier build created it: it is removed by its id.
    Older,
    /// A later build, or a later lease of this build, created it: the calling
    /// worker is stale and must stop.
    Newer,
    /// It does not belong to the wanted object.
    Foreign,
}

/// Compares the labels of an object with the wanted ones. An object of a
/// release that wrote neither build nor epoch counts as the first build.
#[must_use]
pub fn relation(
    found: &BTreeMap<String, String>,
    wanted: &BTreeMap<String, String>,
    actor: Actor,
) -> Relation {
    let build = |labels| number(labels, LABEL_BUILD).unwrap_or(1);
    if found.get(LABEL) != wanted.get(LABEL) {
        Relation::Foreign
    } else if build(found) < build(wanted) {
        Relation::Older
    } else if build(found) > build(wanted)
        || number(found, LABEL_EPOCH).unwrap_or(0) > actor.epoch()
    {
        Relation::Newer
    } else {
        Relation::Same
    }
}

fn number(labels: &BTreeMap<String, String>, key: &str) -> Option<i64> {
    labels.get(key)?.parse().ok()
}

/// The labels of an object with the epoch of the actor that creates it.
#[must_use]
pub fn stamped(labels: &BTreeMap<String, String>, actor: Actor) -> BTreeMap<String, String> {
    let mut labels = labels.clone();
    labels.insert(LABEL_EPOCH.to_owned(), actor.epoch().to_string());
    labels
}

/// The error of a worker that found an object of a newer one.
#[must_use]
pub fn stale(object: &str) -> Error {
    Error::new(
        Kind::Precondition,
        format!("{object} was created by a newer worker; this one stops"),
    )
}

/// Whether an error means that the worker is stale: see [`Relation::Newer`].
#[must_use]
pub fn is_stale(e: &Error) -> bool {
    e.kind == Kind::Precondition
}

/// Context that marks errors of [`unusable`].
const UNUSABLE: &str = "the container cannot be used any more";

/// The error for a container that its host can never start again, for example
/// after the engine was killed during its start; it has to be replaced.
#[must_use]
pub fn unusable(message: impl Into<String>) -> Error {
    Error::conflict(message).context(UNUSABLE)
}

/// Whether an error means that the container has to be replaced.
#[must_use]
pub fn is_unusable(e: &Error) -> bool {
    e.kind == Kind::Conflict && e.context.as_deref() == Some(UNUSABLE)
}

/// The error for an object that does not belong to the wanted one.
#[must_use]
pub fn foreign(object: &str, command: &str) -> Error {
    Error::conflict(format!(
        "{object} exists and does not belong to this installation; remove it with `{command}`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(id: &str, build: i64, epoch: i64) -> BTreeMap<String, String> {
        BTreeMap::from([
            (LABEL.to_owned(), id.to_owned()),
            (LABEL_BUILD.to_owned(), build.to_string()),
            (LABEL_EPOCH.to_owned(), epoch.to_string()),
        ])
    }

    #[test]
    fn a_worker_continues_its_own_build_and_leaves_newer_ones_alone() {
        let wanted = labels("a", 2, 0);
        let of = |found| relation(&found, &wanted, Actor::Lease(7));
        assert_eq!(of(labels("a", 2, 7)), Relation::Same);
        assert_eq!(of(labels("a", 2, 3)), Relation::Same);
        assert_eq!(of(labels("a", 2, 8)), Relation::Newer);
        assert_eq!(of(labels("a", 3, 1)), Relation::Newer);
        assert_eq!(of(labels("a", 1, 9)), Relation::Older);
        assert_eq!(of(labels("b", 2, 7)), Relation::Foreign);
        // Created by an earlier release.
        let plain = BTreeMap::from([(LABEL.to_owned(), "a".to_owned())]);
        assert_eq!(of(plain.clone()), Relation::Older);
        let first = labels("a", 1, 0);
        assert_eq!(relation(&plain, &first, Actor::Lease(1)), Relation::Same);
    }
}
