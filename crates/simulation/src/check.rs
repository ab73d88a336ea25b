//! Checks the invariants after the end of the faults. An invariant has one function
//! or several.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use db::{Db, Row};
use infra::sim::Simulator;
use infra::{ContainerHost, ContainerState, ContainerView, NetworkFabric, VolumeStore as _};
use kernel::Timestamp;
use tokio::time::{Instant, sleep};

use crate::server::Server;
use crate::users::{self, ClusterHistory, Wanted};

/// A violated invariant, with the observation.
pub type Violation = String;

/// Maximum time to settle after the last fault.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(900);
/// Time after which the API must show the state of the engine.
const MAX_API_DELAY: Duration = Duration::from_secs(2);

async fn rows(db: &Db, sql: &str) -> Result<Vec<Row>, Violation> {
    db.query(sql, vec![]).await.map_err(|e| e.to_string())
}

async fn containers(engine: &Simulator) -> Result<Vec<ContainerView>, Violation> {
    ContainerHost::list(engine).await.map_err(|e| e.to_string())
}

fn text(row: &Row, column: &str) -> String {
    row.opt_text(column).ok().flatten().unwrap_or_default()
}

/// Invariant 1: Every row in progress has a due key or an active run, and settles
/// within `SETTLE_TIMEOUT`.
///
/// # Errors
/// The rows that violate it.
pub async fn settles(db: &Db) -> Result<(), Violation> {
    let end = Instant::now() + SETTLE_TIMEOUT;
    loop {
        let busy = in_progress(db).await?;
        if busy.is_empty() {
            return Ok(());
        }
        for (kind, id, state) in &busy {
            let key = rows(
                db,
                &format!(
                    "SELECT due_at, owner FROM flow_key WHERE kind = '{kind}' AND id = '{id}'"
                ),
            )
            .await?;
            let watched = key.iter().any(|k| {
                k.opt_time("due_at").ok().flatten().is_some() || !text(k, "owner").is_empty()
            });
            // A key that is not due may wait for another row, such as a cluster for
            // its stack. If there is no other row, it waits forever.
            if !watched && busy.len() == 1 {
                return Err(format!(
                    "invariant 1: {kind} {id} is {state} and none of its keys is due"
                ));
            }
        }
        if Instant::now() >= end {
            let keys = keys(db).await?;
            return Err(format!(
                "invariant 1: still in progress: {busy:?}; keys: {keys:?}"
            ));
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// The keys that are due or leased, in seconds from now.
async fn keys(db: &Db) -> Result<Vec<String>, Violation> {
    let now = kernel::clock::database_now();
    let seconds = |at: Option<Timestamp>| at.map_or(0, |at| at.as_seconds() - now.as_seconds());
    let found = rows(
        db,
        "SELECT kind, id, due_at, owner, lease_until, epoch, attempts, last_error FROM flow_key \
         WHERE due_at IS NOT NULL OR owner IS NOT NULL ORDER BY kind, id",
    )
    .await?;
    Ok(found
        .iter()
        .map(|k| {
            format!(
                "{} {} due in {} s, owner '{}' for {} s, {} attempts, {}",
                text(k, "kind"),
                text(k, "id"),
                seconds(k.opt_time("due_at").ok().flatten()),
                text(k, "owner"),
                seconds(k.opt_time("lease_until").ok().flatten()),
                k.int("attempts").unwrap_or(0),
                text(k, "last_error")
            )
        })
        .collect())
}

async fn in_progress(db: &Db) -> Result<Vec<(String, String, String)>, Violation> {
    let mut busy = Vec::new();
    for (kind, sql) in [
        (
            "cluster",
            "SELECT uuid AS id, status AS state, status_reason AS why FROM magnum_cluster WHERE status LIKE '%IN_PROGRESS'",
        ),
        (
            "stack",
            "SELECT id, action AS state, status_reason AS why FROM stack WHERE status = 'IN_PROGRESS'",
        ),
        (
            "server",
            "SELECT id, status AS state, progress AS why FROM server WHERE status IN ('BUILD', 'DELETING')",
        ),
        (
            "network",
            "SELECT id, status AS state, status_reason AS why FROM network WHERE status IN ('BUILD', 'DELETING')",
        ),
    ] {
        for row in rows(db, sql).await? {
            let state = format!("{} ({})", text(&row, "state"), text(&row, "why"));
            busy.push((kind.to_owned(), text(&row, "id"), state));
        }
    }
    Ok(busy)
}

/// Invariant 2: The objects of the engine equal those of the ledger, without duplicates
/// or leftovers.
///
/// # Errors
/// The differences.
pub async fn ledger(db: &Db, engine: &Simulator) -> Result<(), Violation> {
    // A late call may still be in progress; the sweep handles it.
    let end = Instant::now() + Duration::from_secs(180);
    loop {
        let difference = difference(db, engine).await?;
        if difference.is_empty() {
            return Ok(());
        }
        if Instant::now() >= end {
            return Err(format!("invariant 2: {}", difference.join("; ")));
        }
        sleep(Duration::from_secs(5)).await;
    }
}

async fn difference(db: &Db, engine: &Simulator) -> Result<Vec<String>, Violation> {
    let mut in_engine: BTreeSet<(String, String)> = BTreeSet::new();
    let fail = |e: kernel::Error| e.to_string();
    for c in containers(engine).await? {
        in_engine.insert(("container".into(), c.name));
    }
    for v in engine.volumes().await.map_err(fail)? {
        in_engine.insert(("volume".into(), v.name));
    }
    for n in NetworkFabric::list(engine).await.map_err(fail)? {
        in_engine.insert(("network".into(), n.name));
    }
    let mut in_ledger = BTreeSet::new();
    for row in rows(db, "SELECT object, name FROM ledger").await? {
        in_ledger.insert((text(&row, "object"), text(&row, "name")));
    }
    for row in rows(
        db,
        "SELECT n.id AS id FROM network n JOIN subnet s ON s.network_id = n.id WHERE n.status = 'ACTIVE'",
    )
    .await?
    {
        in_ledger.insert(("network".into(), format!("jb-net-{}", text(&row, "id"))));
    }
    let only = |a: &BTreeSet<(String, String)>, b: &BTreeSet<(String, String)>, side: &str| {
        a.difference(b)
            .map(|(object, name)| format!("only {side} has {object} {name}"))
            .collect::<Vec<_>>()
    };
    let reserved: BTreeSet<_> = engine.reserved().await.map_err(fail)?.into_iter().collect();
    let isolated: BTreeSet<_> = engine.isolated().await.map_err(fail)?.into_iter().collect();
    let mut all: Vec<_> = reserved
        .symmetric_difference(&isolated)
        .map(|name| {
            format!("{name} has a range of user ids without a user namespace, or the reverse")
        })
        .collect();
    all.extend(only(&in_engine, &in_ledger, "the engine"));
    all.extend(only(&in_ledger, &in_engine, "the ledger"));
    Ok(all)
}

/// Invariant 3: The last accepted operation on each cluster takes effect.
///
/// # Errors
/// The clusters that violate it.
pub async fn last_operation_wins(
    server: &Server,
    engine: &Simulator,
    histories: &[ClusterHistory],
) -> Result<(), Violation> {
    let running = engine.running().await.map_err(|e| e.to_string())?;
    let mut nodes: u64 = 0;
    for history in histories {
        let (Some(uuid), Some(wanted)) = (&history.uuid, &history.wanted) else {
            continue;
        };
        let shown = users::show(server, &history.project, uuid).await?;
        match (wanted, shown) {
            (Wanted::Removed, None) => {}
            (Wanted::Removed, Some(c)) => {
                return Err(format!(
                    "invariant 3: {} was removed and is {}",
                    history.name, c["status"]
                ));
            }
            (Wanted::Workers(n), Some(c)) => {
                let status = c["status"].as_str().unwrap_or_default();
                let workers = c["node_addresses"].as_array().map_or(0, Vec::len) as u64;
                if !status.ends_with("_COMPLETE") || c["node_count"] != *n || workers != *n {
                    return Err(format!(
                        "invariant 3: {} should have {n} workers: {status}, node_count {}, {workers} addresses: {}",
                        history.name, c["node_count"], c["status_reason"]
                    ));
                }
                nodes += n + 1;
            }
            (Wanted::Workers(n), None) => {
                return Err(format!(
                    "invariant 3: {} should have {n} workers and does not exist",
                    history.name
                ));
            }
        }
    }
    if running.len() as u64 != nodes {
        return Err(format!(
            "invariant 3: {} containers run, {nodes} nodes were requested",
            running.len()
        ));
    }
    Ok(())
}

/// Invariant 3: No operation fails because the database aborted its transaction.
///
/// # Errors
/// The first failed operation.
pub fn not_aborted(histories: &[ClusterHistory]) -> Result<(), Violation> {
    match histories.iter().find_map(|s| s.aborted.as_ref()) {
        Some(message) => Err(format!("invariant 3: a user saw a deadlock: {message}")),
        None => Ok(()),
    }
}

/// Invariant 4: No lease is lost while its run is active and its server is healthy, since
/// otherwise two epochs would act at the same time.
///
/// # Errors
/// The number of lost leases.
pub fn no_lease_lost(lost: u64) -> Result<(), Violation> {
    if lost == 0 {
        return Ok(());
    }
    Err(format!(
        "invariant 4: {lost} leases were lost although nothing but the engine was slow"
    ))
}

/// Invariant 4: No worker writes after a worker with a newer epoch.
///
/// # Errors
/// The first such write.
pub fn no_stale_write(stale: &[String]) -> Result<(), Violation> {
    match stale.first() {
        Some(what) => Err(format!("invariant 4: a stale worker wrote: {what}")),
        None => Ok(()),
    }
}

/// Invariant 4: No call of an older generation takes effect after one of a newer
/// generation.
///
/// # Errors
/// The first such call.
pub fn no_stale_call(stale: &[String]) -> Result<(), Violation> {
    match stale.first() {
        Some(what) => Err(format!(
            "invariant 4: an outdated call was accepted: {what}"
        )),
        None => Ok(()),
    }
}

/// Invariant 4: No effect on an object comes from an older epoch than the previous
/// effect, and no object is created twice.
///
/// # Errors
/// The first such effect.
pub async fn order(engine: &Simulator) -> Result<(), Violation> {
    let mut newest: BTreeMap<(String, String), i64> = BTreeMap::new();
    let mut existing: BTreeMap<(String, String), String> = BTreeMap::new();
    for effect in engine.effects().await.map_err(|e| e.to_string())? {
        let key = (effect.object.clone(), effect.name.clone());
        // A late creation creates a separate object, which the sweep removes.
        let object_key = if effect.engine_id.is_empty() {
            key.clone()
        } else {
            (effect.object.clone(), effect.engine_id.clone())
        };
        if let Some(epoch) = effect.epoch {
            let before = newest.entry(object_key).or_insert(epoch);
            if epoch < *before {
                return Err(format!(
                    "invariant 4: {} of {} {} by epoch {epoch} after one by epoch {before}",
                    effect.call, effect.object, effect.name
                ));
            }
            *before = epoch;
        }
        match effect.call.as_str() {
            "create" => {
                if let Some(other) = existing.insert(key, effect.engine_id.clone()) {
                    return Err(format!(
                        "invariant 4: {} {} was created twice: {other} and {}",
                        effect.object, effect.name, effect.engine_id
                    ));
                }
            }
            "remove" => {
                existing.remove(&key);
                // A volume has no id of the engine. After its removal, a late
                // creation makes a new one.
                if effect.engine_id.is_empty() {
                    newest.remove(&key);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Invariant 5: The API shows the state of the engine, at most two seconds after a
/// container has died.
///
/// # Errors
/// The server with a different state.
pub async fn truth(db: &Db, engine: &Simulator) -> Result<(), Violation> {
    let Some(victim) = containers(engine)
        .await?
        .into_iter()
        .find(|c| c.state == ContainerState::Running)
    else {
        return Ok(());
    };
    engine
        .kill(&victim.name, 137, false)
        .await
        .map_err(|e| e.to_string())?;
    sleep(MAX_API_DELAY).await;
    let views: BTreeMap<String, ContainerState> = containers(engine)
        .await?
        .into_iter()
        .map(|c| (c.name, c.state))
        .collect();
    for row in rows(db, "SELECT id, status FROM server").await? {
        let (id, status) = (text(&row, "id"), text(&row, "status"));
        let state = views
            .iter()
            .find(|(name, _)| name.contains(&id))
            .map(|(_, state)| *state);
        let runs = state == Some(ContainerState::Running);
        if runs != (status == "ACTIVE") {
            return Err(format!(
                "invariant 5: server {id} is {status}, its container {state:?}"
            ));
        }
    }
    Ok(())
}
