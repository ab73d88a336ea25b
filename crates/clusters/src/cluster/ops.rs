//! Operations on clusters, apart from create and resize.

use kernel::{Ctx, Error, Result, Rule, ids};
use serde_json::Value;

use super::model::{Cluster, Intent};
use super::operation::{same_generation, start};
use super::servers::Infrastructure;
use super::{KIND, resize, size, table, wire};
use crate::ClustersDeps;
use crate::authorized::Authorized;
use crate::errors::{bad_request, invalid_field, wrong_state};
use crate::fields::{check_int, check_text};
use crate::nodegroup::{self, Group, MAX_NODES, default};
use crate::notify::{self, Outcome};
use crate::patch::{self, Change, Op};
use crate::python::python_type;
use crate::status::{Action, Phase};
use crate::template::ops::{own_target, project};

/// Maximum length of the JSON of a `health_status_reason` that a client sets, bytes.
const MAX_REASON: usize = 64 * 1024;

/// Loads a cluster by uuid or name for a caller whom all of `rules` allow to use
/// it. Clusters of other projects are found only if `everywhere` allows it.
///
/// # Errors
/// `NotFound` if the caller does not see it, `Forbidden` if a rule denies.
pub(crate) async fn load(
    d: &ClustersDeps,
    ctx: &Ctx,
    key: &str,
    everywhere: &'static Rule,
    rules: &[&'static Rule],
) -> Result<Authorized<Cluster>> {
    let found = find(d, ctx, key, everywhere).await?;
    Authorized::check(d.enforcer.as_ref(), ctx, rules, found)
}

async fn find(
    d: &ClustersDeps,
    ctx: &Ctx,
    key: &str,
    everywhere: &'static Rule,
) -> Result<Cluster> {
    let by_name = !ids::is_uuid_like(key);
    let everywhere = d.enforcer.allows(everywhere, ctx, &own_target(ctx));
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

/// Applies a JSON Patch to the worker count and the health fields, in one
/// transaction. `rollback`: a failed change of the count is rolled back.
pub(crate) async fn update(
    d: &ClustersDeps,
    ctx: &Ctx,
    cluster: &Authorized<Cluster>,
    changes: &[Change],
    rollback: bool,
) -> Result<()> {
    let sizes = touches(changes, &["node_count"]);
    let health = touches(changes, &["health_status", "health_status_reason"]);
    let (infrastructure, prefix) = if sizes {
        let prefix = size::prefix(d, cluster).await?;
        (Infrastructure::load(d, cluster).await?, prefix)
    } else {
        (Infrastructure::default(), 0)
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
        let groups = nodegroup::table::of_cluster_tx(tx, &row.uuid).await?;
        let next = patched(&row, &groups, changes)?;
        if health {
            let (status, reason) = parse_health(&next)?;
            table::set_health(tx, &cluster.uuid, status.as_deref(), &reason).await?;
        }
        if sizes {
            let value = match next.get("node_count") {
                None | Some(Value::Null) => &Value::from(1),
                Some(v) => v,
            };
            let count = check_int("node_count", value, 0, MAX_NODES)?;
            same_generation(cluster, &row)?;
            if !row.complete() {
                return Err(wrong_state("Updating", &row.status));
            }
            let request = resize::ResizeRequest {
                group: default::WORKER,
                count,
                leave: &[],
                prefix,
                rollback,
            };
            resize::accept(tx, d, ctx, row, &request, &infrastructure).await?;
        }
        Ok(())
    })
}

/// Checks that a patch changes only permitted fields, and returns the new body.
pub(crate) fn patched(
    cluster: &Cluster,
    groups: &[Group],
    changes: &[Change],
) -> Result<serde_json::Map<String, Value>> {
    let count = |masters: bool| -> i64 {
        let of_role = groups.iter().filter(|g| g.is_master() == masters);
        of_role.map(|g| g.node_count).sum()
    };
    let Value::Object(old) = wire::patchable(cluster, count(false), count(true)) else {
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
        Some(v @ Value::Object(_)) => v.clone(),
        Some(v) => {
            let why = format!(
                "Wrong type. Expected '<class 'dict'>', got '{}'",
                python_type(v)
            );
            return Err(invalid_field("health_status_reason", &v.to_string(), &why));
        }
    };
    let size = reason.to_string().len();
    if size > MAX_REASON {
        let why = format!("At most {MAX_REASON} bytes are allowed.");
        let given = format!("{size} bytes");
        return Err(invalid_field("health_status_reason", &given, &why));
    }
    Ok((status, reason))
}

/// Starts the deletion; allowed in any state, and repeatable.
pub(crate) async fn delete(d: &ClustersDeps, ctx: &Ctx, found: &Authorized<Cluster>) -> Result<()> {
    db::write!(d.db, |tx| {
        db::mark_now(tx, KIND, &found.uuid).await?;
        tx.write_receipt().await?;
        let Some(mut cluster) = table::lock(tx, &found.uuid).await? else {
            return Ok(());
        };
        if cluster.status.is(Action::Delete, Phase::InProgress) {
            return Ok(());
        }
        let why = "Waiting for the stack of the cluster to be removed.";
        let groups = nodegroup::table::of_cluster_tx(tx, &cluster.uuid).await?;
        start(tx, &mut cluster, Intent::Delete, Some(why)).await?;
        let pending = Outcome::Pending;
        notify::push(tx, Some(ctx), "delete", pending, &cluster, &groups).await
    })
}
