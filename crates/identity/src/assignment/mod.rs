//! Assignments of roles to users and groups, as stored.

pub(crate) mod held;
pub(crate) mod table;

use kernel::{ProjectId, UserId};

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
    /// The role is held on all projects below the target, or of the domain, and not on the
    /// target itself.
    pub inherited: bool,
    pub role_id: RoleId,
}

/// The grants that can give a user roles on a target.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    /// Roles granted on the target.
    pub(crate) on_target: Vec<RoleId>,
    /// All inherited grants of the user: the project or domain of each, and its role.
    pub(crate) inherited: Vec<(ProjectId, RoleId)>,
}
