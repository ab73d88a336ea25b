//! Routes of trusts, `/v3/OS-TRUST`.

use std::sync::Arc;

use kernel::{Kind, Result, Rule, Target, UserId};
use rest::{Created, Json, NoContent, Param, Route, delete, get, post};

use super::wire::{TrustBody, TrustFields, role_bodies};
use super::{Trust, ops, table};
use crate::call::{Call, IdentityCall, token_of_caller};
use crate::envelope::{Many, One};
use crate::errors::{forbidden, forbidden_action, missing};
use crate::fields::New;
use crate::listing::{PAGING, list as listing};
use crate::role::wire::RoleBody;
use crate::state::State;
use crate::token::Valid;
use crate::token::payload::Scope;
use crate::{policy, role};

const FILTERS: &[Param] = &[
    Param::text("trustor_user_id", "Trusts of this trustor."),
    Param::text("trustee_user_id", "Trusts of this trustee."),
];

pub(crate) fn routes() -> Vec<Route<State>> {
    let all = "/v3/OS-TRUST/trusts";
    let one = "/v3/OS-TRUST/trusts/{trust_id}";
    vec![
        get(all, &policy::LIST_TRUSTS, "List trusts.", list).query(&[PAGING, FILTERS]),
        post(all, &policy::CREATE_TRUST, "Create a trust.", create),
        get(one, &policy::GET_TRUST, "Show a trust.", show),
        delete(one, &policy::DELETE_TRUST, "Delete a trust.", remove),
        get(
            "/v3/OS-TRUST/trusts/{trust_id}/roles",
            &policy::LIST_TRUST_ROLES,
            "List the roles of a trust.",
            roles,
        )
        .query(&[PAGING, role::http::NAME]),
        get(
            "/v3/OS-TRUST/trusts/{trust_id}/roles/{role_id}",
            &policy::GET_TRUST_ROLE,
            "Show a role of a trust.",
            role,
        ),
    ]
}

fn of_user(id: &UserId) -> Target {
    Target {
        user_id: Some(id.clone()),
        ..Target::default()
    }
}

/// The token of the caller, who must not have got it by an application credential: it is
/// for one project; with its token, trusts for all projects could be listed and deleted.
async fn validate_caller<B>(call: &Call<B>) -> Result<Arc<Valid>> {
    let valid = token_of_caller(call).await?;
    if let Scope::AppCredential { .. } = valid.payload.scope {
        // In Keystone, too, the text ends with two periods.
        return Err(forbidden_action(
            "Using method 'application_credential' is not allowed for managing trusts.",
        ));
    }
    Ok(valid)
}

/// Whether the token may be used for this trust. That of a trust, which can act in the name
/// of the trustor, is for this trust and those that are redelegated from it.
fn is_for(by: &Valid, trust: &Trust) -> bool {
    match &by.payload.scope {
        Scope::Trust { id, .. } => {
            trust.id == *id || trust.redelegated_trust_id.as_ref() == Some(id)
        }
        _ => true,
    }
}

/// A stored trust, if the rule allows the caller to read it. The trustor and the trustee
/// are both its owners. To all others it does not exist.
async fn find_readable(call: &Call, rule: &'static Rule) -> Result<Trust> {
    let by = validate_caller(call).await?;
    let id = call.param("trust_id")?;
    let trust = table::by_id(&call.state.db, id).await?;
    let trust = trust.filter(|t| is_for(&by, t));
    let trust = trust.ok_or_else(|| missing("trust", id))?;
    let owners = [&trust.trustor_user_id, &trust.trustee_user_id];
    let owner = owners
        .into_iter()
        .find(|id| call.allows(rule, &of_user(id)));
    let owner = owner.ok_or_else(|| missing("trust", id))?;
    call.allow(rule, &of_user(owner))?;
    Ok(trust)
}

/// As [`find_readable`], for a trust that still gives tokens.
async fn find_usable(call: &Call, rule: &'static Rule) -> Result<Trust> {
    let trust = find_readable(call, rule).await?;
    ops::get(&call.state, &trust.id).await
}

