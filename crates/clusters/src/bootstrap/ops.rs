//! Operations for agents. A session may only access its own cluster, and in
//! most operations only its own node.

use kernel::{Ctx, Error, Result, Timestamp, clock};
use nodewire::{
    CsrRequest, CsrResponse, Observed, Published, StepStatus, Steps, TaskResult, Unsupported,
    bounds,
};

use super::caller::require_master;
pub(crate) use super::caller::{NodeSession, authenticate_session};
use super::{kube, swarm};
use crate::cluster::master_reports::MasterReports;
use crate::cluster::plan::REMOVE_LIMIT;
use crate::cluster::{Cluster, KIND, health, signal, table};
use crate::coe::Coe;
use crate::join_secrets::{JoinSecrets, open_join_secrets};
use crate::node::{self, Node, NodeEvent, NodeStatus, Task, TaskKind, TaskStatus};
use crate::tokens;
use crate::{ClustersDeps, TaskId};

/// Maximum length of the log of a step, bytes.
pub(crate) const LOG: usize = 4096;
/// Maximum length of a published CA, bytes.
const CA: usize = 16 * 1024;
/// Maximum number of steps of one node; an agent reports about twelve.
pub(crate) const STEPS: usize = 200;

/// Marks a node that is not ready yet as failed after a failed step.
pub(crate) fn fail(n: &mut Node) -> bool {
    let next = n.status.after(NodeEvent::Failed);
    let failed = n.failure().is_some() && next != n.status;
    if failed {
        n.status = next;
        n.signal = Some("FAILURE".into());
        n.signalled = false;
    }
    failed
}

/// Stores reports of steps; a failed step signals the wait condition
/// immediately.
pub(crate) async fn steps(d: &ClustersDeps, caller: &NodeSession, reports: &Steps) -> Result<()> {
    let failed = db::write!(d.db, |tx| {
        if reports.steps.iter().any(|s| s.status == StepStatus::Failed) {
            db::mark(tx, KIND, &caller.cluster.uuid).await?;
        }
        let Some(mut n) = node::table::load_tx(tx, &caller.node.id).await? else {
            return Ok(None);
        };
        report(&mut n, reports);
        let failed = fail(&mut n);
        node::table::save(tx, &n).await?;
        Ok(failed.then_some(n))
    })?;
    if let Some(n) = failed {
        signal_wait_condition(d, &caller.cluster, &n).await;
    }
    Ok(())
}

pub(crate) fn report(n: &mut Node, reports: &Steps) {
    for step in reports.steps.iter().take(STEPS) {
        if n.steps.len() >= STEPS && !n.steps.iter().any(|s| s.name == step.name) {
            break;
        }
        let status = match step.status {
            StepStatus::Start | StepStatus::Retrying => "running",
            StepStatus::Ok => "done",
            StepStatus::Failed => "failed",
        };
        let name: String = step.name.chars().take(80).collect();
        let at = time_of_report(Timestamp::from_micros(step.at_micros), n.created_at);
        n.report(&name, status, at, tail(&step.log));
    }
}

/// An agent reports steps of a node that exists, and after they happened. A clock that
/// is wrong, or a false report, must not give a time that cannot be shown or that
/// is later than all others.
fn time_of_report(at: Timestamp, node_created_at: Timestamp) -> Timestamp {
    at.max(node_created_at).min(clock::now())
}

/// The end of a log is more useful than its start.
fn tail(log: &str) -> &str {
    let mut at = log.len().saturating_sub(LOG);
    while !log.is_char_boundary(at) {
        at += 1;
    }
    &log[at..]
}

/// Signals the wait condition immediately; the reconciler repeats a failed
/// signal.
pub(crate) async fn signal_wait_condition(d: &ClustersDeps, cluster: &Cluster, n: &Node) {
    let ctx = Ctx::for_project(kernel::ids::request_id(), &cluster.project_id);
    if let Err(e) = signal::signal(d, &ctx, cluster, n).await {
        tracing::warn!(node = n.name, error = %e, "the stack was not signalled; it will be");
    }
}

/// Records that the node is a ready member of the cluster.
pub(crate) async fn ready(d: &ClustersDeps, caller: &NodeSession) -> Result<()> {
    let news = db::write!(d.db, |tx| {
        db::mark(tx, KIND, &caller.cluster.uuid).await?;
        let Some(mut n) = node::table::load_tx(tx, &caller.node.id).await? else {
            return Ok(None);
        };
        match n.status {
            NodeStatus::Ready if n.signalled => return Ok(None),
            NodeStatus::Leaving | NodeStatus::Removed => {
                return Err(Error::conflict("This node is leaving the cluster."));
            }
            // The node recovered after it had reported a failure. The stack has
            // failed already, but the next resize may use the node.
            _ => {}
        }
        n.status = n.status.after(NodeEvent::Joined);
        n.signal = Some("SUCCESS".into());
        n.signalled = false;
        node::table::save(tx, &n).await?;
        Ok(Some(n))
    })?;
    if let Some(n) = news {
        signal_wait_condition(d, &caller.cluster, &n).await;
    }
    Ok(())
}

/// Signs a certificate request for the name and the addresses of the node,
/// whatever the request contains.
pub(crate) async fn csr(
    d: &ClustersDeps,
    caller: &NodeSession,
    csr: &CsrRequest,
) -> Result<CsrResponse> {
    match caller.cluster.engine()? {
        Coe::Kubernetes => kube::csr(d, caller, csr).await,
        Coe::Swarm => swarm::csr(d, caller, csr).await,
    }
}

