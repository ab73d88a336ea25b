//! Operations on clusters, apart from create and resize.

use std::collections::{BTreeMap, HashMap};

use db::Tx;
use kernel::{Ctx, Error, Page, Result, Rule, clock, ids};
use serde_json::Value;

use super::model::{Cluster, Intent, compare_labels};
use super::shown::{self, FullRow, ShortRow};
use super::{KIND, resize, table, wire};
use crate::authorized::Authorized;
use crate::errors::{bad_request, invalid_field, wrong_state};
use crate::fields::{check_int, check_text, python_type};
use crate::listing::{Budget, Listed};
use crate::nodegroup::table::GroupBrief;
use crate::nodegroup::{self, Group, WORKER};
use crate::notify::{self, Outcome};
use crate::patch::{self, Change, Op};
use crate::template::ops::{own_target, project, scope};
use crate::wire::StoredObject;
use crate::{ClustersDeps, policies, template};

/// Longest reason for a health that a client sets, bytes of JSON.
const MAX_REASON: usize = 64 * 1024;

/// A cluster with what else its API body shows.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) row: FullRow,
    pub(crate) nodes: Nodes,
    pub(crate) labels: Comparison,
}

/// What the API shows of the groups of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    pub(crate) workers: i64,
    pub(crate) masters: i64,
    pub(crate) worker_addresses: Vec<String>,
    pub(crate) master_addresses: Vec<String>,
    /// Reasons by group; `None` if they are not shown.
    pub(crate) faults: Option<BTreeMap<String, Option<String>>>,
}

impl Nodes {
    fn add(&mut self, is_master: bool, count: i64, addresses: Vec<String>) {
        let (sum, all) = if is_master {
            (&mut self.masters, &mut self.master_addresses)
        } else {
            (&mut self.workers, &mut self.worker_addresses)
        };
        *sum += count;
        all.extend(addresses);
    }

    /// The bytes of the addresses as JSON.
    fn bytes(&self) -> usize {
        let all = self.worker_addresses.iter().chain(&self.master_addresses);
        all.map(|address| address.len() + 3).sum()
    }
}

/// Labels of a cluster compared with those of its template.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// The values of the template that the cluster replaces.
    pub(crate) overridden: BTreeMap<String, String>,
    pub(crate) added: BTreeMap<String, String>,
    pub(crate) skipped: BTreeMap<String, String>,
}

impl Comparison {
    fn of(own: &StoredObject, parent: Option<&StoredObject>) -> Result<Self> {
        // Most clusters have the labels of their template.
        if parent.is_some_and(|p| p.as_json() == own.as_json()) {
            return Ok(Self::default());
        }
        let parent = parent.map(StoredObject::labels).transpose()?;
        let [overridden, added, skipped] =
            compare_labels(&own.labels()?, &parent.unwrap_or_default());
        Ok(Self {
            overridden,
            added,
            skipped,
        })
    }

    fn bytes(&self) -> usize {
        let all = [&self.overridden, &self.added, &self.skipped];
        let pairs = all.into_iter().flatten();
        pairs.map(|(k, v)| k.len() + v.len()).sum()
    }
}

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

pub(crate) async fn show(d: &ClustersDeps, cluster: &Authorized<Cluster>) -> Result<View> {
    let missing = || Error::not_found("Cluster", &cluster.uuid);
    let row = shown::one(&d.db, &cluster.uuid)
        .await?
        .ok_or_else(missing)?;
    let groups = nodegroup::table::of_cluster(&d.db, &cluster.uuid).await?;
    let template = row.short.cluster_template_id.as_str();
    let labels = template::table::labels_of(&d.db, &[template]).await?;
    let mut nodes = Nodes::default();
    if row.short.status.ends_with("_FAILED") {
        let failed = groups.iter().filter(|g| g.status.ends_with("FAILED"));
        let faults = failed.map(|g| (g.name.clone(), g.status_reason.clone()));
        nodes.faults = Some(faults.collect());
    }
    for group in groups {
        nodes.add(group.is_master(), group.node_count, group.node_addresses);
    }
    Ok(View {
        labels: Comparison::of(&row.short.labels, labels.get(template))?,
        nodes,
        row,
    })
}

