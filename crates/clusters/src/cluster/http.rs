//! Routes of clusters.

use kernel::Result;
use rest::{Accepted, Call, Json, NoContent, Param, Route, delete, get, patch_route, post};
use serde_json::json;

use super::model::Cluster;
use super::new::NewCluster;
use super::progress::{self, Progress};
use super::wire::{
    ClusterBody, ClusterDetailList, ClusterItem, ClusterList, ResizeBody, UpgradeBody,
};
use super::{create, ops, resize, view};
use crate::deps::State;
use crate::errors::{bad_request, unknown_argument, wrong_state};
use crate::listing::{self, PAGING};
use crate::patch::Patch;
use crate::wire::AcceptedBody;
use crate::{links, policies};

/// `?rollback=` is supported from this minor version on.
const ROLLBACK: u16 = 3;
const ROLLBACK_PARAM: &[Param] = &[Param::boolean(
    "rollback",
    "Whether a failed update returns to the previous state; from version 1.3 on.",
)];

type AcceptedCluster = Accepted<AcceptedBody>;

pub(crate) fn routes() -> Vec<Route<State>> {
    const ALL: &str = "/v1/clusters";
    const ONE: &str = "/v1/clusters/{cluster_id}";
    vec![
        get(ALL, &policies::CLUSTER_GET_ALL, "Lists clusters.", list).query(&[PAGING]),
        get(
            "/v1/clusters/detail",
            &policies::CLUSTER_DETAIL,
            "Lists clusters with all their attributes.",
            list_detail,
        )
        .query(&[PAGING]),
        post(ALL, &policies::CLUSTER_CREATE, "Creates a cluster.", create),
        get(ONE, &policies::CLUSTER_GET, "Shows a cluster.", show),
        patch_route(ONE, &policies::CLUSTER_UPDATE, "Changes a cluster.", update)
            .query(&[ROLLBACK_PARAM]),
        delete(ONE, &policies::CLUSTER_DELETE, "Deletes a cluster.", remove),
        post(
            "/v1/clusters/{cluster_id}/actions/resize",
            &policies::CLUSTER_RESIZE,
            "Changes the number of nodes of a cluster.",
            resize,
        )
        .since(1, 7),
        post(
            "/v1/clusters/{cluster_id}/actions/upgrade",
            &policies::CLUSTER_UPGRADE,
            "Upgrades a cluster; no driver supports it yet.",
            upgrade,
        )
        .since(1, 8),
    ]
}

/// Our own routes, below `/jeroboam/v1/clusters`.
pub(crate) fn native_routes() -> Vec<Route<State>> {
    vec![get(
        "/{cluster_id}/progress",
        &policies::CLUSTER_GET,
        "Shows the nodes of a cluster with their steps, and the resources of its stack.",
        show_progress,
    )]
}

async fn list(call: Call<State>) -> Result<Json<ClusterList>> {
    let page = listing::parse(&call.parts.query)?;
    let found = view::list(&call.state, call.ctx()?, &page).await?;
    let (base, minor) = (links::base(&call), call.minor());
    let last = found.rows.last().map(|(row, _)| row.uuid.as_str());
    let url = format!("{base}/v1/clusters");
    let next = listing::next(&url, &page, &[], found.has_more, last);
    let rows = found.rows.into_iter();
    let item = |(row, nodes)| ClusterItem::new(row, &nodes, &base, minor);
    Ok(Json(ClusterList {
        clusters: rows.map(item).collect(),
        next,
    }))
}

async fn list_detail(call: Call<State>) -> Result<Json<ClusterDetailList>> {
    let page = listing::parse(&call.parts.query)?;
    let found = view::list_detail(&call.state, call.ctx()?, &page).await?;
    let (base, minor) = (links::base(&call), call.minor());
    let last = found.rows.last().map(|v| v.row.short.uuid.as_str());
    let url = format!("{base}/v1/clusters/detail");
    let next = listing::next(&url, &page, &[], found.has_more, last);
    let rows = found.rows.into_iter();
    Ok(Json(ClusterDetailList {
        clusters: rows.map(|v| ClusterBody::new(v, &base, minor)).collect(),
        next,
    }))
}

