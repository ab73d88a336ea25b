//! Routes of projects.

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use kernel::Target;
use serde_json::{Value, json};

use super::{Project, ops, table, wire};
use crate::Identity;
use crate::call::{Call, Reply, created, done, shown};

const FILTERS: &[&str] = &["tags", "name", "domain_id", "enabled", "parent_id"];

pub(crate) fn routes() -> Router<Identity> {
    Router::new()
        .route("/identity/v3/projects", get(list).post(create))
        .route(
            "/identity/v3/projects/{id}",
            get(show).patch(update).delete(delete),
        )
}

pub(crate) fn target(project: &Project) -> Target {
    let domain = if project.is_domain {
        &project.id
    } else {
        &project.domain_id
    };
    Target {
        project_id: Some(project.id.clone()),
        domain_id: Some(domain.clone()),
        user_id: None,
    }
}

async fn list(call: Call) -> Reply {
    let own = call.domain_id()?;
    call.allow("identity:list_projects", &Target::domain(own.clone()))?;
    let all = call
        .allow("identity:list_projects", &Target::default())
        .is_ok();
    let domains = call
        .asked("is_domain")
        .is_some_and(|v| v != "0" && v != "false");
    let projects = table::list(&call.identity.db).await?;
    let items: Vec<Value> = projects
        .iter()
        .filter(|p| p.is_domain == domains && (all || target(p).domain_id.as_ref() == Some(&own)))
        .map(|p| wire::show(p, &call.base))
        .collect();
    Ok(call.list("projects", "/projects", items, FILTERS)?)
}

async fn create(call: Call) -> Reply {
    let own = call.domain_id()?;
    let fields = call.object("project")?;
    let domain_id = fields.nullable("domain_id", 64)?.flatten().unwrap_or(own);
    call.allow(
        "identity:create_project",
        &Target::domain(domain_id.clone()),
    )?;
    let project = ops::create(&call.identity, &domain_id, &fields).await?;
    Ok(created(
        json!({"project": wire::show(&project, &call.base)}),
    ))
}

async fn show(Path(id): Path<String>, call: Call) -> Reply {
    let project = found(&call, &id, "identity:get_project").await?;
    Ok(shown(json!({"project": wire::show(&project, &call.base)})))
}

async fn update(Path(id): Path<String>, call: Call) -> Reply {
    found(&call, &id, "identity:update_project").await?;
    let fields = call.object("project")?;
    let project = ops::update(&call.identity, &id, &fields).await?;
    Ok(shown(json!({"project": wire::show(&project, &call.base)})))
}

async fn delete(Path(id): Path<String>, call: Call) -> Reply {
    found(&call, &id, "identity:delete_project").await?;
    ops::delete(&call.identity, &id).await?;
    Ok(done())
}

/// Returns the project if the rule allows it. A domain can be changed only by
/// callers that may change domains.
async fn found(call: &Call, id: &str, rule: &str) -> kernel::Result<Project> {
    match ops::get(&call.identity, id).await {
        Ok(project) => {
            call.allow(rule, &target(&project))?;
            if project.is_domain && rule != "identity:get_project" {
                call.allow("identity:update_domain", &Target::default())?;
            }
            Ok(project)
        }
        Err(e) => {
            call.allow(rule, &Target::domain(call.domain_id()?))?;
            Err(e)
        }
    }
}
