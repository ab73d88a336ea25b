//! Routes of users.

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};
use kernel::Target;
use serde_json::{Value, json};

use super::{User, ops, table, wire};
use crate::Identity;
use crate::call::{Call, Reply, created, done, shown};
use crate::project;

const FILTERS: &[&str] = &["name", "domain_id", "enabled"];

pub(crate) fn routes() -> Router<Identity> {
    Router::new()
        .route("/identity/v3/users", get(list).post(create))
        .route(
            "/identity/v3/users/{id}",
            get(show).patch(update).delete(delete),
        )
        .route("/identity/v3/users/{id}/projects", get(projects))
        .route("/identity/v3/users/{id}/groups", get(groups))
}

/// Works without a token, because a user with an expired password has none.
pub(crate) fn public() -> Router<Identity> {
    Router::new().route("/identity/v3/users/{id}/password", post(password))
}

pub(crate) fn target(user: &User) -> Target {
    Target {
        user_id: Some(user.id.clone()),
        domain_id: Some(user.domain_id.clone()),
        project_id: None,
    }
}

async fn list(call: Call) -> Reply {
    // A domain reader sees only their own domain, whatever the filter is.
    let own = call.domain_id()?;
    call.allow("identity:list_users", &Target::domain(own.clone()))?;
    let all = call
        .allow("identity:list_users", &Target::default())
        .is_ok();
    let users = table::list(&call.identity.db).await?;
    let users: Vec<Value> = users
        .iter()
        .filter(|u| all || u.domain_id == own)
        .map(|u| wire::show(u, &call.base))
        .collect();
    Ok(call.list("users", "/users", users, FILTERS)?)
}

async fn create(call: Call) -> Reply {
    let own = call.domain_id()?;
    let fields = call.object("user")?;
    let domain_id = fields.text("domain_id", 64)?.unwrap_or(own);
    call.allow("identity:create_user", &Target::domain(domain_id.clone()))?;
    let user = ops::create(&call.identity, &domain_id, &fields).await?;
    Ok(created(json!({"user": wire::show(&user, &call.base)})))
}

async fn show(Path(id): Path<String>, call: Call) -> Reply {
    let user = found(&call, &id, "identity:get_user").await?;
    Ok(shown(json!({"user": wire::show(&user, &call.base)})))
}

async fn update(Path(id): Path<String>, call: Call) -> Reply {
    found(&call, &id, "identity:update_user").await?;
    let fields = call.object("user")?;
    let user = ops::update(&call.identity, &id, &fields).await?;
    Ok(shown(json!({"user": wire::show(&user, &call.base)})))
}

async fn delete(Path(id): Path<String>, call: Call) -> Reply {
    found(&call, &id, "identity:delete_user").await?;
    ops::delete(&call.identity, &id).await?;
    Ok(done())
}

async fn password(Path(id): Path<String>, call: Call) -> Reply {
    let fields = call.object("user")?;
    ops::change_password(&call.identity, &id, &fields).await?;
    Ok(done())
}

async fn projects(Path(id): Path<String>, call: Call) -> Reply {
    let user = found(&call, &id, "identity:list_user_projects").await?;
    let list = project::table::of_user(&call.identity.db, &user.id, "project").await?;
    let items = list
        .iter()
        .map(|p| project::wire::show(p, &call.base))
        .collect();
    Ok(call.list("projects", &format!("/users/{id}/projects"), items, FILTERS)?)
}

/// Groups are not supported yet, so the list is empty.
async fn groups(Path(id): Path<String>, call: Call) -> Reply {
    found(&call, &id, "identity:get_user").await?;
    Ok(call.list("groups", &format!("/users/{id}/groups"), vec![], &[])?)
}

/// Returns the user if the rule allows it. Callers that may not see users must
/// not learn which users exist.
pub(crate) async fn found(call: &Call, id: &str, rule: &str) -> kernel::Result<User> {
    match ops::get(&call.identity, id).await {
        Ok(user) => {
            call.allow(rule, &target(&user))?;
            Ok(user)
        }
        Err(e) => {
            call.allow(rule, &Target::domain(call.domain_id()?))?;
            Err(e)
        }
    }
}
