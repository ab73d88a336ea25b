//! Routes of node groups, which are created and resized through their cluster.

use kernel::{Error, Result, Rule, SortDir};
use rest::{Call, Json, Param, Route, get};

use super::table;
use super::wire::{NodegroupBody, NodegroupItem, NodegroupList};
use crate::authorized::Authorized;
use crate::cluster::{Cluster, ops};
use crate::deps::State;
use crate::listing::{self, MAX_LIMIT, PAGING};
use crate::{links, policies};

const ROLE: &[Param] = &[Param::text("role", "Only groups of this role.")];

pub(crate) fn routes() -> Vec<Route<State>> {
    vec![
        get(
            "/v1/clusters/{cluster_id}/nodegroups",
            &policies::NODEGROUP_GET_ALL,
            "Lists the node groups of a cluster.",
            list,
        )
        .query(&[PAGING, ROLE])
        .since(1, 9),
        get(
            "/v1/clusters/{cluster_id}/nodegroups/{nodegroup_id}",
            &policies::NODEGROUP_GET,
            "Shows a node group by uuid, name or number.",
            show,
        )
        .since(1, 9),
    ]
}

/// Loads the cluster that the groups belong to.
async fn cluster(
    call: &Call<State>,
    everywhere: &'static Rule,
    rule: &'static Rule,
) -> Result<Authorized<Cluster>> {
    let key = call.param("cluster_id")?;
    ops::load(&call.state, call.ctx()?, key, everywhere, &[rule]).await
}

/// Few rows, paged in memory.
async fn list(call: Call<State>) -> Result<Json<NodegroupList>> {
    let page = listing::parse(&call.parts.query)?;
    let everywhere = &policies::NODEGROUP_GET_ALL_ALL_PROJECTS;
    let c = cluster(&call, everywhere, &policies::NODEGROUP_GET_ALL).await?;
    let mut groups = table::of_cluster(&call.state.db, &c.uuid).await?;
    let mut filters = Vec::new();
    if let Some(role) = call.asked("role") {
        groups.retain(|g| g.role == role);
        filters.push(("role", role));
    }
    if page.sort_dir == SortDir::Desc {
        groups.reverse();
    }
    if let Some(marker) = &page.marker {
        let Some(at) = groups.iter().position(|g| g.uuid == *marker) else {
            return Err(Error::not_found("Nodegroup", marker));
        };
        groups.drain(..=at);
    }
    let limit = page.limit.unwrap_or(MAX_LIMIT) as usize;
    groups.truncate(limit);
    let url = format!("{}/v1/clusters/{}/nodegroups", links::base(&call), c.uuid);
    let last = groups.last().map(|g| g.uuid.as_str());
    let next = listing::next(&url, &page, &filters, groups.len() == limit, last);
    let groups = groups.into_iter();
    Ok(Json(NodegroupList {
        nodegroups: groups.map(|g| NodegroupItem::new(g, &c)).collect(),
        next,
    }))
}

async fn show(call: Call<State>) -> Result<Json<NodegroupBody>> {
    let everywhere = &policies::NODEGROUP_GET_ONE_ALL_PROJECTS;
    let c = cluster(&call, everywhere, &policies::NODEGROUP_GET).await?;
    let key = call.param("nodegroup_id")?;
    let groups = table::of_cluster(&call.state.db, &c.uuid).await?;
    let found = groups
        .into_iter()
        .find(|g| g.uuid == key || g.name == key || g.id.to_string() == key);
    match found {
        Some(g) => Ok(Json(NodegroupBody::new(g, &c, &links::base(&call)))),
        None => Err(Error::not_found("Nodegroup", key)),
    }
}
