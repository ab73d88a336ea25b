//! What agents report. A session is authorised for nothing but its own
//! cluster, and most of it for its own node.

use kernel::{Ctx, Error, Kind, Result, clock};
use nodewire::{
    CsrAsk, CsrGrant, JoinTicket, Observed, Published, Purpose, StepStatus, Steps, TaskResult,
    Unsupported,
};
use pki::SignOptions;
use serde::{Deserialize, Serialize};

use super::kube;
use crate::ClustersDeps;
use crate::cluster::told::Told;
use crate::cluster::{Cluster, KIND, health, resize, signal, table};
use crate::coe::Coe;
use crate::coe::kubernetes::profiles::Authority;
use crate::node::{self, Node, NodeStatus, Task};
use crate::{certificate, tokens};

/// Longest log of a step that is kept, bytes.
const LOG: usize = 4096;
/// Longest CA that is kept, bytes.
const CA: usize = 16 * 1024;
/// Steps of one node at most; an agent has a dozen.
const STEPS: usize = 200;

/// A node whose session was checked, and its cluster.
pub(crate) struct Who {
    pub(crate) node: Node,
    pub(crate) cluster: Cluster,
}

pub(crate) fn refused(text: &str) -> Error {
    Error::new(Kind::Unauthenticated, text)
}

/// The node of a session.
pub(crate) async fn who(d: &ClustersDeps, session: Option<&str>) -> Result<Who> {
    let unknown = || refused("The session is not known.");
    let session = session.ok_or_else(unknown)?;
    let found = node::table::by_session(&d.db, &tokens::digest(session)).await?;
    let node = found
        .filter(|n| n.status != NodeStatus::Removed)
        .ok_or_else(unknown)?;
    let cluster = table::load(&d.db, &node.cluster_id)
        .await?
        .ok_or_else(unknown)?;
    Ok(Who { node, cluster })
}

/// A step of a node that is not ready yet has failed: so has the node.
pub(crate) fn fail(n: &mut Node) -> bool {
    let failed =
        n.failure().is_some() && matches!(n.status, NodeStatus::Waiting | NodeStatus::Running);
    if failed {
        n.status = NodeStatus::Failed;
        n.signal = Some("FAILURE".into());
        n.signalled = false;
    }
    failed
}

/// Keeps reports of steps; a failed one fails the wait condition at once.
pub(crate) async fn steps(d: &ClustersDeps, who: &Who, reports: &Steps) -> Result<()> {
    let failed = db::write!(d.db, |tx| {
        if reports.steps.iter().any(|s| s.status == StepStatus::Failed) {
            db::mark(tx, KIND, &who.cluster.uuid).await?;
        }
        let Some(mut n) = node::table::load_tx(tx, &who.node.id).await? else {
            return Ok(None);
        };
        report(&mut n, reports);
        let failed = fail(&mut n);
        node::table::save(tx, &n).await?;
        Ok(failed.then_some(n))
    })?;
    if let Some(n) = failed {
        tell(d, &who.cluster, &n).await;
    }
    Ok(())
}

fn report(n: &mut Node, reports: &Steps) {
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
        n.report(&name, status, step.at_micros, tail(&step.log));
    }
}

/// The end of a log says more than its start.
fn tail(log: &str) -> &str {
    let mut at = log.len().saturating_sub(LOG);
    while !log.is_char_boundary(at) {
        at += 1;
    }
    &log[at..]
}

/// Signals at once; what fails here the reconciler repeats.
pub(crate) async fn tell(d: &ClustersDeps, cluster: &Cluster, n: &Node) {
    let ctx = Ctx::for_project(kernel::ids::request_id(), &cluster.project_id);
    if let Err(e) = signal::signal(d, &ctx, cluster, n).await {
        tracing::warn!(node = n.name, error = %e, "the stack was not signalled; it will be");
    }
}

