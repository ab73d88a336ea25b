//! Loading the trust of a token.

use db::Db;
use kernel::{Error, Result, clock};

use super::enabled_user::user_and_domain;
use crate::errors::unauthenticated;
use crate::ids::TrustId;
use crate::project::reader::ProjectReader;
use crate::role::effective;
use crate::token::Valid;
use crate::trust::chain::Chain;

/// Adds the trust of a token with its roles. The user of `valid` is the trustee; the
/// trustor replaces the trustee if the trust has impersonation.
///
/// # Errors
/// `Unauthenticated`; `Forbidden` if the trustor has lost one of the roles, or if a trust
/// above gives less.
pub(super) async fn load(
    (db, projects): (&Db, &mut ProjectReader<'_>),
    valid: &mut Valid,
    id: &TrustId,
) -> Result<()> {
    let chain = Chain::load(db, id, clock::now()).await?;
    let chain = chain.ok_or_else(|| unauthenticated("the trust was deleted or has expired"))?;
    let trust = &chain.trust;
    let Some(project_id) = trust.project_id.as_deref() else {
        return Err(unauthenticated("the trust has no project"));
    };
    if trust.trustee_user_id != valid.user.id || valid.project_id() != Some(project_id) {
        return Err(unauthenticated("the token does not match the trust"));
    }
    for id in chain.users() {
        if *id == trust.trustee_user_id {
            continue;
        }
        let (user, domain) = user_and_domain(db, projects, id).await?;
        valid.users_after = valid.users_after.max(user.tokens_after);
        valid.targets_after = valid.targets_after.max(domain.tokens_after);
        if trust.impersonation && *id == trust.trustor_user_id {
            valid.user = user;
            valid.user_domain_name = domain.name;
        }
    }
    chain.check()?;
    let holder = &chain.first().trustor_user_id;
    let roles = effective::delegated(db, &trust.roles, holder, project_id).await?;
    valid.roles = roles.ok_or_else(|| Error::forbidden("Trustee has no delegated roles."))?;
    valid.trust = Some(chain.trust);
    Ok(())
}
