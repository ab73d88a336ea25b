//! Watches the events of the host and marks the servers of changed containers.

use std::collections::BTreeMap;
use std::time::Duration;

use flow::Tasks;
use futures_util::StreamExt as _;
use infra::{ContainerState, Observed};
use kernel::{Error, Result};
use tokio::time::{Instant, sleep, sleep_until};

use super::model::KIND;
use super::table;
use crate::api::ServerStatus;
use crate::host::Engine;
use crate::ledger;
use crate::{Compute, ServerId};

/// Delay before an unreachable host is contacted again.
const RETRY: Duration = Duration::from_secs(1);

/// Resync interval: an engine drops events of slow listeners.
const RESYNC_INTERVAL: Duration = Duration::from_secs(60);

/// Watches the events of the host until the tasks are stopped.
pub(crate) fn watch(compute: Compute, tasks: &Tasks) {
    let token = tasks.token();
    tasks.spawn("compute watch", async move {
        let mut was_unreachable = false;
        loop {
            let ended = tokio::select! {
                biased;
                () = token.cancelled() => return,
                ended = follow(&compute) => ended,
            };
            // Another engine may answer next time.
            compute.engine.send_replace(Engine::Unknown);
            let unreachable = matches!(&ended, Err(e) if e.is_transient());
            if let Err(e) = ended
                && !(unreachable && was_unreachable)
            {
                tracing::warn!(error = %e, "the host is not watched");
            }
            was_unreachable = unreachable;
            tokio::select! {
                biased;
                () = token.cancelled() => return,
                () = sleep(RETRY) => {}
            }
        }
    });
}

/// Subscribes before listing, so that no change is missed.
async fn follow(compute: &Compute) -> Result<()> {
    let mut events = compute.host.events().await?;
    let mut sweep_schedule = compute.late.sweep_schedule();
    compute.refresh_host().await?;
    let waiting = table::waiting_for_host(&compute.db).await?;
    mark_all(compute, waiting).await?;
    loop {
        resync(compute).await?;
        let resync_at = Instant::now() + RESYNC_INTERVAL;
        loop {
            tokio::select! {
                biased;
                event = events.next() => match event {
                    Some(event) => handle_event(compute, &event).await?,
                    None => return Err(Error::unavailable("the host closed its stream of events")),
                },
                () = sweep_schedule.due() => remove_late_objects(compute).await?,
                () = sleep_until(resync_at) => break,
            }
        }
    }
}

/// Removes objects without a row, and marks every server whose container is in
/// a different state than its row.
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
            // Its container may have been removed too.
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

async fn remove_late_objects(compute: &Compute) -> Result<()> {
    ledger::sweep(compute).await.map(|_| ())
}

async fn mark_all(compute: &Compute, ids: Vec<ServerId>) -> Result<()> {
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

async fn handle_event(compute: &Compute, event: &Observed) -> Result<()> {
    // Most events are caused by reconcilers and are ignored because the status
    // already matches.
    let wanted: &[ServerStatus] = match event.action.as_str() {
        "create" => {
            if !ledger::table::has(&compute.db, &event.name).await? {
                remove_late_objects(compute).await?;
            }
            return Ok(());
        }
        // Also in BUILD, because the container may exit between the last check and
        // ACTIVE.
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
    let id = ServerId::from(&event.id);
    match table::status(&compute.db, &id).await? {
        None if event.action == "start" => remove_late_objects(compute).await,
        Some(word) if wanted.iter().any(|s| s.as_stored() == word) => {
            db::write!(compute.db, |tx| db::mark(tx, KIND, &id).await)
        }
        _ => Ok(()),
    }
}
