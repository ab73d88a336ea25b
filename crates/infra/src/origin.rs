//! Who made an object of a host, and whether a worker may go on with it.

use std::collections::BTreeMap;

use kernel::{Error, Kind};
use serde::{Deserialize, Serialize};

use crate::{LABEL, LABEL_BUILD, LABEL_EPOCH};

/// On whose behalf an object is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Actor {
    /// A run of a reconciler, by the epoch of its lease.
    Lease(i64),
    /// The sweep, which removes what no row knows.
    Sweep,
}

impl Actor {
    /// Epochs are compared: that of the sweep is newer than every lease.
    #[must_use]
    pub fn epoch(self) -> i64 {
        match self {
            Self::Lease(epoch) => epoch,
            Self::Sweep => i64::MAX,
        }
    }
}

/// How an object that was found under a name relates to the one that is
/// wanted there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// Another run of the same build made it: go on with it.
    Same,
    /// An earlier build left it: it is removed by its id.
    Older,
    /// A later build, or a later lease of this build, made it: the worker
    /// that asks is stale and must stop.
    Newer,
    /// It belongs to something else.
    Foreign,
}

/// Compares the labels of an object with those that are wanted. An object of
/// a release that wrote neither build nor epoch counts as the first build.
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

/// The labels of an object with the epoch of who makes it.
#[must_use]
pub fn stamped(labels: &BTreeMap<String, String>, actor: Actor) -> BTreeMap<String, String> {
    let mut labels = labels.clone();
    labels.insert(LABEL_EPOCH.to_owned(), actor.epoch().to_string());
    labels
}

/// The error of a worker that found the object of a newer one.
#[must_use]
pub fn stale(object: &str) -> Error {
    Error::new(
        Kind::Precondition,
        format!("{object} was made by a newer worker; this one stops"),
    )
}

/// Whether an error says that the worker is stale: see [`Relation::Newer`].
#[must_use]
pub fn is_stale(e: &Error) -> bool {
    e.kind == Kind::Precondition
}

/// What an error carries that says [`unusable`].
const UNUSABLE: &str = "the container cannot be used any more";

/// The error for a container that its host can never start again, as after an
/// engine was killed while it started it: only another one helps.
#[must_use]
pub fn unusable(message: impl Into<String>) -> Error {
    Error::conflict(message).context(UNUSABLE)
}

/// Whether an error says that only another container helps.
#[must_use]
pub fn is_unusable(e: &Error) -> bool {
    e.kind == Kind::Conflict && e.context.as_deref() == Some(UNUSABLE)
}

/// The error for an object that belongs to something else.
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
    fn a_worker_goes_on_with_its_own_build_and_leaves_newer_ones_alone() {
        let wanted = labels("a", 2, 0);
        let of = |found| relation(&found, &wanted, Actor::Lease(7));
        assert_eq!(of(labels("a", 2, 7)), Relation::Same);
        assert_eq!(of(labels("a", 2, 3)), Relation::Same);
        assert_eq!(of(labels("a", 2, 8)), Relation::Newer);
        assert_eq!(of(labels("a", 3, 1)), Relation::Newer);
        assert_eq!(of(labels("a", 1, 9)), Relation::Older);
        assert_eq!(of(labels("b", 2, 7)), Relation::Foreign);
        // What an earlier release has made.
        let plain = BTreeMap::from([(LABEL.to_owned(), "a".to_owned())]);
        assert_eq!(of(plain.clone()), Relation::Older);
        let first = labels("a", 1, 0);
        assert_eq!(relation(&plain, &first, Actor::Lease(1)), Relation::Same);
    }
}
