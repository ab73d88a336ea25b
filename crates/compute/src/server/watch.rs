//! Listens to the host: what happens to a container wakes its server.

use std::collections::HashMap;
use std::time::Duration;

use flow::Tasks;
use futures_util::StreamExt as _;
use infra::{ContainerState, Observed};
use kernel::{Error, Result};

use super::reconcile::KIND;
use super::table;
use crate::Compute;
use crate::face::ServerStatus;

/// How soon a host that went away is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// Follows the host's events until the tasks are stopped.
pub(crate) fn watch(compute: Compute, tasks: &Tasks) {
    let token = tasks.token();
    tasks.spawn("compute watch", async move {
        let mut silent = false;
        loop {
            let ended = tokio::select! {
                () = token.cancelled() => return,
                ended = follow(&compute) => ended,
            };
            let answers = !matches!(&ended, Err(e) if e.is_transient());
            match ended {
                Err(e) if answers || !silent => {
                    tracing::warn!(error = %e, "the host is not watched")
                }
                _ => {}
            }
            silent = !answers;
            tokio::select! {
                () = token.cancelled() => return,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    });
}

/// Listens first and lists then: nothing falls between.
async fn follow(compute: &Compute) -> Result<()> {
    let mut events = compute.host.events().await?;
    compute.refresh_host().await?;
    relist(compute).await?;
    while let Some(event) = events.next().await {
        heard(compute, &event).await?;
    }
    Err(Error::unavailable("the host closed its stream of events"))
}

/// Marks every server whose container is in another state than its row says.
async fn relist(compute: &Compute) -> Result<()> {
    let states: HashMap<String, ContainerState> = compute
        .host
        .list()
        .await?
        .into_iter()
        .map(|v| (v.name, v.state))
        .collect();
    let mut changed = Vec::new();
    for (id, status) in table::followed(&compute.db).await? {
        let expected = match status {
            ServerStatus::Active => {
                states.get(&super::container_name(&id)) == Some(&ContainerState::Running)
            }
            ServerStatus::Paused => {
                states.get(&super::container_name(&id)) == Some(&ContainerState::Paused)
            }
            _ => states
                .get(&super::container_name(&id))
                .is_some_and(|s| !matches!(s, ContainerState::Running | ContainerState::Paused)),
        };
        if !expected {
            changed.push(id);
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    let mut tx = compute.db.begin().await?;
    for id in changed {
        db::mark(&mut tx, KIND, &id).await?;
    }
    tx.commit().await
}

async fn heard(compute: &Compute, event: &Observed) -> Result<()> {
    // Most events are echoes of what a reconciler does: ignored by status.
    let wanted: &[ServerStatus] = match event.action.as_str() {
        // Also in BUILD: it may die between the last look and ACTIVE.
        "die" | "oom" => &[
            ServerStatus::Build,
            ServerStatus::Active,
            ServerStatus::Paused,
        ],
        "start" => &[ServerStatus::Shutoff, ServerStatus::Error],
        "pause" => &[ServerStatus::Active],
        "unpause" => &[ServerStatus::Paused],
        "destroy" => &[
            ServerStatus::Build,
            ServerStatus::Active,
            ServerStatus::Shutoff,
            ServerStatus::Paused,
        ],
        _ => return Ok(()),
    };
    let status = table::status(&compute.db, &event.id).await?;
    if !status.is_some_and(|s| wanted.contains(&s)) {
        return Ok(());
    }
    let mut tx = compute.db.begin().await?;
    db::mark(&mut tx, KIND, &event.id).await?;
    tx.commit().await
}
