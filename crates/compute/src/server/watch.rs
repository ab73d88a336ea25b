//! Listens to the host: what happens to a container wakes its server.

use std::collections::BTreeMap;
use std::time::Duration;

use flow::Tasks;
use futures_util::StreamExt as _;
use infra::{ContainerState, Observed};
use kernel::{Error, Result};
use tokio::time::{Instant, sleep, sleep_until};

use super::reconcile::KIND;
use super::table;
use crate::Compute;
use crate::face::ServerStatus;
use crate::host::Engine;
use crate::ledger;

/// How soon a host that went away is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// Everything is compared this often although no event says so: an engine
/// drops events of a listener that is slow.
const RESYNC_INTERVAL: Duration = Duration::from_secs(60);

/// Follows the host's events until the tasks are stopped.
pub(crate) fn watch(compute: Compute, tasks: &Tasks) {
    let token = tasks.token();
    tasks.spawn("compute watch", async move {
        let mut silent = false;
        loop {
            let ended = tokio::select! {
                biased;
                () = token.cancelled() => return,
                ended = follow(&compute) => ended,
            };
            // Another engine may answer next.
            compute.engine.send_replace(Engine::Unknown);
            let away = matches!(&ended, Err(e) if e.is_transient());
            if let Err(e) = ended
                && !(away && silent)
            {
                tracing::warn!(error = %e, "the host is not watched");
            }
            silent = away;
            tokio::select! {
                biased;
                () = token.cancelled() => return,
                () = sleep(RETRY) => {}
            }
        }
    });
}

/// Listens first and lists then: nothing is missed in between.
async fn follow(compute: &Compute) -> Result<()> {
    let mut events = compute.host.events().await?;
    let mut looks = compute.late.looks();
    compute.refresh_host().await?;
    let waiting = table::in_trouble(&compute.db).await?;
    mark_all(compute, waiting).await?;
    loop {
        resync(compute).await?;
        let resync_at = Instant::now() + RESYNC_INTERVAL;
        loop {
            tokio::select! {
                biased;
                event = events.next() => match event {
                    Some(event) => heard(compute, &event).await?,
                    None => return Err(Error::unavailable("the host closed its stream of events")),
                },
                () = looks.due() => compute.sweep().await?,
                () = sleep_until(resync_at) => break,
            }
        }
    }
}

/// Removes what no row knows, and marks every server whose container is in
/// another state than its row says.
async fn resync(compute: &Compute) -> Result<()> {
    let states: BTreeMap<String, ContainerState> = ledger::sweep(compute)
        .await?
        .into_iter()
        .map(|v| (v.name, v.state))
        .collect();
    let mut changed = Vec::new();
    for (id, status) in table::followed(&compute.db).await? {
        let state = states.get(&super::container_name(&id));
        let expected = match status {
            ServerStatus::Active => state == Some(&ContainerState::Running),
            ServerStatus::Paused => state == Some(&ContainerState::Paused),
            // Its container may have gone as well.
            ServerStatus::Error => !matches!(
                state,
                Some(ContainerState::Running | ContainerState::Paused)
            ),
            _ => state
                .is_some_and(|s| !matches!(s, ContainerState::Running | ContainerState::Paused)),
        };
        if !expected {
            changed.push(id);
        }
    }
    mark_all(compute, changed).await
}

async fn mark_all(compute: &Compute, ids: Vec<String>) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    db::write!(compute.db, |tx| {
        for id in &ids {
            db::mark(tx, KIND, id).await?;
        }
        Ok(())
    })
}

async fn heard(compute: &Compute, event: &Observed) -> Result<()> {
    // Most events are echoes of what a reconciler does: ignored by status.
    let wanted: &[ServerStatus] = match event.action.as_str() {
        "create" => {
            if !ledger::table::has(&compute.db, &event.name).await? {
                compute.sweep().await?;
            }
            return Ok(());
        }
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
    match table::status(&compute.db, &event.id).await? {
        None if event.action == "start" => compute.sweep().await,
        Some(word) if wanted.iter().any(|s| s.word() == word) => {
            db::write!(compute.db, |tx| db::mark(tx, KIND, &event.id).await)
        }
        _ => Ok(()),
    }
}
