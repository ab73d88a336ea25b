//! Tasks of a master: drain, uncordon, removal, changes of etcd's members. One task
//! runs at a time, and each must be repeatable.

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
    let (sender, mut tasks) = mpsc::unbounded_channel();
    let work = async {
        while let Some(running) = tasks.recv().await {
            run_task(api, channel, &running).await;
        }
    };
    tokio::join!(channel.take_tasks(sender), work);
}

/// Returns when the server has the result, or has cancelled the task.
async fn run_task(api: &Api, channel: &Channel, running: &RunningTask) {
    let task = &running.task;
    log_line(format_args!("task {}: {:?}", task.id, task.kind));
    let limit = Duration::from_secs(task.deadline.unwrap_or(DEADLINE).into());
    let until = Instant::now() + limit;
    let work = async {
        let mut backoff = Backoff::new(100, 2_000);
        loop {
            match perform(api, &task.kind, until).await {
                // The API server may be restarting. A failed drain is not
                // repeated, because it has used the time of the task.
                Err(e) if matches!(e.kind, Kind::Unavailable { .. }) && Instant::now() < until => {
                    backoff.pause().await;
                }
                other => break other,
            }
        }
    };
    tokio::select! {
        biased;
        () = running.cancelled() => {
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
                Err(e) if e.is_not_found() => Ok(already_removed(node)),
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
        // Only swarms have these tasks: Kubernetes masters keep their role,
        // certificates are renewed in their files, and there are no join tokens.
        TaskKind::Promote { .. }
        | TaskKind::Demote { .. }
        | TaskKind::ReloadCa
        | TaskKind::RotateTokens => Err(Error::new(
            Kind::NotSupported { status: 501 },
            "a Kubernetes cluster has no such task",
        )),
    }
}

/// The log of a task for a node that does not exist any more, so that nothing runs
/// on it.
fn already_removed(node: &str) -> String {
    format!("{node} does not exist any more")
}

/// Deletes the Node object of a deleted server, and its pods without a grace
/// period, because no kubelet is left to stop them. The node was drained before.
async fn remove(api: &Api, node: &str) -> Result<String> {
    let done = match api.delete(&format!("/api/v1/nodes/{}", query(node))).await {
        Err(e) if e.is_not_found() => already_removed(node),
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
