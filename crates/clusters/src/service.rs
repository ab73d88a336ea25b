//! Read-only resources: services, stats, quotas.

use kernel::{Error, Result, clock};
use serde_json::json;

use crate::ClustersDeps;
use crate::call::{Answer, Call};
use crate::cluster::table;
use crate::errors::bad_request;
use crate::template::ops::{own_target, project};

/// `GET /mservices`: lists this server as the only conductor.
pub(crate) fn services(d: &ClustersDeps, call: &Call) -> Result<Answer> {
    call.reject_query()?;
    d.enforcer
        .check("magnum-service:get_all", &call.ctx, &own_target(&call.ctx))?;
    let now = clock::iso_offset(clock::now_micros());
    Ok(Answer::json(
        200,
        json!({ "mservices": [{ "host": "jeroboam", "binary": "magnum-conductor", "state": "up",
            "id": 1, "report_count": 1, "disabled": false, "disabled_reason": null,
            "created_at": now, "updated_at": now }] }),
    ))
}

/// `GET /stats`: clusters and nodes, masters included.
pub(crate) async fn stats(d: &ClustersDeps, call: &Call) -> Result<Answer> {
    call.allow_query_keys(&["project_id", "type"])?;
    if let Some(kind) = call.query_value("type")
        && kind != "cluster"
    {
        return Err(bad_request(
            "type",
            "Invalid stats type. Allowed values are 'cluster'",
        ));
    }
    d.enforcer
        .check("stats:get_all", &call.ctx, &own_target(&call.ctx))?;
    let asked = call.query_value("project_id");
    let scope = if call.ctx.is_admin() {
        asked
    } else {
        let mine = project(&call.ctx)?;
        if asked.is_some_and(|p| p != mine) {
            return Err(Error::forbidden("Not authorized."));
        }
        Some(mine)
    };
    let (clusters, nodes) = table::count(&d.db, scope).await?;
    Ok(Answer::json(
        200,
        json!({ "clusters": clusters, "nodes": nodes }),
    ))
}

/// `GET /quotas`: empty, because quotas are not implemented yet.
pub(crate) fn quotas(d: &ClustersDeps, call: &Call) -> Result<Answer> {
    crate::listing::parse(
        &call
            .query
            .iter()
            .filter(|(k, _)| k != "marker")
            .cloned()
            .collect::<Vec<_>>(),
        &["all_tenants"],
    )?;
    d.enforcer
        .check("quota:get_all", &call.ctx, &own_target(&call.ctx))?;
    Ok(Answer::json(200, json!({ "quotas": [] })))
}

/// `GET /quotas/{project}/{resource}`: -1 means no limit.
pub(crate) fn quota(
    d: &ClustersDeps,
    call: &Call,
    project_id: &str,
    resource: &str,
) -> Result<Answer> {
    call.reject_query()?;
    d.enforcer
        .check("quota:get", &call.ctx, &own_target(&call.ctx))?;
    if !call.ctx.is_admin() && call.ctx.project_id() != Some(project_id) {
        return Err(Error::forbidden("Not authorized."));
    }
    Ok(Answer::json(
        200,
        json!({ "hard_limit": -1, "project_id": project_id, "resource": resource }),
    ))
}