/// One page of the short list in a fixed number of queries.
pub(crate) async fn list(
    d: &ClustersDeps,
    ctx: &Ctx,
    page: &Page,
) -> Result<Listed<(ShortRow, Nodes)>> {
    let everywhere = &policies::CLUSTER_GET_ALL_ALL_PROJECTS;
    let scope = scope(d, ctx, &policies::CLUSTER_GET_ALL, everywhere)?;
    check_marker(d, page, scope).await?;
    let found = shown::short(&d.db, scope, page).await?;
    let ids: Vec<&str> = found.rows.iter().map(|row| row.uuid.as_str()).collect();
    let mut nodes = nodes_of(nodegroup::table::briefs(&d.db, &ids, false).await?);
    let with_nodes = |row: ShortRow| {
        let nodes = nodes.remove(&row.uuid).unwrap_or_default();
        (row, nodes)
    };
    Ok(Listed {
        has_more: found.has_more,
        rows: found.rows.into_iter().map(with_nodes).collect(),
    })
}

/// One page of the list of full objects in a fixed number of queries.
pub(crate) async fn list_detail(d: &ClustersDeps, ctx: &Ctx, page: &Page) -> Result<Listed<View>> {
    let everywhere = &policies::CLUSTER_DETAIL_ALL_PROJECTS;
    let scope = scope(d, ctx, &policies::CLUSTER_DETAIL, everywhere)?;
    check_marker(d, page, scope).await?;
    let found = shown::full(&d.db, scope, page).await?;
    let rows = found.rows.iter();
    let ids: Vec<&str> = rows.map(|row| row.short.uuid.as_str()).collect();
    let mut nodes = nodes_of(nodegroup::table::briefs(&d.db, &ids, true).await?);
    let rows = found.rows.iter();
    let mut ids: Vec<&str> = rows.map(|r| r.short.cluster_template_id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    let labels = template::table::labels_of(&d.db, &ids).await?;
    let mut listed = Listed {
        has_more: found.has_more,
        rows: Vec::with_capacity(found.rows.len()),
    };
    // The labels of templates and the addresses count, too.
    let mut budget = Budget::default();
    for row in found.rows {
        let nodes = nodes.remove(&row.short.uuid).unwrap_or_default();
        let parent = labels.get(&row.short.cluster_template_id);
        let labels = Comparison::of(&row.short.labels, parent)?;
        if !budget.has_room(row.bytes() + labels.bytes() + nodes.bytes()) {
            listed.has_more = true;
            break;
        }
        listed.rows.push(View { row, nodes, labels });
    }
    Ok(listed)
}

async fn check_marker(d: &ClustersDeps, page: &Page, project: Option<&str>) -> Result<()> {
    match &page.marker {
        Some(marker) if table::find(&d.db, marker, false, project).await?.is_empty() => {
            Err(Error::not_found("Cluster", marker))
        }
        _ => Ok(()),
    }
}

/// What groups of several clusters add up to, by cluster.
fn nodes_of(mut groups: Vec<GroupBrief>) -> HashMap<String, Nodes> {
    groups.sort_unstable_by_key(|g| g.id);
    let mut all: HashMap<String, Nodes> = HashMap::with_capacity(groups.len() / 2);
    for group in groups {
        let nodes = all.entry(group.cluster_id).or_default();
        nodes.add(group.is_master, group.node_count, group.addresses);
    }
    all
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
    let servers = if sizes {
        resize::ServerStates::load(d, cluster).await?
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
            let count = check_int("node_count", value, 0, super::model::MAX_NODES)?;
            same_generation(cluster, &row)?;
            if !row.complete() {
                return Err(wrong_state("Updating", &row.status));
            }
            let resize_request = resize::ResizeRequest {
                group: WORKER,
                count,
                leave: &[],
                rollback,
            };
            resize::start_operation(tx, d, ctx, row, &resize_request, &servers).await?;
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
