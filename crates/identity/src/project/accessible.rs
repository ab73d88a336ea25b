//! The projects and domains on which a user has a role.

use std::collections::HashSet;

use db::Db;
use kernel::Result;

use super::tree::Tree;
use super::{Project, table};
use crate::assignment;

/// The projects on which a user has a role, directly, by a group, or inherited.
pub(crate) async fn projects(db: &Db, user_id: &str) -> Result<Vec<Project>> {
    let mut found = table::of_user(db, user_id, "project").await?;
    let targets = assignment::table::inherited_targets(db, user_id).await?;
    if targets.is_empty() {
        return Ok(found);
    }
    let near = table::near_inherited(db, user_id).await?;
    let tree = Tree::new(near.clone());
    let is_inherited = |p: &Project| {
        let above = tree.ids_above(&p.id);
        targets.iter().any(|target| above.contains(target))
    };
    let seen: HashSet<_> = found.iter().map(|p| p.id.clone()).collect();
    let more = near.into_iter().filter(is_inherited);
    found.extend(more.filter(|p| !seen.contains(&p.id)));
    found.sort_by(|a, b| (&a.name, &*a.id).cmp(&(&b.name, &*b.id)));
    Ok(found)
}

/// The domains on which a user has a role, directly or by a group. Domains inherit nothing.
pub(crate) async fn domains(db: &Db, user_id: &str) -> Result<Vec<Project>> {
    table::of_user(db, user_id, "domain").await
}
