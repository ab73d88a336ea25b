//! What the server asks of a master: draining, taking work again, removal.
//! One task at a time; each may come twice.

use std::time::Duration;

use kernel::{Error, Kind, Result};
use nodewire::TaskKind;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::api::Api;
use super::{drain, etcd};
use crate::channel::{Channel, Order};
use crate::engine::query;
use crate::report::say;
use crate::retry::Backoff;

/// Where a task names no deadline, seconds.
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

async fn one(api: &Api, channel: &Channel, order: &Order) {
    let task = &order.task;
    say(format_args!("task {}: {:?}", task.id, task.kind));
    let limit = Duration::from_secs(task.deadline.unwrap_or(DEADLINE).into());
    let until = Instant::now() + limit;
    let work = async {
        let mut backoff = Backoff::new(100, 2_000);
        loop {
            match act(api, &task.kind, until).await {
                // The API server may be starting again; a drain that gave up
                // has had its time.
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
            say(format_args!("task {}: cancelled", task.id));
            channel.forget(&task.id);
        }
        done = work => channel.answer(&task.id, done).await,
    }
}

pub(crate) async fn act(api: &Api, kind: &TaskKind, until: Instant) -> Result<String> {
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
        // Swarm's: here masters are what they were made as, certificates
        // belong to files, and there are no join tokens.
        TaskKind::Promote { .. }
        | TaskKind::Demote { .. }
        | TaskKind::ReloadCa
        | TaskKind::RotateTokens => Err(Error::new(
            Kind::NotSupported { status: 501 },
            "a Kubernetes cluster has no such task",
        )),
    }
}

/// Somebody took the node off the list before: nothing is on it.
fn absent(node: &str) -> String {
    format!("{node} is not on the list")
}

/// Takes a node off the list whose server is gone, and strikes its pods off:
/// nobody is left who could end them. It was drained while it lived.
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
