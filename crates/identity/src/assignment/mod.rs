//! Assignments of roles to users and groups, as stored.

pub(crate) mod table;

use kernel::UserId;

use crate::ids::{GroupId, RoleId};

/// Who holds an assigned role.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Actor {
    User(UserId),
    /// All users of the group.
    Group(GroupId),
}

impl Actor {
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::User(id) => id,
            Self::Group(id) => id,
        }
    }

    /// The noun in paths of the API.
    pub(crate) fn plural(&self) -> &'static str {
        match self {
            Self::User(_) => "users",
            Self::Group(_) => "groups",
        }
    }
}

/// A role of a user or group on a target.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Assignment {
    pub actor: Actor,
    /// `project`, `domain` or `system`.
    pub kind: String,
    pub target_id: String,
    pub role_id: RoleId,
}
