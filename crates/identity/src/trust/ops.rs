//! Creating and deleting trusts.

use db::{Table as _, Tx};
use kernel::{Error, Kind, Result, Timestamp, clock};

use super::chain::{Chain, check_redelegation};
use super::wire::{NamedRole, TrustFields};
use super::{MAX_REDELEGATIONS, Trust, table};
use crate::attributes::{Attributes, merge_small_extra};
use crate::errors::{forbidden_action, missing, unauthenticated};
use crate::ids::{RoleId, TrustId};
use crate::role::{Role, effective};
use crate::state::State;
use crate::token::Valid;
use crate::token::payload::Scope;
use crate::{project, role, user};

/// Maximum number of trusts of a trustor, so that no user can fill the database. Heat
/// and Magnum create one for each stack and cluster.
const TRUSTOR_LIMIT: i64 = 1000;

/// A trust that still gives tokens.
pub(crate) async fn get(state: &State, id: &str) -> Result<Trust> {
    let found = table::by_id(&state.db, id).await?;
    found
        .filter(|t| !t.is_spent(clock::now()))
        .ok_or_else(|| missing("trust", id))
}

/// Creates a trust of the caller. A caller with the token of a trust redelegates it.
pub(crate) async fn create(state: &State, by: &Valid, fields: TrustFields) -> Result<Trust> {
    // A trust for a project gives nothing without roles.
    if fields.project_id.is_some() && fields.roles.is_empty() {
        return Err(forbidden_action("At least one role should be specified"));
    }
    let source = match &by.payload.scope {
        Scope::Trust { id, .. } => {
            let chain = Chain::load(&state.db, id, clock::now()).await?;
            Some(chain.ok_or_else(|| unauthenticated("the trust was deleted or has expired"))?)
        }
        _ => None,
    };
    user::ops::get(state, &fields.trustee_user_id).await?;
    let all = role::table::list(&state.db).await?;
    let trust = new_trust(fields, &all, source.as_ref())?;
    db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        check_again(tx, by, &trust, source.as_ref()).await?;
        table::delete_expired(tx, &trust.trustor_user_id, clock::now()).await?;
        refuse_beyond_limit(tx, &trust).await?;
        trust.insert(tx).await
    })?;
    Ok(trust)
}

/// The trust that a request describes. `source`: the trust that is redelegated.
fn new_trust(fields: TrustFields, all: &[Role], source: Option<&Chain>) -> Result<Trust> {
    let redelegated_trust_id = source.map(|chain| chain.trust.id.clone());
    if fields.redelegated_trust_id.as_ref().is_some_and(|id| {
        redelegated_trust_id
            .as_ref()
            .is_none_or(|own| own.as_str() != id)
    }) {
        // Keystone stores it, and takes the roles from the trustor of that trust.
        return Err(Error::forbidden(
            "A trust can be redelegated only with a token that is scoped to it.",
        ));
    }
    let mut trust = Trust {
        id: TrustId::random(),
        roles: role_ids(all, &fields.roles)?,
        expires_at: expiry(fields.expires_at.as_deref())?,
        redelegation_count: redelegation_count(&fields, source)?,
        trustor_user_id: fields.trustor_user_id.into(),
        trustee_user_id: fields.trustee_user_id.into(),
        project_id: fields.project_id.map(Into::into),
        impersonation: fields.impersonation,
        remaining_uses: fields.remaining_uses,
        redelegated_trust_id,
        extra: Attributes::default(),
    };
    merge_small_extra(&mut trust.extra.0, fields.extra)?;
    if let Some(chain) = source {
        trust.expires_at = trust.expires_at.or(chain.trust.expires_at);
        chain.check()?;
        for above in chain.all() {
            check_redelegation(above, &trust)?;
        }
    }
    Ok(trust)
}

/// The ids of the roles that a request names, each once.
fn role_ids(all: &[Role], named: &[NamedRole]) -> Result<Vec<RoleId>> {
    let mut ids = Vec::new();
    for role in named {
        let found = match role {
            NamedRole::Id(id) => all
                .iter()
                .find(|r| r.id == *id)
                .ok_or_else(|| missing("role", id))?,
            NamedRole::Name(name) => all
                .iter()
                .find(|r| r.domain_id.is_none() && r.name == *name)
                .ok_or_else(|| Error::new(Kind::NotFound, format!("Role {name} is not defined")))?,
        };
        if !ids.contains(&found.id) {
            ids.push(found.id.clone());
        }
    }
    Ok(ids)
}

