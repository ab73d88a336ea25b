//! Routes of roles.

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use kernel::{Result, Target};
use serde_json::{Value, json};

use super::{Role, ops, table, wire};
use crate::Identity;
use crate::call::{Call, Reply, created, done, shown};

pub(crate) fn routes() -> Router<Identity> {
    Router::new()
        .route("/identity/v3/roles", get(list).post(create))
        .route(
            "/identity/v3/roles/{id}",
            get(show).patch(update).delete(delete),
        )
        .route("/identity/v3/roles/{id}/implies", get(implies))
        .route("/identity/v3/role_inferences", get(inferences))
}

/// Roles belong to no domain; a domain manager may read them.
fn may_read(call: &Call, rule: &str) -> Result<()> {
    let target = Target::domain(call.domain_id()?);
    call.allow(rule, &target)
}

async fn list(call: Call) -> Reply {
    may_read(&call, "identity:list_roles")?;
    let all = table::list(&call.identity.db).await?;
    let items = all.iter().map(|r| wire::show(r, &call.base)).collect();
    Ok(call.list("roles", "/roles", items, &["name", "domain_id"])?)
}

async fn show(Path(id): Path<String>, call: Call) -> Reply {
    may_read(&call, "identity:get_role")?;
    let role = ops::get(&call.identity, &id).await?;
    Ok(shown(json!({"role": wire::show(&role, &call.base)})))
}

async fn create(call: Call) -> Reply {
    call.allow("identity:create_role", &Target::default())?;
    let fields = call.object("role")?;
    let role = ops::create(&call.identity, &fields).await?;
    Ok(created(json!({"role": wire::show(&role, &call.base)})))
}

async fn update(Path(id): Path<String>, call: Call) -> Reply {
    call.allow("identity:update_role", &Target::default())?;
    let fields = call.object("role")?;
    let role = ops::update(&call.identity, &id, &fields).await?;
    Ok(shown(json!({"role": wire::show(&role, &call.base)})))
}

async fn delete(Path(id): Path<String>, call: Call) -> Reply {
    call.allow("identity:delete_role", &Target::default())?;
    ops::delete(&call.identity, &id).await?;
    Ok(done())
}

async fn implies(Path(id): Path<String>, call: Call) -> Reply {
    call.allow("identity:list_role_inference_rules", &Target::default())?;
    let prior = ops::get(&call.identity, &id).await?;
    let (all, pairs) = graph(&call).await?;
    Ok(shown(
        json!({"role_inference": inference(&prior, &all, &pairs, &call.base)}),
    ))
}

async fn inferences(call: Call) -> Reply {
    call.allow("identity:list_role_inference_rules", &Target::default())?;
    let (all, pairs) = graph(&call).await?;
    let items: Vec<Value> = all
        .iter()
        .filter(|r| pairs.iter().any(|(prior, _)| *prior == r.id))
        .map(|r| inference(r, &all, &pairs, &call.base))
        .collect();
    Ok(shown(json!({"role_inferences": items})))
}

async fn graph(call: &Call) -> Result<(Vec<Role>, Vec<(String, String)>)> {
    let db = &call.identity.db;
    Ok((table::list(db).await?, table::implied(db).await?))
}

fn inference(prior: &Role, all: &[Role], pairs: &[(String, String)], base: &str) -> Value {
    let implies: Vec<Value> = all
        .iter()
        .filter(|r| pairs.iter().any(|(p, i)| *p == prior.id && *i == r.id))
        .map(|r| wire::short(r, base))
        .collect();
    json!({"prior_role": wire::short(prior, base), "implies": implies})
}
