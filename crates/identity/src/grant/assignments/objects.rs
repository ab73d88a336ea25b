//! The objects that role assignments refer to.

use std::collections::HashMap;

use db::Db;
use kernel::{Result, UserId};

use crate::group::{self, Group};
use crate::ids::{GroupId, RoleId};
use crate::project;
use crate::project::tree::Tree;
use crate::role::{self, Role};
use crate::user::{self, User};

/// All objects that the answer may refer to, read once.
pub(super) struct Objects {
    pub users: HashMap<UserId, User>,
    pub groups: HashMap<GroupId, Group>,
    /// The users of each group.
    members: HashMap<GroupId, Vec<UserId>>,
    pub tree: Tree,
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
            tree: Tree::new(projects),
            roles,
            implied,
        })
    }

    /// The users of a group.
    pub(super) fn members(&self, group: &GroupId) -> &[UserId] {
        self.members.get(group).map_or(&[], Vec::as_slice)
    }
}
