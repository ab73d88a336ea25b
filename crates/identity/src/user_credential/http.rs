//! Routes of credentials of users.

use kernel::{Result, Rule, Target, UserId};
use rest::{Created, Json, NoContent, Param, Route, delete, get, patch_route, post};

use super::ops::Projects;
use super::wire::{BlobChange, UserCredentialBody, UserCredentialFields};
use super::{UserCredential, ops, table};
use crate::call::{Call, IdentityCall};
use crate::delegation::{is_delegated, refuse_delegated};
use crate::envelope::{Many, One};
use crate::errors::missing;
use crate::fields::{Change, New};
use crate::listing::{PAGING, list as listing};
use crate::policy;
use crate::state::State;

const FILTERS: &[Param] = &[
    Param::text("user_id", "Credentials of this user."),
    Param::text("type", "Credentials of this type.").comparable(),
];

pub(crate) fn routes() -> Vec<Route<State>> {
    let (all, one) = ("/v3/credentials", "/v3/credentials/{credential_id}");
    vec![
        get(all, &policy::LIST_CREDENTIALS, "List credentials.", list).query(&[PAGING, FILTERS]),
        post(
            all,
            &policy::CREATE_CREDENTIAL,
            "Create a credential.",
            create,
        ),
        get(one, &policy::GET_CREDENTIAL, "Show a credential.", show),
        patch_route(
            one,
            &policy::UPDATE_CREDENTIAL,
            "Change the blob of a credential.",
            update,
        ),
        delete(
            one,
            &policy::DELETE_CREDENTIAL,
            "Delete a credential.",
            remove,
        ),
    ]
}

/// The policy target of an object of a user.
pub(super) fn of_user(id: &UserId) -> Target {
    Target {
        user_id: Some(id.clone()),
        ..Target::default()
    }
}

fn target(credential: &UserCredential) -> Target {
    of_user(&credential.user_id)
}

fn body<B>(call: &Call<B>, credential: UserCredential) -> Result<UserCredentialBody> {
    let blob = ops::unseal(&call.state, &credential)?;
    Ok(UserCredentialBody::new(credential, blob, call.base()))
}

async fn list(call: Call) -> Result<Json<Many<UserCredentialBody>>> {
    let own = &call.ctx()?.user_id;
    call.allow(&policy::LIST_CREDENTIALS, &of_user(own))?;
    let mut found = match call.asked("user_id") {
        Some(id) => table::of_user(&call.state.db, id).await?,
        None if call.allows(&policy::GET_CREDENTIAL, &Target::default()) => {
            table::list(&call.state.db).await?
        }
        None => table::of_user(&call.state.db, own).await?,
    };
    found.retain(|c| call.allows(&policy::GET_CREDENTIAL, &target(c)));
    if is_delegated(&call).await? {
        found.clear();
    }
    let items: Result<Vec<_>> = found.into_iter().map(|c| body(&call, c)).collect();
    listing(&call, "/credentials", items?)
}

async fn create(call: Call<New<UserCredentialFields>>) -> Result<Created<One<UserCredentialBody>>> {
    let New(fields) = call.body()?;
    let user_id = match &fields.user_id {
        Some(id) => UserId::from(id),
        None => call.ctx()?.user_id.clone(),
    };
    let rule = &policy::CREATE_CREDENTIAL;
    call.allow(rule, &of_user(&user_id))?;
    refuse_delegated(&call).await?;
    let made = ops::create(&call.state, &user_id, fields, projects(&call, rule)).await?;
    Ok(Created(One(body(&call, made)?)))
}

/// Callers who may create credentials of all users can name any project.
pub(super) fn projects<B>(call: &Call<B>, rule: &'static Rule) -> Projects {
    if call.allows(rule, &Target::default()) {
        Projects::Any
    } else {
        Projects::OfUser
    }
}

async fn show(call: Call) -> Result<Json<One<UserCredentialBody>>> {
    let credential = found(&call, &policy::GET_CREDENTIAL).await?;
    Ok(Json(One(body(&call, credential)?)))
}

async fn update(call: Call<Change<BlobChange>>) -> Result<Json<One<UserCredentialBody>>> {
    let credential = found(&call, &policy::UPDATE_CREDENTIAL).await?;
    let change = call.body()?.of(&credential.id)?;
    let changed = ops::update(&call.state, &credential.id, &change.blob).await?;
    Ok(Json(One(body(&call, changed)?)))
}

async fn remove(call: Call) -> Result<NoContent> {
    let credential = found(&call, &policy::DELETE_CREDENTIAL).await?;
    ops::delete(&call.state, &credential.id).await?;
    Ok(NoContent)
}

/// The credential of the path, if the rule allows it.
async fn found<B>(call: &Call<B>, rule: &'static Rule) -> Result<UserCredential> {
    let id = call.param("credential_id")?;
    let credential = ops::get(&call.state, id).await;
    let credential = call.allow_found(rule, credential, target, || missing("credential", id))?;
    refuse_delegated(call).await?;
    Ok(credential)
}