/// The node is a Ready member of the cluster.
pub(crate) async fn ready(d: &ClustersDeps, who: &Who) -> Result<()> {
    let news = db::write!(d.db, |tx| {
        db::mark(tx, KIND, &who.cluster.uuid).await?;
        let Some(mut n) = node::table::load_tx(tx, &who.node.id).await? else {
            return Ok(None);
        };
        match n.status {
            NodeStatus::Ready if n.signalled => return Ok(None),
            NodeStatus::Leaving | NodeStatus::Removed => {
                return Err(Error::conflict("This node is leaving the cluster."));
            }
            // A node that has told of a failure and got over it: the stack has
            // failed by then, the node may still be used by the next resize.
            _ => {}
        }
        n.status = NodeStatus::Ready;
        n.signal = Some("SUCCESS".into());
        n.signalled = false;
        node::table::save(tx, &n).await?;
        Ok(Some(n))
    })?;
    if let Some(n) = news {
        tell(d, &who.cluster, &n).await;
    }
    Ok(())
}

/// Signs a node's request: its own name and addresses, whatever it asks.
pub(crate) async fn csr(d: &ClustersDeps, who: &Who, csr: &CsrAsk) -> Result<CsrGrant> {
    if who.cluster.engine()? == Coe::Kubernetes {
        return kube::csr(d, who, csr).await;
    }
    if csr.purpose != Purpose::Node {
        return Err(Error::invalid(
            "purpose",
            "purpose: no certificate of this kind exists in a swarm.",
        ));
    }
    let ca = certificate::ops::authority(d, &who.cluster, Authority::Cluster).await?;
    let mut sans = vec![
        who.node.name.clone(),
        "localhost".into(),
        "127.0.0.1".into(),
    ];
    sans.extend(who.node.addresses.iter().cloned());
    let options = SignOptions {
        seconds: d.node_certificate_seconds,
        ..SignOptions::node(&who.node.name, sans)
    };
    let cert = ca.sign_csr(&csr.csr, &options)?;
    Ok(CsrGrant {
        cert,
        ca: ca.cert_pem,
    })
}

fn manager(who: &Who) -> Result<()> {
    if who.node.is_master {
        Ok(())
    } else {
        Err(Error::forbidden("Only a manager may do this."))
    }
}

/// Managers tell how others join, the first one first; again when the tokens
/// were rotated. Every address is kept: any of them may be down later.
pub(crate) async fn published(d: &ClustersDeps, who: &Who, news: &Published) -> Result<()> {
    manager(who)?;
    let cluster = &who.cluster.uuid;
    let purpose = tokens::join_purpose(cluster);
    if let Some(ca) = &news.ca {
        api_ca_is_one(ca)?;
    }
    db::write!(d.db, |tx| {
        // The mark wakes the agents that wait for it.
        db::mark(tx, KIND, cluster).await?;
        let (mut addresses, before) = match node::table::join_tx(tx, cluster).await? {
            Some(sealed) => {
                let known = joining(d, cluster, &sealed)?;
                (known.remote_addrs, known.ca)
            }
            None => (Vec::new(), None),
        };
        if !addresses.contains(&news.remote_addr) {
            addresses.push(news.remote_addr.clone());
        }
        let joining = Joining {
            remote_addrs: addresses,
            worker_token: news.worker_token.clone(),
            manager_token: news.manager_token.clone(),
            ca: news.ca.clone().or(before),
        };
        let sealed = d.sealer.seal(&purpose, &serde_json::to_vec(&joining)?)?;
        node::table::set_join(tx, cluster, &sealed).await
    })
}

/// How nodes join, sealed at rest.
#[derive(Serialize, Deserialize)]
pub(crate) struct Joining {
    remote_addrs: Vec<String>,
    worker_token: String,
    manager_token: String,
    /// PEM of the CA of the cluster's API where that has its own.
    #[serde(default)]
    ca: Option<String>,
}

impl Joining {
    pub(crate) fn ticket(&self, is_master: bool) -> JoinTicket {
        let token = if is_master {
            &self.manager_token
        } else {
            &self.worker_token
        };
        JoinTicket {
            remote_addrs: self.remote_addrs.clone(),
            token: token.clone(),
        }
    }
}

