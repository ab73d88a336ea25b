//! Read-only resources: services, stats, quotas.

use kernel::{Error, ProjectId, Result, clock};
use rest::{Call, Json, Param, Route, get};
use schemars::JsonSchema;
use serde::Serialize;

use crate::cluster::table;
use crate::deps::State;
use crate::errors::bad_request;
use crate::fields::check_flag;
use crate::listing::{self, PAGING};
use crate::policies;
use crate::template::ops::{own_target, project};
use crate::wire::Time;

const STATS: &[Param] = &[
    Param::text(
        "project_id",
        "Only this project; others are for administrators.",
    ),
    Param::words("type", &["cluster"], "What is counted."),
];
const QUOTAS: &[Param] = &[Param::boolean(
    "all_tenants",
    "Whether to list the quotas of all projects.",
)];

pub(crate) fn routes() -> Vec<Route<State>> {
    vec![
        get(
            "/v1/mservices",
            &policies::SERVICE_GET_ALL,
            "Lists this server as the only conductor.",
            services,
        ),
        get(
            "/v1/stats",
            &policies::STATS_GET_ALL,
            "Counts clusters and nodes, masters included.",
            stats,
        )
        .query(&[STATS]),
        get(
            "/v1/quotas",
            &policies::QUOTA_GET_ALL,
            "Lists quotas; there are none yet.",
            quotas,
        )
        .query(&[PAGING, QUOTAS]),
        get(
            "/v1/quotas/{project_id}/{resource}",
            &policies::QUOTA_GET,
            "Shows a quota; -1 means no limit.",
            quota,
        ),
    ]
}

#[derive(Serialize, JsonSchema)]
struct ServiceList {
    mservices: [ServiceBody; 1],
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MagnumService")]
struct ServiceBody {
    host: &'static str,
    binary: &'static str,
    state: &'static str,
    id: u32,
    report_count: u32,
    disabled: bool,
    disabled_reason: Option<String>,
    created_at: Time,
    updated_at: Time,
}

async fn services(call: Call<State>) -> Result<Json<ServiceList>> {
    let ctx = call.ctx()?;
    let enforcer = &call.state.enforcer;
    enforcer.check(&policies::SERVICE_GET_ALL, ctx, &own_target(ctx))?;
    let now = Time(clock::now());
    let body = ServiceBody {
        host: "jeroboam",
        binary: "magnum-conductor",
        state: "up",
        id: 1,
        report_count: 1,
        disabled: false,
        disabled_reason: None,
        created_at: now,
        updated_at: now,
    };
    Ok(Json(ServiceList { mservices: [body] }))
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MagnumStats")]
struct StatsBody {
    clusters: i64,
    nodes: i64,
}

async fn stats(call: Call<State>) -> Result<Json<StatsBody>> {
    if let Some(kind) = call.asked("type")
        && kind != "cluster"
    {
        return Err(bad_request(
            "type",
            "Invalid stats type. Allowed values are 'cluster'",
        ));
    }
    let ctx = call.ctx()?;
    let enforcer = &call.state.enforcer;
    enforcer.check(&policies::STATS_GET_ALL, ctx, &own_target(ctx))?;
    let asked = call.asked("project_id").map(ProjectId::from);
    let scope = if ctx.is_admin() {
        asked.as_ref()
    } else {
        let mine = project(ctx)?;
        if asked.is_some_and(|p| p != *mine) {
            return Err(Error::forbidden("Not authorized."));
        }
        Some(mine)
    };
    let (clusters, nodes) = table::count(&call.state.db, scope).await?;
    Ok(Json(StatsBody { clusters, nodes }))
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MagnumQuotaList")]
struct QuotaList {
    quotas: [QuotaBody; 0],
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MagnumQuota")]
struct QuotaBody {
    hard_limit: i64,
    project_id: String,
    resource: String,
}

async fn quotas(call: Call<State>) -> Result<Json<QuotaList>> {
    // The marker is a number in the real service.
    let query = call.parts.query.iter().filter(|(name, _)| name != "marker");
    listing::parse(&query.cloned().collect::<Vec<_>>())?;
    if let Some(all) = call.asked("all_tenants") {
        check_flag("all_tenants", &all.into())?;
    }
    let ctx = call.ctx()?;
    let enforcer = &call.state.enforcer;
    enforcer.check(&policies::QUOTA_GET_ALL, ctx, &own_target(ctx))?;
    Ok(Json(QuotaList { quotas: [] }))
}

async fn quota(call: Call<State>) -> Result<Json<QuotaBody>> {
    let ctx = call.ctx()?;
    let enforcer = &call.state.enforcer;
    enforcer.check(&policies::QUOTA_GET, ctx, &own_target(ctx))?;
    let project_id = call.param("project_id")?;
    if !ctx.is_admin() && ctx.project_id().is_none_or(|own| own != project_id) {
        return Err(Error::forbidden("Not authorized."));
    }
    Ok(Json(QuotaBody {
        hard_limit: -1,
        project_id: project_id.to_owned(),
        resource: call.param("resource")?.to_owned(),
    }))
}
