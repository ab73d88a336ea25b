//! The roles that a user holds on a target: those granted there to the user or to the
//! user's groups and, for a project, those inherited from what is above it.

use db::{Db, Tx};
use kernel::{ProjectId, Result};

use super::{Candidates, table};
use crate::ids::RoleId;
use crate::project;

/// The roles that are held on a target, above which are these projects and this domain.
fn below(found: Candidates, above: &[ProjectId]) -> Vec<RoleId> {
    let mut held = found.on_target;
    let inherited = found.inherited.into_iter();
    let inherited = inherited.filter(|(target, _)| above.contains(target));
    held.extend(inherited.map(|(_, role)| role));
    held
}

/// Ids of the roles that a user holds on a target. A user without inherited grants costs one
/// query, another user two.
pub(crate) async fn on_target(
    db: &Db,
    user_id: &str,
    kind: &str,
    target_id: &str,
) -> Result<Vec<RoleId>> {
    let found = table::candidates(db, user_id, kind, target_id).await?;
    let above = if found.inherited.is_empty() {
        vec![]
    } else {
        project::table::above(db, target_id).await?
    };
    Ok(below(found, &above))
}

/// As [`on_target`], as the transaction sees them.
pub(crate) async fn read_on_target(
    tx: &mut Tx,
    user_id: &str,
    kind: &str,
    target_id: &str,
) -> Result<Vec<RoleId>> {
    let found = table::read_candidates(tx, user_id, kind, target_id).await?;
    let above = if found.inherited.is_empty() {
        vec![]
    } else {
        project::table::read_above(tx, target_id).await?
    };
    Ok(below(found, &above))
}
