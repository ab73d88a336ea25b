//! Routes of key pairs of EC2.

use kernel::{Result, Rule, UserId};
use rest::{Created, Json, NoContent, Route, delete, get, post};
use serde_json::Map;

use super::ec2_wire::{Ec2Body, NewPair};
use super::http::{of_user, projects};
use super::wire::UserCredentialFields;
use super::{UserCredential, blob, ops, table};
use crate::call::{Call, IdentityCall};
use crate::delegation::refuse_delegated;
use crate::envelope::{Many, One};
use crate::errors::missing;
use crate::listing::{PAGING, list as listing};
use crate::state::State;
use crate::{policy, user};

pub(crate) fn routes() -> Vec<Route<State>> {
    let all = "/v3/users/{user_id}/credentials/OS-EC2";
    let one = "/v3/users/{user_id}/credentials/OS-EC2/{access}";
    vec![
        get(
            all,
            &policy::EC2_LIST_CREDENTIALS,
            "List the EC2 key pairs of a user.",
            list,
        )
        .query(&[PAGING]),
        post(
            all,
            &policy::EC2_CREATE_CREDENTIAL,
            "Create an EC2 key pair for a project.",
            create,
        ),
        get(
            one,
            &policy::EC2_GET_CREDENTIAL,
            "Show an EC2 key pair.",
            show,
        ),
        delete(
            one,
            &policy::EC2_DELETE_CREDENTIAL,
            "Delete an EC2 key pair.",
            remove,
        ),
    ]
}

/// The existing user of the path, if the rule allows acting for the user.
async fn owner<B>(call: &Call<B>, rule: &'static Rule) -> Result<UserId> {
    let id = UserId::from(call.param("user_id")?);
    call.allow(rule, &of_user(&id))?;
    refuse_delegated(call).await?;
    Ok(user::ops::get(&call.state, &id).await?.id)
}

fn body<B>(call: &Call<B>, credential: UserCredential) -> Result<Ec2Body> {
    let blob = ops::unseal(&call.state, &credential)?;
    Ok(Ec2Body::new(credential, &blob, call.base()))
}

async fn list(call: Call) -> Result<Json<Many<Ec2Body>>> {
    let user_id = owner(&call, &policy::EC2_LIST_CREDENTIALS).await?;
    let found = table::of_user(&call.state.db, &user_id).await?;
    let pairs = found.into_iter().filter(UserCredential::is_ec2);
    let items: Result<Vec<_>> = pairs.map(|c| body(&call, c)).collect();
    let path = format!("/users/{user_id}/credentials/OS-EC2");
    listing(&call, &path, items?)
}

async fn create(call: Call<NewPair>) -> Result<Created<One<Ec2Body>>> {
    let rule = &policy::EC2_CREATE_CREDENTIAL;
    let user_id = owner(&call, rule).await?;
    let NewPair { tenant_id } = call.body()?;
    let fields = UserCredentialFields {
        user_id: None,
        project_id: Some(tenant_id),
        kind: "ec2".to_owned(),
        blob: blob::new_pair(&kernel::ids::hex(), &kernel::ids::hex()),
        extra: Map::new(),
    };
    let made = ops::create(&call.state, &user_id, fields, projects(&call, rule)).await?;
    Ok(Created(One(body(&call, made)?)))
}

async fn show(call: Call) -> Result<Json<One<Ec2Body>>> {
    let pair = found(&call, &policy::EC2_GET_CREDENTIAL).await?;
    Ok(Json(One(body(&call, pair)?)))
}

async fn remove(call: Call) -> Result<NoContent> {
    let pair = found(&call, &policy::EC2_DELETE_CREDENTIAL).await?;
    ops::delete(&call.state, &pair.id).await?;
    Ok(NoContent)
}

/// The key pair of the path, if it belongs to the user of the path.
async fn found(call: &Call, rule: &'static Rule) -> Result<UserCredential> {
    let user_id = owner(call, rule).await?;
    let id = blob::id_of(call.param("access")?);
    let credential = table::by_id(&call.state.db, &id).await?;
    credential
        .filter(|c| c.is_ec2() && c.user_id == user_id)
        .ok_or_else(|| missing("credential", &id))
}
