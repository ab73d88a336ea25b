//! Tasks of a master: drain, uncordon, removal. One task at a time; each may be
//! received twice.

use std::time::Duration;

use kernel::{Error, Kind, Result};
use nodewire::TaskKind;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::api::Api;
use super::{drain, etcd};
use crate::channel::{Channel, RunningTask};
use crate::http::query;
use crate::report::log_line;
use crate::retry::Backoff;

/// Default deadline of a task, seconds.
const DEADLINE: u32 = 120;

/// Takes tasks until dropped.
pub(crate) async fn run(api: &Api, channel: &Channel) {
    let (sender, mut orders) = mpsc::unbounded_channel();
    let work = async {
        while let Some(order) = orders.recv().await {
            one(api, channel, &order).await;
        }
    };
    tokio::join!(channel.take_tasks(sender), work);
}

async fn one(api: &Api, channel: &Channel, order: &RunningTask) {
    let task = &order.task;
    log_line(format_args!("task {}: {:?}", task.id, task.kind));
    let limit = Duration::from_secs(task.deadline.unwrap_or(DEADLINE).into());
    let until = Instant::now() + limit;
    let work = async {
        let mut backoff = Backoff::new(100, 2_000);
        loop {
            match perform(api, &task.kind, until).await {
                // The API server may be restarting; a failed drain has already
                // used its time.
                Err(e) if matches!(e.kind, Kind::Unavailable { .. }) && Instant::now() < until => {
                    backoff.pause().await;
                }
                other => break other,
            }
        }
    };
    tokio::select! {
        biased;
        () = order.cancelled() => {
            log_line(format_args!("task {}: cancelled", task.id));
            channel.forget(&task.id);
        }
        done = work => channel.answer(&task.id, done).await,
    }
}

pub(crate) async fn perform(api: &Api, kind: &TaskKind, until: Instant) -> Result<String> {
    match kind {
        TaskKind::Drain { node, others } => {
            for other in others {
                match drain::cordon(api, other, true).await {
                    Err(e) if !e.is_not_found() => return Err(e),
                    _ => {}
                }
            }
            match drain::drain(api, node, until).await {
                Err(e) if e.is_not_found() => Ok(absent(node)),
                done => done,
            }
        }
        TaskKind::Activate { node } => drain::cordon(api, node, false)
            .await
            .map(|()| String::new()),
        TaskKind::Remove { node } => remove(api, node).await,
        TaskKind::AddMember { address, lost } => {
            etcd::add(&etcd::client()?, address, lost, until).await
        }
        TaskKind::PromoteMember { address } => {
            etcd::promote(&etcd::client()?, address, until).await
        }
        TaskKind::Unknown => Err(Error::new(
            Kind::NotSupported { status: 501 },
            "this agent does not know that kind of task; rebuild the node image",
        )),
        // Swarm tasks: Kubernetes masters keep their role, certificates are
        // renewed by files, and there are no join tokens.
        TaskKind::Promote { .. }
        | TaskKind::Demote { .. }
        | TaskKind::ReloadCa
        | TaskKind::RotateTokens => Err(Error::new(
            Kind::NotSupported { status: 501 },
            "a Kubernetes cluster has no such task",
        )),
    }
}

/// The node was already removed, so nothing runs on it.
fn absent(node: &str) -> String {
    format!("{node} is not on the list")
}

/// Deletes a Node object whose server is gone, and force-deletes its pods,
/// because no kubelet is left to stop them. The node was drained before.
async fn remove(api: &Api, node: &str) -> Result<String> {
    let done = match api.delete(&format!("/api/v1/nodes/{}", query(node))).await {
        Err(e) if e.is_not_found() => absent(node),
        other => other.map(|_| format!("removed {node}"))?,
    };
    for pod in drain::pods_on(api, node).await? {
        let word = |key: &str| query(pod["metadata"][key].as_str().unwrap_or_default());
        let path = format!(
            "/api/v1/namespaces/{}/pods/{}?gracePeriodSeconds=0",
            word("namespace"),
            word("name")
        );
        match api.delete(&path).await {
            Err(e) if !e.is_not_found() => return Err(e),
            _ => {}
        }
    }
    Ok(done)
}
