//! Routes of domains.

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use kernel::Target;
use serde_json::{Value, json};

use super::ops;
use crate::Identity;
use crate::call::{Call, Reply, created, done, shown};
use crate::project::{self, Project};

pub(crate) fn routes() -> Router<Identity> {
    Router::new()
        .route("/identity/v3/domains", get(list).post(create))
        .route(
            "/identity/v3/domains/{id}",
            get(show).patch(update).delete(delete),
        )
}

/// A domain is visible to its own callers.
fn visible(call: &Call, domain: &Project) -> bool {
    let target = Target::domain(domain.id.clone());
    call.allow("identity:get_domain", &target).is_ok()
        || call.domain_id().is_ok_and(|own| own == domain.id)
}

async fn list(call: Call) -> Reply {
    let all = project::table::list(&call.identity.db).await?;
    let items: Vec<Value> = all
        .iter()
        .filter(|d| d.is_domain && visible(&call, d))
        .map(|d| project::wire::show(d, &call.base))
        .collect();
    Ok(call.list("domains", "/domains", items, &["name", "enabled"])?)
}

async fn show(Path(id): Path<String>, call: Call) -> Reply {
    let found = ops::get(&call.identity, &id).await;
    if !found.as_ref().is_ok_and(|d| visible(&call, d)) {
        call.allow("identity:get_domain", &Target::default())?;
    }
    Ok(shown(
        json!({"domain": project::wire::show(&found?, &call.base)}),
    ))
}

async fn create(call: Call) -> Reply {
    call.allow("identity:create_domain", &Target::default())?;
    let fields = call.object("domain")?;
    let domain = ops::create(&call.identity, &fields).await?;
    Ok(created(
        json!({"domain": project::wire::show(&domain, &call.base)}),
    ))
}

async fn update(Path(id): Path<String>, call: Call) -> Reply {
    call.allow("identity:update_domain", &Target::default())?;
    let fields = call.object("domain")?;
    let domain = ops::update(&call.identity, &id, &fields).await?;
    Ok(shown(
        json!({"domain": project::wire::show(&domain, &call.base)}),
    ))
}

async fn delete(Path(id): Path<String>, call: Call) -> Reply {
    call.allow("identity:delete_domain", &Target::default())?;
    ops::delete(&call.identity, &id).await?;
    Ok(done())
}
