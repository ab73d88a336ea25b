//! Long polls of agents: they sleep until a commit wakes them.

use std::time::Duration;

use db::Dialect;
use kernel::{Error, Result, clock};
use nodewire::{JoinTicket, Peers, Task, TaskKind};
use tokio::sync::watch;
use tokio::time::Instant;

use super::kube;
use super::ops::{self, Who};
use crate::ClustersDeps;
use crate::cluster::{KIND, heal};
use crate::coe::Coe;
use crate::coe::kubernetes::drain_seconds;
use crate::node::{self, NodeStatus};

/// Agents may ask to wait so long.
const LONGEST: Duration = Duration::from_secs(60);
/// However often the cluster changes, nobody looks more often than this …
const PAUSE: Duration = Duration::from_millis(50);
/// … nor more rarely: a notification may get lost with its connection.
const GLANCE: Duration = Duration::from_secs(10);
/// On MariaDB no other server wakes us.
const GLANCE_UNTOLD: Duration = Duration::from_secs(2);
/// Above the deadline of a task, before another manager may take it.
const GRACE: i64 = 5_000_000;

/// Sleeps between two looks.
struct Patience {
    end: Instant,
    glance: Duration,
    wakes: watch::Receiver<u64>,
}

impl Patience {
    fn new(d: &ClustersDeps, who: &Who, wait: Duration) -> Self {
        Self {
            end: Instant::now() + wait.min(LONGEST),
            glance: if d.db.dialect() == Dialect::Mysql {
                GLANCE_UNTOLD
            } else {
                GLANCE
            },
            wakes: d.db.wakes().subscribe_key(KIND, &who.cluster.uuid),
        }
    }

    /// Before each look: what happens from now on wakes.
    fn look(&mut self) {
        self.wakes.mark_unchanged();
    }

    /// Until the cluster was marked or woken; `false` when the time is over.
    async fn sleep(&mut self) -> bool {
        let next = self.end.min(Instant::now() + self.glance);
        let woken = tokio::time::timeout_at(next, self.wakes.changed()).await;
        if Instant::now() >= self.end {
            return false;
        }
        if woken.is_ok() {
            tokio::time::sleep(PAUSE).await;
        }
        true
    }
}

/// How to join, once the first manager has published it.
pub(crate) async fn join(
    d: &ClustersDeps,
    who: &Who,
    wait: Duration,
) -> Result<Option<JoinTicket>> {
    let mut patience = Patience::new(d, who, wait);
    loop {
        patience.look();
        let found = ops::ticket(d, who).await?;
        if found.is_some() || !patience.sleep().await {
            return Ok(found);
        }
    }
}

/// Who else is there, once it is not what the node knows already.
pub(crate) async fn peers(
    d: &ClustersDeps,
    who: &Who,
    known: &str,
    wait: Duration,
) -> Result<Option<Peers>> {
    if who.cluster.engine()? != Coe::Kubernetes {
        return Err(Error::invalid(
            "coe",
            "coe: only nodes of a Kubernetes cluster have peers.",
        ));
    }
    let cluster = &who.cluster.uuid;
    let stored = crate::kube::table::load(&d.db, cluster).await?;
    let mut patience = Patience::new(d, who, wait);
    loop {
        patience.look();
        let found = kube::peers(d, cluster, &stored).await?;
        if found.version != known {
            return Ok(Some(found));
        }
        if !patience.sleep().await {
            return Ok(None);
        }
    }
}

/// The next task for this manager, besides those it is busy with; workers
/// have none.
pub(crate) async fn task(
    d: &ClustersDeps,
    who: &Who,
    busy: &[&str],
    wait: Duration,
) -> Result<Option<Task>> {
    if !who.node.is_master {
        tokio::time::sleep(wait.min(LONGEST)).await;
        return Ok(None);
    }
    let mut patience = Patience::new(d, who, wait);
    loop {
        patience.look();
        let found = next_task(d, who, busy).await?;
        if found.is_some() || !patience.sleep().await {
            return Ok(found);
        }
    }
}

async fn next_task(d: &ClustersDeps, who: &Who, busy: &[&str]) -> Result<Option<Task>> {
    let now = clock::now_micros();
    let tasks = node::table::tasks(&d.db, &who.cluster.uuid).await?;
    for t in tasks.iter().filter(|t| t.pending(now)) {
        let own = t.node == who.node.name;
        // A certificate is the node's own business; leaving is for others.
        if own != (t.kind == "reload-ca") || busy.contains(&t.id.as_str()) {
            continue;
        }
        let mine = t.taken_by.as_deref() == Some(who.node.name.as_str());
        if t.taken_until > now && !mine {
            continue;
        }
        // A drain has failed: the reconciler is about to take the rest back.
        let failed = |o: &node::Task| o.kind == "drain" && o.status == "failed";
        if t.kind == "drain" && tasks.iter().any(failed) {
            continue;
        }
        let Some(kind) = kind(d, t, &tasks).await? else {
            continue;
        };
        let mut tx = d.db.begin().await?;
        if who.node.status == NodeStatus::Leaving
            || !node::table::take(&mut tx, t, &who.node.name, t.deadline + GRACE).await?
        {
            continue;
        }
        tx.commit().await?;
        return Ok(Some(Task {
            id: t.id.clone(),
            kind,
            deadline: u32::try_from(seconds_for(who, t, now)?).ok(),
        }));
    }
    Ok(None)
}

/// How long an agent may take. The nodes of a Kubernetes cluster that leave
/// together are drained one after the other, each with the whole time.
fn seconds_for(who: &Who, t: &node::Task, now: i64) -> Result<i64> {
    let left = (t.deadline - now) / 1_000_000;
    if t.kind == "drain" && who.cluster.engine()? == Coe::Kubernetes {
        return Ok(left.min(drain_seconds(&who.cluster.labels)));
    }
    Ok(left)
}

async fn kind(d: &ClustersDeps, t: &node::Task, all: &[node::Task]) -> Result<Option<TaskKind>> {
    let node = t.node.clone();
    if [heal::ADD, heal::PROMOTE].contains(&t.kind.as_str()) {
        let (address, lost) = kube::etcd_addresses(d, &t.cluster_id, &node).await?;
        // A task that comes late finds a node that is back: it stays.
        let late = !lost.contains(&address);
        return Ok(match t.kind.as_str() {
            heal::ADD if late => None,
            heal::ADD => Some(TaskKind::AddMember { address, lost }),
            _ => Some(TaskKind::PromoteMember { address }),
        });
    }
    let others = all
        .iter()
        .filter(|o| o.kind == "drain" && o.status == "pending" && o.id != t.id)
        .map(|o| o.node.clone());
    Ok(Some(match t.kind.as_str() {
        "drain" => TaskKind::Drain {
            node,
            others: others.collect(),
        },
        "remove" => TaskKind::Remove { node },
        "activate" => TaskKind::Activate { node },
        "promote" => TaskKind::Promote { node },
        "reload-ca" => TaskKind::ReloadCa,
        _ => return Ok(None),
    }))
}