async fn list(call: Call) -> Result<Json<Many<TrustBody>>> {
    let by = validate_caller(&call).await?;
    let db = &call.state.db;
    let mut trusts = match (call.asked("trustor_user_id"), call.asked("trustee_user_id")) {
        (Some(id), _) => {
            call.allow(&policy::LIST_TRUSTS_FOR_TRUSTOR, &of_user(&id.into()))?;
            table::of_trustor(db, id).await?
        }
        (None, Some(id)) => {
            call.allow(&policy::LIST_TRUSTS_FOR_TRUSTEE, &of_user(&id.into()))?;
            table::of_trustee(db, id).await?
        }
        (None, None) => {
            call.allow(&policy::LIST_TRUSTS, &Target::default())?;
            table::list(db).await?
        }
    };
    trusts.retain(|t| is_for(&by, t));
    // The rule of the filter decided instead of the rule of the route.
    call.ctx()?.granted.record(&policy::LIST_TRUSTS);
    let items = trusts.into_iter().map(|t| TrustBody::new(t, call.base()));
    listing(&call, "/OS-TRUST/trusts", items.collect())
}

async fn create(call: Call<New<TrustFields>>) -> Result<Created<One<TrustBody>>> {
    let New(fields) = call.body()?;
    let trustor = UserId::from(&fields.trustor_user_id);
    call.allow(&policy::CREATE_TRUST, &of_user(&trustor))?;
    let by = validate_caller(&call).await?;
    // No policy may allow it: the roles are those of the trustor.
    if by.user.id != trustor {
        return Err(forbidden_action(
            "The authenticated user should match the trustor",
        ));
    }
    let trust = ops::create(&call.state, &by, fields).await?;
    let all = role::table::list(&call.state.db).await?;
    let body = TrustBody::with_roles(trust, all, call.base());
    Ok(Created(One(body)))
}

async fn show(call: Call) -> Result<Json<One<TrustBody>>> {
    let trust = find_usable(&call, &policy::GET_TRUST).await?;
    let all = role::table::list(&call.state.db).await?;
    let body = TrustBody::with_roles(trust, all, call.base());
    Ok(Json(One(body)))
}

/// Also deletes a trust that gives no more tokens, because those that it gave are valid.
async fn remove(call: Call) -> Result<NoContent> {
    let rule = &policy::DELETE_TRUST;
    let by = validate_caller(&call).await?;
    let id = call.param("trust_id")?;
    let trust = table::by_id(&call.state.db, id).await?;
    let trust = trust.filter(|t| is_for(&by, t));
    let trust = trust.ok_or_else(|| missing("trust", id))?;
    let target = of_user(&trust.trustor_user_id);
    if !call.allows(rule, &target) {
        // The trustee may know the trust.
        return Err(match find_readable(&call, &policy::GET_TRUST).await {
            Err(e) if e.kind == Kind::NotFound => e,
            _ => forbidden(rule),
        });
    }
    call.allow(rule, &target)?;
    ops::delete(&call.state, &trust.id).await?;
    Ok(NoContent)
}

async fn roles(call: Call) -> Result<Json<Many<RoleBody>>> {
    let trust = find_usable(&call, &policy::LIST_TRUST_ROLES).await?;
    let all = role::table::list(&call.state.db).await?;
    let items = role_bodies(&trust, all, call.base());
    let path = format!("/OS-TRUST/trusts/{}/roles", trust.id);
    listing(&call, &path, items)
}

async fn role(call: Call) -> Result<Json<One<RoleBody>>> {
    let trust = find_usable(&call, &policy::GET_TRUST_ROLE).await?;
    let id = call.param("role_id")?;
    if !trust.roles.iter().any(|held| held == id) {
        return Err(missing("role", id));
    }
    let role = role::ops::get(&call.state, id).await?;
    Ok(Json(One(RoleBody::new(role, call.base()))))
}
