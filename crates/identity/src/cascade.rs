//! Deleting objects with everything that refers to them.

use db::Tx;
use kernel::Result;

use crate::assignment::{self, Actor};
use crate::token::time::TokenTime;
use crate::{endpoint_filter, group, project, role, trust, user, user_credential};

/// Deletes a locked user with roles, memberships, credentials and trusts.
pub(crate) async fn delete_user(tx: &mut Tx, id: &str) -> Result<()> {
    trust::table::delete_of_user(tx, id).await?;
    assignment::table::delete_of_actor(tx, &Actor::User(id.into())).await?;
    user_credential::table::delete_of_user(tx, id).await?;
    user::table::delete(tx, id).await.map(|_| ())
}

/// Deletes a group with its memberships and roles; returns whether it existed. Its users
/// lose roles, so their tokens end, as in Keystone.
pub(crate) async fn delete_group(tx: &mut Tx, id: &str) -> Result<bool> {
    let actor = Actor::Group(id.into());
    // The users are locked before the group.
    if assignment::table::has_any(tx, &actor).await? {
        group::table::revoke_tokens_of_members(tx, id, TokenTime::now()).await?;
    }
    if group::table::lock(tx, id).await?.is_none() {
        return Ok(false);
    }
    assignment::table::delete_of_actor(tx, &actor).await?;
    group::table::delete(tx, id).await?;
    Ok(true)
}

/// Deletes a locked project or domain with all roles on it, its credentials and its trusts.
pub(crate) async fn delete_project(tx: &mut Tx, id: &str) -> Result<()> {
    trust::table::delete_in_project(tx, id).await?;
    assignment::table::delete_on_target(tx, id).await?;
    user_credential::table::delete_of_project(tx, id).await?;
    endpoint_filter::table::delete_of_project(tx, id).await?;
    project::table::delete(tx, id).await.map(|_| ())
}

/// Deletes a locked role with its assignments and inferences.
pub(crate) async fn delete_role(tx: &mut Tx, id: &str) -> Result<()> {
    assignment::table::delete_of_role(tx, id).await?;
    role::table::delete(tx, id).await
}
