//! The objects that role assignments refer to.

use std::collections::HashMap;

use db::Db;
use kernel::{ProjectId, Result, UserId};

use crate::group::{self, Group};
use crate::ids::{GroupId, RoleId};
use crate::project::{self, Project};
use crate::role::{self, Role};
use crate::user::{self, User};

/// All objects that the answer may refer to, read once.
pub(super) struct Objects {
    pub users: HashMap<UserId, User>,
    pub groups: HashMap<GroupId, Group>,
    /// The users of each group.
    members: HashMap<GroupId, Vec<UserId>>,
    pub projects: HashMap<ProjectId, Project>,
    pub roles: Vec<Role>,
    pub implied: Vec<(RoleId, RoleId)>,
}

impl Objects {
    pub(super) async fn load(db: &Db) -> Result<Self> {
        let users = user::table::list(db).await?;
        let groups = group::table::list(db).await?;
        let mut members = HashMap::<_, Vec<_>>::new();
        for (group, user) in group::table::memberships(db).await? {
            members.entry(group).or_default().push(user);
        }
        let projects = project::table::list(db).await?;
        let (roles, implied) = role::table::list_with_implied(db).await?;
        Ok(Self {
            users: users.into_iter().map(|u| (u.id.clone(), u)).collect(),
            groups: groups.into_iter().map(|g| (g.id.clone(), g)).collect(),
            members,
            projects: projects.into_iter().map(|p| (p.id.clone(), p)).collect(),
            roles,
            implied,
        })
    }

    /// The users of a group.
    pub(super) fn members(&self, group: &GroupId) -> &[UserId] {
        self.members.get(group).map_or(&[], Vec::as_slice)
    }

    /// Whether a project is `top` or below it.
    pub(super) fn is_below(&self, id: &str, top: &str) -> bool {
        let mut at = Some(id);
        // Bounded, because a cycle of parents must not block the list.
        for _ in 0..64 {
            match at {
                Some(id) if id == top => return true,
                Some(id) => at = self.projects.get(id).and_then(|p| p.parent_id.as_deref()),
                None => return false,
            }
        }
        false
    }
}
