//! Operations on clusters, apart from create and resize.

use std::collections::BTreeMap;

use db::Tx;
use kernel::{Ctx, Error, Page, Result, Target, clock, ids};
use serde_json::Value;

use super::model::{Cluster, Intent};
use super::{KIND, resize, table, wire};
use crate::ClustersDeps;
use crate::errors::{bad_request, invalid_field, wrong_state};
use crate::fields::{check_int, check_text};
use crate::nodegroup::{self, Group, WORKER};
use crate::notify::{self, Outcome};
use crate::patch::{self, Change, Op, Rules};
use crate::template;
use crate::template::ops::{own_target, project, scope};

/// A cluster with the rows that its API body needs.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) cluster: Cluster,
    pub(crate) groups: Vec<Group>,
    pub(crate) template_labels: BTreeMap<String, String>,
}

pub(crate) const PATCH: Rules<'static> = Rules {
    internal: &[
        "api_address",
        "node_addresses",
        "master_addresses",
        "stack_id",
        "cluster_id",
        "ca_cert_ref",
        "magnum_cert_ref",
        "etcd_ca_cert_ref",
        "front_proxy_ca_cert_ref",
    ],
    mandatory: &["cluster_template_id"],
};

pub(crate) fn target(c: &Cluster) -> Target {
    Target {
        project_id: Some(c.project_id.clone()),
        user_id: Some(c.user_id.clone()),
        domain_id: None,
    }
}

/// Finds a cluster by uuid or name. Clusters of other projects are found only
/// if `rule` allows it.
pub(crate) async fn find(d: &ClustersDeps, ctx: &Ctx, key: &str, rule: &str) -> Result<Cluster> {
    let by_name = !ids::is_uuid_like(key);
    let everywhere = d.enforcer.allows(rule, ctx, &own_target(ctx));
    let mine = ctx.project_id();
    let mut found = match mine {
        Some(p) => table::find(&d.db, key, by_name, Some(p)).await?,
        None => Vec::new(),
    };
    if found.is_empty() && everywhere {
        found = table::find(&d.db, key, by_name, None).await?;
    } else if found.is_empty() {
        project(ctx)?;
    }
    if found.len() > 1 {
        return Err(Error::conflict(
            "Multiple clusters exist with same name. Please use the cluster uuid instead.",
        ));
    }
    found.pop().ok_or_else(|| Error::not_found("Cluster", key))
}

pub(crate) async fn show(d: &ClustersDeps, ctx: &Ctx, key: &str) -> Result<View> {
    let cluster = find(d, ctx, key, "cluster:get_one_all_projects").await?;
    d.enforcer.check("cluster:get", ctx, &target(&cluster))?;
    view(d, cluster).await
}

async fn view(d: &ClustersDeps, cluster: Cluster) -> Result<View> {
    let groups = nodegroup::table::of_cluster(&d.db, &cluster.uuid).await?;
    let id = cluster.cluster_template_id.clone();
    let mut labels = template::table::labels_of(&d.db, std::slice::from_ref(&id)).await?;
    Ok(View {
        cluster,
        groups,
        template_labels: labels.remove(&id).unwrap_or_default(),
    })
}

/// One page in a fixed number of queries; `rule` is `get_all` or `detail`.
pub(crate) async fn list(
    d: &ClustersDeps,
    ctx: &Ctx,
    rule: &str,
    page: &Page,
) -> Result<Vec<View>> {
    let scope = scope(d, ctx, "cluster", rule)?;
    if let Some(marker) = &page.marker
        && table::find(&d.db, marker, false, scope).await?.is_empty()
    {
        return Err(Error::not_found("Cluster", marker));
    }
    let clusters = table::page(&d.db, scope, page).await?;
    let ids: Vec<String> = clusters.iter().map(|c| c.uuid.clone()).collect();
    let mut groups = nodegroup::table::of_clusters(&d.db, &ids).await?;
    let mut templates: Vec<String> = clusters
        .iter()
        .map(|c| c.cluster_template_id.clone())
        .collect();
    templates.sort_unstable();
    templates.dedup();
    // Only the full objects contain a comparison of labels.
    let labels = if rule == "detail" {
        template::table::labels_of(&d.db, &templates).await?
    } else {
        BTreeMap::new()
    };
    Ok(clusters
        .into_iter()
        .map(|cluster| View {
            groups: groups.remove(&cluster.uuid).unwrap_or_default(),
            template_labels: labels
                .get(&cluster.cluster_template_id)
                .cloned()
                .unwrap_or_default(),
            cluster,
        })
        .collect())
}

