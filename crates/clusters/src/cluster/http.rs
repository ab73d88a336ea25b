//! Routes of clusters.

use kernel::Result;
use serde_json::json;

use super::{create, ops, resize, wire};
use crate::ClustersDeps;
use crate::call::{Answer, Call};
use crate::errors::{bad_request, not_in_version};
use crate::listing;

/// `?rollback=` is supported from this version on.
const ROLLBACK: u16 = 3;
const RESIZE: u16 = 7;
const UPGRADE: u16 = 8;

/// `GET /clusters` and `/clusters/detail`.
pub(crate) async fn list(d: &ClustersDeps, call: &Call, rule: &str) -> Result<Answer> {
    let (page, _) = listing::parse(&call.query, &[])?;
    let found = ops::list(d, &call.ctx, rule, &page).await?;
    let detail = rule == "detail";
    let items: Vec<_> = found
        .iter()
        .map(|v| {
            if detail {
                wire::full(v, &call.base, call.minor, false)
            } else {
                wire::item(v, &call.base, call.minor)
            }
        })
        .collect();
    let mut body = json!({ "clusters": items });
    let tail = if detail { "/detail" } else { "" };
    let base = format!("{}/v1/clusters{tail}", call.base);
    let last = found.last().map(|v| v.cluster.uuid.as_str());
    if let Some(next) = listing::next(&base, &page, &[], found.len(), last)
        && let Some(map) = body.as_object_mut()
    {
        map.insert("next".into(), json!(next));
    }
    Ok(Answer::json(200, body))
}

pub(crate) async fn create(d: &ClustersDeps, call: Call) -> Result<Answer> {
    call.reject_query()?;
    let uuid = create::create(d, &call.ctx, call.body, call.minor).await?;
    Ok(Answer::json(202, wire::accepted(&uuid)))
}

pub(crate) async fn show(d: &ClustersDeps, call: &Call, key: &str) -> Result<Answer> {
    call.reject_query()?;
    let view = ops::show(d, &call.ctx, key).await?;
    Ok(Answer::json(
        200,
        wire::full(&view, &call.base, call.minor, true),
    ))
}

/// With `rollback` a failed update returns to the previous state; without it
/// the existing nodes stay.
pub(crate) async fn update(d: &ClustersDeps, call: Call, key: &str) -> Result<Answer> {
    call.allow_query_keys(if call.minor >= ROLLBACK {
        &["rollback"]
    } else {
        &[]
    })?;
    let rollback = match call.query_value("rollback") {
        Some(text) => crate::fields::check_flag("rollback", &json!(text))?,
        None => false,
    };
    let uuid = ops::update(d, &call.ctx, key, call.body, rollback).await?;
    Ok(Answer::json(202, wire::accepted(&uuid)))
}

pub(crate) async fn delete(d: &ClustersDeps, call: &Call, key: &str) -> Result<Answer> {
    call.reject_query()?;
    ops::delete(d, &call.ctx, key).await?;
    Ok(Answer::empty(204))
}

pub(crate) async fn resize(d: &ClustersDeps, call: Call, key: &str) -> Result<Answer> {
    if call.minor < RESIZE {
        return Err(not_in_version((1, call.minor), "resize"));
    }
    call.reject_query()?;
    let uuid = resize::resize(d, &call.ctx, key, call.body).await?;
    Ok(Answer::json(202, wire::accepted(&uuid)))
}

/// No engine supports upgrades yet: performs the checks of the real service,
/// then refuses.
pub(crate) async fn upgrade(d: &ClustersDeps, call: Call, key: &str) -> Result<Answer> {
    if call.minor < UPGRADE {
        return Err(bad_request(
            "upgrade",
            "Cluster upgrade is not supported in the provided microversion.",
        ));
    }
    call.reject_query()?;
    let known = &["cluster_template", "max_batch_size", "nodegroup"];
    let f = crate::fields::Fields::new("cluster_upgrade_req", call.body, known, &[], &[])?;
    f.need_text("cluster_template", 1, 255)?;
    f.int("max_batch_size", 1, 1000)?;
    let c = ops::find(d, &call.ctx, key, "cluster:upgrade_all_projects").await?;
    d.enforcer
        .check("cluster:upgrade", &call.ctx, &ops::target(&c))?;
    if !c.complete() {
        return Err(crate::errors::wrong_state("Upgrading", &c.status));
    }
    Err(bad_request(
        "upgrade",
        "Upgrading a cluster is not supported by this driver.",
    ))
}