/// What a master has published, as it is stored.
pub(crate) fn joining(d: &ClustersDeps, cluster: &str, sealed: &str) -> Result<Joining> {
    let purpose = tokens::join_purpose(cluster);
    Ok(serde_json::from_str(
        &d.sealer.unseal_text(&purpose, sealed)?,
    )?)
}

/// Clients take it for a file of certificates: it holds nothing else.
fn api_ca_is_one(pem: &str) -> Result<()> {
    if pem.len() <= CA && pki::CertInfo::from_pem(pem).is_ok() && !pem.contains("PRIVATE KEY") {
        return Ok(());
    }
    Err(Error::invalid(
        "ca",
        "ca: not a certificate in PEM of at most 16 KiB.",
    ))
}

/// PEM of the CA of a cluster's API where that is not the cluster's own.
pub(crate) async fn api_ca(d: &ClustersDeps, cluster: &str) -> Result<Option<String>> {
    let Some(sealed) = node::table::swarm(&d.db, cluster).await?.join_sealed else {
        return Ok(None);
    };
    Ok(joining(d, cluster, &sealed)?.ca)
}

/// What a manager sees: health and version follow. Several masters tell at
/// the same time: what another one said meanwhile is not overwritten.
pub(crate) async fn observed(d: &ClustersDeps, who: &Who, seen: &Observed) -> Result<()> {
    manager(who)?;
    for _ in 0..health::RACES {
        if note(d, who, seen).await? {
            return Ok(());
        }
    }
    // The agent says it again.
    Err(Error::unavailable(
        "Too many concurrent status reports; retry.",
    ))
}

/// `false` where the stored observation changed while it was judged.
async fn note(d: &ClustersDeps, who: &Who, seen: &Observed) -> Result<bool> {
    let coe = who.cluster.engine()?;
    let before = node::table::swarm(&d.db, &who.cluster.uuid).await?.observed;
    let mut told = Told::after(Told::read(&before), &who.node.name, seen);
    let (status, reason) = health::judge(d, &who.cluster, &mut told).await?;
    let hands_off = health::hands_off(&who.cluster)?;
    let text = serde_json::to_string(&told)?;
    let c = &who.cluster;
    let same = before == text
        && (hands_off
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
        if !hands_off {
            table::set_health(tx, &c.uuid, Some(status), &reason).await?;
        }
        if !seen.version.is_empty() && c.coe_version.as_deref() != Some(seen.version.as_str()) {
            // A swarm's version is its container engine's.
            let container = (coe == Coe::Swarm).then_some(seen.version.as_str());
            table::set_version(tx, &c.uuid, &seen.version, container).await?;
        }
        Ok(true)
    })
}

/// The end of a task. In a swarm a drained node is then removed, whether or
/// not the drain succeeded: its server goes in any case. In Kubernetes the
/// plan decides what follows from it.
pub(crate) async fn task_done(
    d: &ClustersDeps,
    who: &Who,
    id: &str,
    done: &TaskResult,
) -> Result<()> {
    manager(who)?;
    let swarm = who.cluster.engine()? == Coe::Swarm;
    db::write!(d.db, |tx| {
        db::mark(tx, KIND, &who.cluster.uuid).await?;
        let Some(task) = node::table::task_tx(tx, &who.cluster.uuid, id).await? else {
            return Ok(());
        };
        if task.status != "pending" {
            return Ok(());
        }
        let status = if done.ok { "done" } else { "failed" };
        node::table::end_task(tx, id, status, tail(&done.log)).await?;
        if task.kind == "drain" && swarm {
            let now = clock::now_micros();
            let seconds = resize::REMOVE_SECONDS;
            let mut next = Task::new(&task.cluster_id, "remove", &task.node, now, seconds);
            next.generation = task.generation;
            node::table::insert_task(tx, &next).await?;
        }
        Ok(())
    })
}

/// An agent that does not know a frame of its own protocol: one of the two
/// is wrong, and a person has to look.
pub(crate) fn unsupported(who: &Who, frame: &Unsupported) {
    tracing::warn!(
        node = who.node.name,
        cluster = who.cluster.uuid,
        frame = frame.frame,
        why = frame.why,
        "an agent does not understand this server"
    );
}
