//! The projects and domains to which a user can scope a token.

use std::collections::HashSet;

use db::Db;
use kernel::Result;

use super::tree::Tree;
use super::{Project, table};
use crate::assignment;
use crate::role::effective;

/// The projects on which a user has a role, directly, by a group, or inherited.
pub(crate) async fn projects(db: &Db, user_id: &str) -> Result<Vec<Project>> {
    let without_effect = effective::without_effect(db).await?;
    let mut found = table::of_user(db, user_id, "project", &without_effect).await?;
    let mut inherited = assignment::table::inherited(db, user_id).await?;
    inherited.retain(|(_, role)| !without_effect.contains(role));
    if inherited.is_empty() {
        return Ok(found);
    }
    let near = table::near_inherited(db, user_id).await?;
    let tree = Tree::new(near.clone());
    let inherits = |p: &Project| {
        let above = tree.ids_above(&p.id);
        inherited.iter().any(|(target, _)| above.contains(target))
    };
    let seen: HashSet<_> = found.iter().map(|p| p.id.clone()).collect();
    let more = near.into_iter().filter(inherits);
    found.extend(more.filter(|p| !seen.contains(&p.id)));
    found.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    Ok(found)
}

/// The domains on which a user has a role, directly or by a group. Domains inherit nothing.
pub(crate) async fn domains(db: &Db, user_id: &str) -> Result<Vec<Project>> {
    let without_effect = effective::without_effect(db).await?;
    table::of_user(db, user_id, "domain", &without_effect).await
}