/// Applies a JSON Patch to the worker count and the health fields, in one
/// transaction. `rollback`: a failed change of the count is rolled back.
pub(crate) async fn update(
    d: &ClustersDeps,
    ctx: &Ctx,
    key: &str,
    body: Option<Value>,
    rollback: bool,
) -> Result<String> {
    let changes = patch::parse(body, &PATCH)?;
    let cluster = find(d, ctx, key, "cluster:update_all_projects").await?;
    d.enforcer.check("cluster:update", ctx, &target(&cluster))?;
    d.enforcer
        .check("cluster:update_health_status", ctx, &target(&cluster))?;
    let sizes = touches(&changes, &["node_count"]);
    let health = touches(&changes, &["health_status", "health_status_reason"]);
    let servers = if sizes {
        resize::ServerStates::load(d, &cluster).await?
    } else {
        resize::ServerStates::default()
    };
    db::write!(d.db, |tx| {
        // A change of the health alone needs no reconciliation.
        if sizes {
            db::mark_now(tx, KIND, &cluster.uuid).await?;
            tx.write_receipt().await?;
        }
        let Some(row) = table::lock(tx, &cluster.uuid).await? else {
            return Err(Error::not_found("Cluster", &cluster.uuid));
        };
        let view = View {
            groups: nodegroup::table::of_cluster_tx(tx, &row.uuid).await?,
            template_labels: BTreeMap::new(),
            cluster: row,
        };
        let next = patched(&view, &changes)?;
        if health {
            let (status, reason) = parse_health(&next)?;
            table::set_health(tx, &cluster.uuid, status.as_deref(), &reason).await?;
        }
        if sizes {
            let value = match next.get("node_count") {
                None | Some(Value::Null) => &Value::from(1),
                Some(v) => v,
            };
            let count = check_int("node_count", value, 0, super::model::MAX_NODES)?;
            same_generation(&cluster, &view.cluster)?;
            if !view.cluster.complete() {
                return Err(wrong_state("Updating", &view.cluster.status));
            }
            let resize_request = resize::ResizeRequest {
                group: WORKER,
                count,
                leave: &[],
                rollback,
            };
            resize::start_operation(tx, d, ctx, view.cluster, &resize_request, &servers).await?;
        }
        Ok(())
    })?;
    Ok(cluster.uuid)
}

/// Checks that a patch changes only permitted fields, and returns the new body.
pub(crate) fn patched(view: &View, changes: &[Change]) -> Result<serde_json::Map<String, Value>> {
    let Value::Object(old) = wire::patchable(view) else {
        return Err(Error::internal("a cluster's body is no object"));
    };
    let mut next = old.clone();
    patch::apply(&mut next, changes)?;
    reject_other_changes(changes, &old, &next)?;
    Ok(next)
}

fn touches(changes: &[Change], roots: &[&str]) -> bool {
    changes.iter().any(|c| roots.contains(&c.root.as_str()))
}