/// Stores the join secrets that managers publish, starting with the first
/// manager, and again after a rotation of the tokens. All addresses are kept,
/// because any manager may be down later.
pub(crate) async fn published(
    d: &ClustersDeps,
    caller: &NodeSession,
    news: &Published,
) -> Result<()> {
    require_master(caller)?;
    let cluster = &caller.cluster.uuid;
    let purpose = tokens::join_purpose(cluster);
    if let Some(ca) = &news.ca {
        check_api_ca(ca)?;
    }
    db::write!(d.db, |tx| {
        // The mark notifies agents that wait for the join secrets.
        db::mark(tx, KIND, cluster).await?;
        let (mut addresses, before) = match node::table::join_tx(tx, cluster).await? {
            Some(sealed) => {
                let known = open_join_secrets(d, cluster, &sealed)?;
                (known.remote_addrs, known.ca)
            }
            None => (Vec::new(), None),
        };
        if !addresses.contains(&news.remote_addr) {
            addresses.push(news.remote_addr.clone());
        }
        // Managers are replaced in the course of time: the newest are kept.
        let surplus = addresses.len().saturating_sub(bounds::ADDRESSES);
        addresses.drain(..surplus);
        let joining = JoinSecrets {
            remote_addrs: addresses,
            worker_token: news.worker_token.clone(),
            manager_token: news.manager_token.clone(),
            ca: news.ca.clone().or(before),
        };
        let sealed = d.sealer.seal(&purpose, &serde_json::to_vec(&joining)?)?;
        node::table::set_join(tx, cluster, &sealed).await
    })
}

/// Clients treat this text as a file of certificates, so it must contain
/// exactly one.
pub(crate) fn check_api_ca(pem: &str) -> Result<()> {
    if pem.len() <= CA && pki::CertInfo::from_pem(pem).is_ok() && !pem.contains("PRIVATE KEY") {
        return Ok(());
    }
    Err(Error::invalid(
        "ca",
        "ca: not a certificate in PEM of at most 16 KiB.",
    ))
}

/// Stores an observation of a manager and derives health and version from it.
/// Several masters report concurrently, so a report never overwrites the report
/// of another master.
pub(crate) async fn observed(
    d: &ClustersDeps,
    caller: &NodeSession,
    seen: &Observed,
) -> Result<()> {
    require_master(caller)?;
    for _ in 0..health::REPORT_ATTEMPTS {
        if record_observation(d, caller, seen).await? {
            return Ok(());
        }
    }
    // The agent repeats the report.
    Err(Error::unavailable(
        "Too many concurrent status reports; retry.",
    ))
}

/// Returns `false` if the stored observation changed concurrently.
async fn record_observation(
    d: &ClustersDeps,
    caller: &NodeSession,
    seen: &Observed,
) -> Result<bool> {
    let coe = caller.cluster.engine()?;
    let before = node::table::swarm(&d.db, &caller.cluster.uuid)
        .await?
        .observed;
    let mut reports =
        MasterReports::with_report(MasterReports::read(&before), &caller.node.name, seen);
    let (status, reason) = health::evaluate_health(d, &caller.cluster, &mut reports).await?;
    let is_health_delegated = health::is_health_delegated(&caller.cluster)?;
    let text = serde_json::to_string(&reports)?;
    let c = &caller.cluster;
    let same = before == text
        && (is_health_delegated
            || (c.health_status.as_deref() == Some(status) && c.health_status_reason == reason))
        && c.coe_version.as_deref() == Some(seen.version.as_str());
    if same {
        return Ok(true);
    }
    db::write!(d.db, |tx| {
        if node::table::observed_tx(tx, &c.uuid).await? != before {
            return Ok(false);
        }
        node::table::set_observed(tx, &c.uuid, &text).await?;
        if !is_health_delegated {
            table::set_health(tx, &c.uuid, Some(status), &reason).await?;
        }
        if !seen.version.is_empty() && c.coe_version.as_deref() != Some(seen.version.as_str()) {
            // The version of a swarm is the version of its container engine.
            let container = (coe == Coe::Swarm).then_some(seen.version.as_str());
            table::set_version(tx, &c.uuid, &seen.version, container).await?;
        }
        Ok(true)
    })
}

/// Ends a task. In a swarm a drained node is removed next, even if the drain
/// failed, because its server is deleted in any case. In Kubernetes the plan
/// decides the next step.
pub(crate) async fn task_done(
    d: &ClustersDeps,
    caller: &NodeSession,
    id: &str,
    done: &TaskResult,
) -> Result<()> {
    require_master(caller)?;
    bounds::text("id", id, bounds::ID).map_err(|e| Error::invalid("id", e.to_string()))?;
    let id = TaskId::from(id);
    let swarm = caller.cluster.engine()? == Coe::Swarm;
    db::write!(d.db, |tx| {
        db::mark(tx, KIND, &caller.cluster.uuid).await?;
        let Some(task) = node::table::task_tx(tx, &caller.cluster.uuid, &id).await? else {
            return Ok(());
        };
        if task.status != TaskStatus::Pending {
            return Ok(());
        }
        let status = TaskStatus::of_result(done.ok);
        node::table::end_task(tx, &id, status, tail(&done.log)).await?;
        if task.kind == TaskKind::Drain && swarm {
            let now = clock::now();
            let (kind, limit) = (TaskKind::Remove, REMOVE_LIMIT);
            let mut next = Task::new(&task.cluster_id, kind, &task.node, now, limit);
            next.generation = task.generation;
            node::table::insert_task(tx, &next).await?;
        }
        Ok(())
    })
}

/// An agent rejected a frame of the negotiated protocol version. One side has a
/// bug, which a person has to examine.
pub(crate) fn unsupported(caller: &NodeSession, frame: &Unsupported) {
    tracing::warn!(
        node = caller.node.name,
        cluster = caller.cluster.uuid.as_str(),
        frame = frame.frame,
        why = frame.why,
        "an agent does not understand this server"
    );
}
