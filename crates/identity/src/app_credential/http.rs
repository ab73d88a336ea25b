//! Routes of application credentials.

use std::sync::Arc;

use kernel::{Result, Rule, Target};
use rest::{Created, Json, NoContent, Param, Route, delete, get, post};

use super::wire::{CredentialBody, CredentialFields};
use super::{ops, table};
use crate::call::{Call, IdentityCall, token_of_caller};
use crate::envelope::{Many, One};
use crate::fields::New;
use crate::listing::{PAGING, list as listing};
use crate::state::State;
use crate::token::Valid;
use crate::{policy, role};

const FILTERS: &[Param] =
    &[Param::text("name", "Application credentials of this name.").comparable()];

pub(crate) fn routes() -> Vec<Route<State>> {
    let all = "/v3/users/{user_id}/application_credentials";
    let one = "/v3/users/{user_id}/application_credentials/{application_credential_id}";
    vec![
        get(
            all,
            &policy::LIST_APP_CREDENTIALS,
            "List application credentials of a user.",
            list,
        )
        .query(&[PAGING, FILTERS]),
        post(
            all,
            &policy::CREATE_APP_CREDENTIAL,
            "Create an application credential.",
            create,
        ),
        get(
            one,
            &policy::GET_APP_CREDENTIAL,
            "Show an application credential.",
            show,
        ),
        delete(
            one,
            &policy::DELETE_APP_CREDENTIAL,
            "Delete an application credential.",
            remove,
        ),
    ]
}

/// The token of the caller, if the rule allows acting for the user of the path.
pub(crate) async fn by<B>(call: &Call<B>, rule: &'static Rule) -> Result<Arc<Valid>> {
    let target = Target {
        user_id: Some(call.param("user_id")?.into()),
        ..Target::default()
    };
    call.allow(rule, &target)?;
    let valid = token_of_caller(call).await?;
    ops::refuse_delegated(&call.state, &valid).await?;
    Ok(valid)
}

async fn list(call: Call) -> Result<Json<Many<CredentialBody>>> {
    by(&call, &policy::LIST_APP_CREDENTIALS).await?;
    let user = call.param("user_id")?;
    let all = role::table::list(&call.state.db).await?;
    let found = table::of_user(&call.state.db, user).await?;
    let items = found
        .into_iter()
        .map(|c| CredentialBody::new(c, &all, call.base()))
        .collect();
    listing(
        &call,
        &format!("/users/{user}/application_credentials"),
        items,
    )
}

async fn show(call: Call) -> Result<Json<One<CredentialBody>>> {
    by(&call, &policy::GET_APP_CREDENTIAL).await?;
    let (user, id) = (
        call.param("user_id")?,
        call.param("application_credential_id")?,
    );
    let all = role::table::list(&call.state.db).await?;
    let found = ops::get(&call.state, user, id).await?;
    Ok(Json(One(CredentialBody::new(found, &all, call.base()))))
}

async fn create(call: Call<New<CredentialFields>>) -> Result<Created<One<CredentialBody>>> {
    let valid = by(&call, &policy::CREATE_APP_CREDENTIAL).await?;
    let New(fields) = call.body()?;
    let (credential, secret) = ops::create(&call.state, &valid, fields).await?;
    let mut body = CredentialBody::new(credential, &valid.roles, call.base());
    body.secret = Some(secret);
    Ok(Created(One(body)))
}

async fn remove(call: Call) -> Result<NoContent> {
    by(&call, &policy::DELETE_APP_CREDENTIAL).await?;
    let (user, id) = (
        call.param("user_id")?,
        call.param("application_credential_id")?,
    );
    ops::delete(&call.state, user, id).await?;
    Ok(NoContent)
}
