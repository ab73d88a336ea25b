//! The objects that role assignments refer to.

use std::collections::HashMap;

use db::Db;
use kernel::{ProjectId, Result, UserId};

use crate::ids::RoleId;
use crate::project::{self, Project};
use crate::role::{self, Role};
use crate::user::{self, User};

/// All objects that the answer may refer to, read once.
pub(super) struct Objects {
    pub users: HashMap<UserId, User>,
    pub projects: HashMap<ProjectId, Project>,
    pub roles: Vec<Role>,
    pub implied: Vec<(RoleId, RoleId)>,
}

impl Objects {
    pub(super) async fn load(db: &Db) -> Result<Self> {
        let users = user::table::list(db).await?;
        let projects = project::table::list(db).await?;
        let (roles, implied) = role::table::list_with_implied(db).await?;
        Ok(Self {
            users: users.into_iter().map(|u| (u.id.clone(), u)).collect(),
            projects: projects.into_iter().map(|p| (p.id.clone(), p)).collect(),
            roles,
            implied,
        })
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
