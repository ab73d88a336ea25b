//! Routes of application credentials.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use kernel::{Error, Target, clock};
use serde_json::{Value, json};

use super::ops;
use crate::Identity;
use crate::call::{Call, Reply, created, done, shown};
use crate::role::{self, Role};
use crate::token::{self, Valid};
use crate::user::table::{self, AppCredential};

pub(crate) fn routes() -> Router<Identity> {
    Router::new()
        .route(
            "/identity/v3/users/{user}/application_credentials",
            get(list).post(create),
        )
        .route(
            "/identity/v3/users/{user}/application_credentials/{id}",
            get(show).delete(delete),
        )
}

/// The token of the caller, if the rule allows acting for this user.
async fn by(call: &Call, rule: &str, user: &str) -> kernel::Result<Arc<Valid>> {
    let target = Target {
        user_id: Some(user.to_owned()),
        ..Target::default()
    };
    call.allow(rule, &target)?;
    let token = call
        .headers
        .get("x-auth-token")
        .and_then(|v| v.to_str().ok());
    let token = token.ok_or_else(Error::unauthenticated)?;
    // A credential outlives the token, so the cache does not decide.
    let valid = token::ops::validate_uncached(&call.identity, token).await?;
    ops::unrestricted(&call.identity, &valid).await?;
    Ok(valid)
}

async fn list(Path(user): Path<String>, call: Call) -> Reply {
    by(&call, "identity:list_application_credentials", &user).await?;
    let all = role::table::list(&call.identity.db).await?;
    let found = table::credentials(&call.identity.db, &user).await?;
    let items = found.iter().map(|c| wire(c, &all, &call.base)).collect();
    let path = format!("/users/{user}/application_credentials");
    Ok(call.list("application_credentials", &path, items, &["name"])?)
}

async fn show(Path((user, id)): Path<(String, String)>, call: Call) -> Reply {
    by(&call, "identity:get_application_credential", &user).await?;
    let all = role::table::list(&call.identity.db).await?;
    let found = ops::get(&call.identity, &user, &id).await?;
    Ok(shown(
        json!({"application_credential": wire(&found, &all, &call.base)}),
    ))
}

async fn create(Path(user): Path<String>, call: Call) -> Reply {
    let valid = by(&call, "identity:create_application_credential", &user).await?;
    let fields = call.object("application_credential")?;
    let (credential, secret) = ops::create(&call.identity, &valid, &fields).await?;
    let mut body = wire(&credential, &valid.roles, &call.base);
    body["secret"] = secret.into();
    Ok(created(json!({"application_credential": body})))
}

async fn delete(Path((user, id)): Path<(String, String)>, call: Call) -> Reply {
    by(&call, "identity:delete_application_credential", &user).await?;
    ops::delete(&call.identity, &user, &id).await?;
    Ok(done())
}

fn wire(c: &AppCredential, all: &[Role], base: &str) -> Value {
    let roles: Vec<Value> = all
        .iter()
        .filter(|r| c.roles.contains(&r.id))
        .map(|r| json!({"id": r.id, "name": r.name, "domain_id": null}))
        .collect();
    let expires = c.expires_at.map(clock::iso_micros_z);
    json!({
        "id": c.id, "name": c.name, "description": c.description, "project_id": c.project_id,
        "user_id": c.user_id, "system": null, "roles": roles, "unrestricted": c.unrestricted,
        "expires_at": expires.map(|t| t.trim_end_matches('Z').to_owned()),
        "links": {"self": format!("{base}/identity/v3/users/{}/application_credentials/{}", c.user_id, c.id)},
    })
}