async fn create(call: Call<State, NewCluster>) -> Result<AcceptedCluster> {
    let new = call.body()?;
    let uuid = create::create(&call.state, call.ctx()?, &new, call.minor()).await?;
    Ok(Accepted(AcceptedBody { uuid: uuid.into() }))
}

async fn show(call: Call<State>) -> Result<Json<ClusterBody>> {
    let everywhere = &policies::CLUSTER_GET_ONE_ALL_PROJECTS;
    let rules = [&policies::CLUSTER_GET];
    let (d, key) = (&call.state, call.param("cluster_id")?);
    let cluster = ops::load(d, call.ctx()?, key, everywhere, &rules).await?;
    let shown = view::show(d, &cluster).await?;
    let base = links::base(&call);
    Ok(Json(ClusterBody::new(shown, &base, call.minor())))
}

/// With `rollback` a failed update returns to the previous state; without it
/// the existing nodes stay.
async fn update(call: Call<State, Patch<Cluster>>) -> Result<AcceptedCluster> {
    let rollback = match call.asked("rollback") {
        Some(_) if call.minor() < ROLLBACK => return Err(unknown_argument("rollback")),
        Some(text) => crate::fields::check_flag("rollback", &json!(text))?,
        None => false,
    };
    let patch = call.body()?;
    let everywhere = &policies::CLUSTER_UPDATE_ALL_PROJECTS;
    let rules = [
        &policies::CLUSTER_UPDATE,
        &policies::CLUSTER_UPDATE_HEALTH_STATUS,
    ];
    let (d, ctx) = (&call.state, call.ctx()?);
    let cluster = ops::load(d, ctx, call.param("cluster_id")?, everywhere, &rules).await?;
    ops::update(d, ctx, &cluster, &patch.changes, rollback).await?;
    Ok(accepted(&cluster))
}

async fn remove(call: Call<State>) -> Result<NoContent> {
    let everywhere = &policies::CLUSTER_DELETE_ALL_PROJECTS;
    let rules = [&policies::CLUSTER_DELETE];
    let (d, ctx) = (&call.state, call.ctx()?);
    let cluster = ops::load(d, ctx, call.param("cluster_id")?, everywhere, &rules).await?;
    ops::delete(d, ctx, &cluster).await?;
    Ok(NoContent)
}

async fn resize(call: Call<State, ResizeBody>) -> Result<AcceptedCluster> {
    let body = call.body()?;
    let everywhere = &policies::CLUSTER_GET_ONE_ALL_PROJECTS;
    let rules = [&policies::CLUSTER_RESIZE];
    let (d, ctx) = (&call.state, call.ctx()?);
    let cluster = ops::load(d, ctx, call.param("cluster_id")?, everywhere, &rules).await?;
    resize::resize(d, ctx, &cluster, body).await?;
    Ok(accepted(&cluster))
}

/// No engine supports upgrades yet: performs the checks of the real service,
/// then refuses.
async fn upgrade(call: Call<State, UpgradeBody>) -> Result<AcceptedCluster> {
    call.body()?;
    let everywhere = &policies::CLUSTER_UPGRADE_ALL_PROJECTS;
    let rules = [&policies::CLUSTER_UPGRADE];
    let (d, ctx) = (&call.state, call.ctx()?);
    let cluster = ops::load(d, ctx, call.param("cluster_id")?, everywhere, &rules).await?;
    if !cluster.complete() {
        return Err(wrong_state("Upgrading", &cluster.status));
    }
    Err(bad_request(
        "upgrade",
        "Upgrading a cluster is not supported by this driver.",
    ))
}

async fn show_progress(call: Call<State>) -> Result<Json<Progress>> {
    let everywhere = &policies::CLUSTER_GET_ONE_ALL_PROJECTS;
    let rules = [&policies::CLUSTER_GET];
    let (d, ctx) = (&call.state, call.ctx()?);
    let cluster = ops::load(d, ctx, call.param("cluster_id")?, everywhere, &rules).await?;
    progress::show(d, ctx, &cluster).await.map(Json)
}

fn accepted(cluster: &Cluster) -> AcceptedCluster {
    Accepted(AcceptedBody {
        uuid: cluster.uuid.to_string(),
    })
}
