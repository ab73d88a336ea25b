//! The status of a cluster or a node group: an action, and how far it is.

use std::fmt;

use kernel::{Error, Result};
use serde::{Serialize, Serializer};

/// What an operation does to a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Create,
    Update,
    Rollback,
    Delete,
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    InProgress,
    Complete,
    Failed,
}

/// A status that this release knows, such as `CREATE_COMPLETE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) action: Action,
    pub(crate) phase: Phase,
}

impl Status {
    pub(crate) const fn new(action: Action, phase: Phase) -> Self {
        Self { action, phase }
    }

    /// Parses the stored value of a row; `what` is the kind of the row.
    ///
    /// # Errors
    /// Same errors as [`db::unknown_stored_value`].
    pub(crate) fn parse(what: &str, word: &str) -> Result<Self> {
        let known = word.split_once('_').and_then(|(action, phase)| {
            let action = match action {
                "CREATE" => Action::Create,
                "UPDATE" => Action::Update,
                "ROLLBACK" => Action::Rollback,
                "DELETE" => Action::Delete,
                _ => return None,
            };
            let phase = match phase {
                "IN_PROGRESS" => Phase::InProgress,
                "COMPLETE" => Phase::Complete,
                "FAILED" => Phase::Failed,
                _ => return None,
            };
            Some(Self::new(action, phase))
        });
        known.ok_or_else(|| db::unknown_stored_value(&format!("status of a {what}"), word))
    }

    /// The value that is stored and shown.
    pub(crate) const fn as_stored(self) -> &'static str {
        match (self.action, self.phase) {
            (Action::Create, Phase::InProgress) => "CREATE_IN_PROGRESS",
            (Action::Create, Phase::Complete) => "CREATE_COMPLETE",
            (Action::Create, Phase::Failed) => "CREATE_FAILED",
            (Action::Update, Phase::InProgress) => "UPDATE_IN_PROGRESS",
            (Action::Update, Phase::Complete) => "UPDATE_COMPLETE",
            (Action::Update, Phase::Failed) => "UPDATE_FAILED",
            (Action::Rollback, Phase::InProgress) => "ROLLBACK_IN_PROGRESS",
            (Action::Rollback, Phase::Complete) => "ROLLBACK_COMPLETE",
            (Action::Rollback, Phase::Failed) => "ROLLBACK_FAILED",
            (Action::Delete, Phase::InProgress) => "DELETE_IN_PROGRESS",
            (Action::Delete, Phase::Complete) => "DELETE_COMPLETE",
            (Action::Delete, Phase::Failed) => "DELETE_FAILED",
        }
    }
}

/// The status of a row as it was read. One that a newer release has written is
/// shown, and nothing is concluded from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoredStatus {
    Known(Status),
    Newer(String),
}

impl Default for StoredStatus {
    fn default() -> Self {
        Status::new(Action::Create, Phase::InProgress).into()
    }
}

impl From<Status> for StoredStatus {
    fn from(status: Status) -> Self {
        Self::Known(status)
    }
}

impl StoredStatus {
    /// The status of a row that an operation uses; `what` is the kind of the
    /// row.
    ///
    /// # Errors
    /// Same errors as [`db::unknown_stored_value`].
    pub(crate) fn known(&self, what: &str) -> Result<Status, Error> {
        match self {
            Self::Known(status) => Ok(*status),
            Self::Newer(word) => Status::parse(what, word),
        }
    }

    pub(crate) fn is(&self, action: Action, phase: Phase) -> bool {
        *self == Self::Known(Status::new(action, phase))
    }

    pub(crate) fn is_in(&self, wanted: Phase) -> bool {
        matches!(self, Self::Known(status) if status.phase == wanted)
    }

    pub(crate) fn as_stored(&self) -> &str {
        match self {
            Self::Known(status) => status.as_stored(),
            Self::Newer(word) => word,
        }
    }
}

impl fmt::Display for StoredStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_stored())
    }
}

impl Serialize for StoredStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_stored())
    }
}

impl db::Column for StoredStatus {
    fn read(row: &db::Row, name: &str) -> Result<Self> {
        let word = row.text(name)?;
        Ok(Status::parse("row", &word).map_or(Self::Newer(word), Self::Known))
    }

    fn value(&self) -> Result<db::Value> {
        Ok(self.as_stored().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_status_is_read_as_it_is_stored() {
        use Phase::{Complete, Failed, InProgress};
        for action in [
            Action::Create,
            Action::Update,
            Action::Rollback,
            Action::Delete,
        ] {
            for phase in [InProgress, Complete, Failed] {
                let status = Status::new(action, phase);
                let word = status.as_stored();
                assert_eq!(Status::parse("cluster", word).unwrap(), status, "{word}");
            }
        }
    }

    #[test]
    fn an_unknown_status_is_shown_but_not_used() {
        for word in ["ADOPT_COMPLETE", "UPDATE", "CREATE_SLEEPING", ""] {
            let why = Status::parse("cluster", word).unwrap_err();
            assert!(why.is_transient() && why.message.contains("newer version"));
            let stored = StoredStatus::Newer(word.into());
            assert_eq!(stored.to_string(), word);
            assert!(stored.known("cluster").is_err() && !stored.is_in(Phase::Complete));
        }
    }
}