fn reject_other_changes(
    changes: &[Change],
    old: &serde_json::Map<String, Value>,
    next: &serde_json::Map<String, Value>,
) -> Result<()> {
    let mutable = ["node_count", "health_status", "health_status_reason"];
    let mut refused: Vec<&str> = changes
        .iter()
        .filter(|c| !mutable.contains(&c.root.as_str()))
        .filter(|c| c.op == Op::Remove || old.get(&c.root) != next.get(&c.root))
        .map(|c| c.root.as_str())
        .collect();
    refused.sort_unstable();
    refused.dedup();
    if refused.is_empty() {
        return Ok(());
    }
    let names = refused.join(", ");
    Err(bad_request(
        &names,
        format!("cannot change cluster property(ies) {names}."),
    ))
}

pub(crate) fn parse_health(
    next: &serde_json::Map<String, Value>,
) -> Result<(Option<String>, Value)> {
    let status = match next.get("health_status") {
        None | Some(Value::Null) => None,
        Some(v) => {
            let word = check_text("health_status", v, 0, 20)?;
            if !matches!(word.as_str(), "HEALTHY" | "UNHEALTHY" | "UNKNOWN") {
                let why = "Value should be one of: HEALTHY, UNHEALTHY, UNKNOWN";
                return Err(invalid_field("health_status", &word, why));
            }
            Some(word)
        }
    };
    let reason = match next.get("health_status_reason") {
        None | Some(Value::Null) => serde_json::json!({}),
        Some(v) => v.clone(),
    };
    Ok((status, reason))
}

/// Starts the deletion; allowed in any state, and repeatable.
pub(crate) async fn delete(d: &ClustersDeps, ctx: &Ctx, key: &str) -> Result<()> {
    let found = find(d, ctx, key, "cluster:delete_all_projects").await?;
    d.enforcer.check("cluster:delete", ctx, &target(&found))?;
    db::write!(d.db, |tx| {
        db::mark_now(tx, KIND, &found.uuid).await?;
        tx.write_receipt().await?;
        let Some(mut cluster) = table::lock(tx, &found.uuid).await? else {
            return Ok(());
        };
        if cluster.status == "DELETE_IN_PROGRESS" {
            return Ok(());
        }
        let why = "Waiting for the stack of the cluster to be removed.";
        let groups = nodegroup::table::of_cluster_tx(tx, &cluster.uuid).await?;
        start_operation(tx, &mut cluster, Intent::Delete, Some(why)).await?;
        let pending = Outcome::Pending;
        notify::push(tx, Some(ctx), "delete", pending, &cluster, &groups).await
    })
}

/// Locks a cluster and checks that it is still as it was when the operation was
/// checked.
///
/// # Errors
/// `NotFound`; `Conflict` if another operation changed the cluster.
pub(crate) async fn lock_unchanged(tx: &mut Tx, found: &Cluster) -> Result<Cluster> {
    let row = table::lock(tx, &found.uuid).await?;
    let row = row.ok_or_else(|| Error::not_found("Cluster", &found.uuid))?;
    same_generation(found, &row)?;
    Ok(row)
}

fn same_generation(found: &Cluster, now: &Cluster) -> Result<()> {
    if found.generation == now.generation {
        return Ok(());
    }
    Err(concurrent_change(&now.uuid))
}

fn concurrent_change(uuid: &str) -> Error {
    Error::conflict(format!(
        "Cluster {uuid} was changed at the same time; look at it and try again."
    ))
}

/// Starts an operation in a transaction that has marked the key of the cluster
/// and locked its row.
pub(crate) async fn start_operation(
    tx: &mut Tx,
    cluster: &mut Cluster,
    intent: Intent,
    reason: Option<&str>,
) -> Result<()> {
    if !table::start(tx, cluster, intent, reason).await? {
        return Err(concurrent_change(&cluster.uuid));
    }
    cluster.generation += 1;
    cluster.intent = intent;
    cluster.rollback = None;
    cluster.cause = None;
    cluster.status = format!("{}_IN_PROGRESS", intent.verb());
    cluster.status_reason = reason.map(str::to_owned);
    cluster.updated_at = Some(clock::now_micros());
    nodegroup::table::start(tx, &cluster.uuid, &cluster.status).await
}