fn redelegation_count(fields: &TrustFields, source: Option<&Chain>) -> Result<i64> {
    let asked = fields.redelegation_count;
    if !fields.allow_redelegation || asked == Some(0) {
        return Ok(0);
    }
    if let Some(count) = asked
        && count > MAX_REDELEGATIONS
    {
        return Err(Error::forbidden(format!(
            "Requested redelegation depth of {count} is greater than allowed {MAX_REDELEGATIONS}"
        )));
    }
    if fields.remaining_uses.is_some() {
        return Err(Error::invalid(
            "remaining_uses",
            "remaining_uses must not be set if redelegation is allowed",
        ));
    }
    let Some(chain) = source else {
        return Ok(asked.unwrap_or(MAX_REDELEGATIONS));
    };
    let left = (chain.trust.redelegation_count - 1).max(0);
    if asked.is_some_and(|count| count != left) {
        return Err(Error::forbidden(
            "Modifying \"redelegation_count\" upon redelegation is forbidden. Omitting this parameter is advised.",
        ));
    }
    Ok(left)
}

/// The end of Keystone's errors of a time.
const TAIL: &str = "The server could not comply with the request since it is either malformed or otherwise incorrect. The client is assumed to be in error.";

pub(crate) fn expiry(text: Option<&str>) -> Result<Option<Timestamp>> {
    let Some(text) = text else {
        return Ok(None);
    };
    // A time without a time zone is in UTC.
    let at = Timestamp::parse_iso(text).or_else(|| Timestamp::parse_iso(&format!("{text}Z")));
    let why = match at {
        Some(at) if at > clock::now() => return Ok(Some(at)),
        Some(_) => "The 'expires_at' must not be before now.",
        None => "Timestamp not in expected format.",
    };
    Err(Error::invalid("expires_at", format!("{why} {TAIL}")))
}

/// Locks what a trust depends on, and checks it: what another request deletes meanwhile
/// must not leave the trust behind.
async fn check_again(tx: &mut Tx, by: &Valid, trust: &Trust, source: Option<&Chain>) -> Result<()> {
    let project = match &trust.project_id {
        Some(id) => project::table::lock(tx, id).await?.filter(|p| !p.is_domain),
        None => None,
    };
    let holder = source.map_or(&trust.trustor_user_id, |s| &s.first().trustor_user_id);
    let mut users = vec![&trust.trustor_user_id, &trust.trustee_user_id, holder];
    users.sort_unstable();
    users.dedup();
    for id in users {
        let found = user::table::lock(tx, id).await?;
        if *id == trust.trustor_user_id
            && found
                .as_ref()
                .is_none_or(|u| !u.enabled || by.issued_at < u.tokens_after)
        {
            return Err(unauthenticated("the user's tokens were revoked"));
        }
        if found.is_none() {
            return Err(missing("user", id));
        }
    }
    if let Some(chain) = source
        && table::lock(tx, &chain.trust.id).await?.is_none()
    {
        return Err(unauthenticated("the trust was deleted"));
    }
    let held = match &trust.project_id {
        Some(id) => effective::read_on_target(tx, holder, "project", id).await?,
        None => vec![],
    };
    // A project on which the user has no role is not distinguished from an absent one.
    if let Some(id) = &trust.project_id
        && (project.is_none() || held.is_empty())
    {
        return Err(missing("project", id));
    }
    let is_held = |id: &RoleId| held.iter().any(|r| r.id == *id);
    match trust.roles.iter().find(|id| !is_held(id)) {
        Some(id) => Err(missing("role", id)),
        None => Ok(()),
    }
}

/// The trustor is locked, because requests that count at the same time would exceed the
/// limit together.
async fn refuse_beyond_limit(tx: &mut Tx, trust: &Trust) -> Result<()> {
    if table::count_of_trustor(tx, &trust.trustor_user_id).await? >= TRUSTOR_LIMIT {
        return Err(Error::forbidden(format!(
            "Unable to create additional trusts, maximum of {TRUSTOR_LIMIT} already exceeded for user."
        )));
    }
    Ok(())
}

/// Deletes a trust and those that were redelegated from it. Their tokens end.
pub(crate) async fn delete(state: &State, id: &TrustId) -> Result<()> {
    let deleted = db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        if !table::delete(tx, id).await? {
            return Err(missing("trust", id));
        }
        Ok(())
    });
    state.cache.clear();
    deleted
}

/// Counts one use of a trust, if the number of its uses is limited.
///
/// # Errors
/// `Unauthenticated` if there is none left, or the trust was deleted.
pub(crate) async fn consume_use(state: &State, trust: &Trust) -> Result<()> {
    if trust.remaining_uses.is_none() {
        return Ok(());
    }
    let consumed = db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        table::consume_use(tx, &trust.id).await
    })?;
    if !consumed {
        return Err(unauthenticated("no remaining uses of the trust"));
    }
    Ok(())
}
