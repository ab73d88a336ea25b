//! Routes of node groups, which are created and resized through their cluster.

use kernel::{Error, Result};
use serde_json::json;

use super::{Group, table, wire};
use crate::ClustersDeps;
use crate::call::{Answer, Call};
use crate::cluster::{Cluster, ops};
use crate::listing;

async fn cluster(
    d: &ClustersDeps,
    call: &Call,
    key: &str,
    rule: &str,
) -> Result<(Cluster, Vec<Group>)> {
    let c = ops::find(d, &call.ctx, key, &format!("nodegroup:{rule}_all_projects")).await?;
    let name = if rule == "get_one" {
        "nodegroup:get"
    } else {
        "nodegroup:get_all"
    };
    d.enforcer.check(name, &call.ctx, &ops::target(&c))?;
    let groups = table::of_cluster(&d.db, &c.uuid).await?;
    Ok((c, groups))
}

/// `GET /clusters/{id}/nodegroups`: few rows, paged in memory.
pub(crate) async fn list(d: &ClustersDeps, call: &Call, key: &str) -> Result<Answer> {
    let (page, filters) = listing::parse(&call.query, &["role"])?;
    let (c, mut groups) = cluster(d, call, key, "get_all").await?;
    if let Some((_, role)) = filters.first() {
        groups.retain(|g| g.role == *role);
    }
    if page.sort_dir == kernel::SortDir::Desc {
        groups.reverse();
    }
    if let Some(marker) = &page.marker {
        let Some(at) = groups.iter().position(|g| g.uuid == *marker) else {
            return Err(Error::not_found("Nodegroup", marker));
        };
        groups.drain(..=at);
    }
    groups.truncate(page.limit.unwrap_or(listing::MAX_LIMIT) as usize);
    let items: Vec<_> = groups.iter().map(|g| wire::item(g, &c)).collect();
    let mut body = json!({ "nodegroups": items });
    let base = format!("{}/v1/clusters/{}/nodegroups", call.base, c.uuid);
    let last = groups.last().map(|g| g.uuid.as_str());
    if let Some(next) = listing::next(&base, &page, &filters, groups.len(), last)
        && let Some(map) = body.as_object_mut()
    {
        map.insert("next".into(), json!(next));
    }
    Ok(Answer::json(200, body))
}

/// `GET /clusters/{id}/nodegroups/{ng}`: by uuid, name or number.
pub(crate) async fn show(d: &ClustersDeps, call: &Call, key: &str, ng: &str) -> Result<Answer> {
    let (c, groups) = cluster(d, call, key, "get_one").await?;
    let found = groups
        .iter()
        .find(|g| g.uuid == ng || g.name == ng || g.id.to_string() == ng);
    match found {
        Some(g) => Ok(Answer::json(200, wire::full(g, &c, &call.base))),
        None => Err(Error::not_found("Nodegroup", ng)),
    }
}
