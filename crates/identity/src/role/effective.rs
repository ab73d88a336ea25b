//! Effective roles of a user: those of the user and of the user's groups, those inherited
//! from projects and domains above, and those that all of these imply.

use db::{Db, Tx};
use kernel::Result;

use super::{Role, table};
use crate::assignment::{self, Actor};
use crate::ids::RoleId;

/// The effective roles on a target.
pub(crate) async fn on_target(
    db: &Db,
    user_id: &str,
    kind: &str,
    target_id: &str,
) -> Result<Vec<Role>> {
    expand(
        db,
        &assignment::held::on_target(db, user_id, kind, target_id).await?,
    )
    .await
}

/// As [`on_target`], as the transaction sees them.
pub(crate) async fn read_on_target(
    tx: &mut Tx,
    user_id: &str,
    kind: &str,
    target_id: &str,
) -> Result<Vec<Role>> {
    let held = assignment::held::read_on_target(tx, user_id, kind, target_id).await?;
    let (all, implied) = table::read_all_with_implied(tx).await?;
    Ok(with_implied(&all, &implied, &held))
}

/// The roles that a user delegates on a project, with those that they imply; `None` if
/// the user does not have all of them.
pub(crate) async fn delegated(
    db: &Db,
    delegated: &[RoleId],
    user_id: &str,
    project_id: &str,
) -> Result<Option<Vec<Role>>> {
    let held = assignment::held::on_target(db, user_id, "project", project_id).await?;
    let (all, implied) = table::list_with_implied(db).await?;
    let held = with_implied(&all, &implied, &held);
    let roles = with_implied(&all, &implied, delegated);
    let has = |id: &RoleId| held.iter().any(|r| r.id == *id);
    // A deleted role is not among all roles.
    let has_all = delegated.iter().all(has) && roles.iter().all(|r| has(&r.id));
    Ok((has_all && !roles.is_empty()).then_some(roles))
}

/// The effective roles of a user or group on all targets together.
pub(crate) async fn on_any_target(db: &Db, actor: &Actor) -> Result<Vec<Role>> {
    expand(db, &assignment::table::held_anywhere(db, actor).await?).await
}

/// Roles with those that they imply.
pub(crate) async fn expand(db: &Db, held: &[RoleId]) -> Result<Vec<Role>> {
    if held.is_empty() {
        return Ok(vec![]);
    }
    let (all, implied) = table::list_with_implied(db).await?;
    Ok(with_implied(&all, &implied, held))
}

/// The ids of the roles of domains that imply no role that can be in a token.
pub(crate) async fn without_effect(db: &Db) -> Result<Vec<RoleId>> {
    let (all, implied) = table::list_with_implied(db).await?;
    let of_domains = all.iter().filter(|r| r.domain_id.is_some());
    let implies_nothing =
        |r: &&Role| with_implied(&all, &implied, std::slice::from_ref(&r.id)).is_empty();
    let found = of_domains.filter(implies_nothing);
    Ok(found.map(|r| r.id.clone()).collect())
}

/// Adds all directly and indirectly implied roles, and leaves out those of domains: they
/// only imply others.
pub(crate) fn with_implied(
    all: &[Role],
    implied: &[(RoleId, RoleId)],
    held: &[RoleId],
) -> Vec<Role> {
    let mut ids: Vec<RoleId> = held.to_vec();
    let mut at = 0;
    while at < ids.len() {
        for (prior, next) in implied {
            if *prior == ids[at] && !ids.contains(next) {
                ids.push(next.clone());
            }
        }
        at += 1;
    }
    all.iter()
        .filter(|r| r.domain_id.is_none() && ids.contains(&r.id))
        .cloned()
        .collect()
}
