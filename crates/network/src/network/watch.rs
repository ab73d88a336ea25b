//! Watches the engine: a network is marked when its bridge loses a container,
//! and bridges without a row are removed.

use std::time::Duration;

use flow::Tasks;
use futures_util::StreamExt as _;
use infra::{Actor, BridgeView, LABEL, LABEL_BUILD, LABEL_INSTALLATION, Observed};
use kernel::{Error, Result};
use tokio::time::{Instant, sleep, sleep_until};

use super::model::{host_name, id_of};
use super::reconcile::KIND;
use super::table;
use crate::NetworkService;

/// Delay before an unreachable engine is contacted again.
const RETRY: Duration = Duration::from_secs(1);
/// Resync interval: an engine drops events of slow listeners.
const RESYNC_INTERVAL: Duration = Duration::from_secs(60);

/// Watches the events of the engine until the tasks are stopped.
pub(crate) fn watch(service: NetworkService, tasks: &Tasks) {
    let token = tasks.token();
    tasks.spawn("network watch", async move {
        let mut was_unreachable = false;
        loop {
            let ended = tokio::select! {
                biased;
                () = token.cancelled() => return,
                ended = follow(&service) => ended,
            };
            let unreachable = matches!(&ended, Err(e) if e.is_transient());
            if let Err(e) = ended
                && !(unreachable && was_unreachable)
            {
                tracing::warn!(error = %e, "the watch of network events ended");
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
async fn follow(service: &NetworkService) -> Result<()> {
    let mut events = service.fabric.events().await?;
    let mut sweep_schedule = service.late.sweep_schedule();
    let mut connected = true;
    loop {
        resync(service, connected).await?;
        connected = false;
        let resync_at = Instant::now() + RESYNC_INTERVAL;
        loop {
            tokio::select! {
                biased;
                event = events.next() => match event {
                    Some(event) => handle_event(service, &event).await?,
                    None => return Err(Error::unavailable("the engine closed its stream of events")),
                },
                () = sweep_schedule.due() => sweep(service).await.map(|_| ())?,
                () = sleep_until(resync_at) => break,
            }
        }
    }
}

/// Removes bridges without a row, and restores what a restart of the machine
/// has removed from the others. `connected`: the engine answers again, so
/// waiting networks continue.
async fn resync(service: &NetworkService, connected: bool) -> Result<()> {
    let known = sweep(service).await?;
    service.fabric.restore(&known).await?;
    if !connected {
        return Ok(());
    }
    let waiting = table::waiting(&service.db).await?;
    if waiting.is_empty() {
        return Ok(());
    }
    db::write!(service.db, |tx| {
        for id in &waiting {
            db::mark(tx, KIND, id).await?;
        }
        Ok(())
    })
}

async fn handle_event(service: &NetworkService, event: &Observed) -> Result<()> {
    let Some(id) = id_of(&event.name) else {
        return Ok(());
    };
    match event.action.as_str() {
        "create" if table::get(&service.db, &id).await?.is_none() => {
            sweep(service).await.map(|_| ())
        }
        "disconnect" | "destroy" if table::is_being_removed(&service.db, &id).await? => {
            db::write!(service.db, |tx| db::mark(tx, KIND, &id).await)
        }
        _ => Ok(()),
    }
}

/// Removes bridges of this installation without a row or of an older build than
/// their row, which were created by calls whose answer was lost. Rows are read
/// after the bridges were listed, and a row exists before its bridge is
/// requested, so a wanted bridge is never removed. Returns the remaining
/// bridges.
pub(crate) async fn sweep(service: &NetworkService) -> Result<Vec<BridgeView>> {
    let mut there = service.fabric.list().await?;
    let ours = |b: &BridgeView| {
        b.labels.get(LABEL_INSTALLATION) == Some(&service.config.installation)
            && b.labels
                .get(LABEL)
                .is_some_and(|id| host_name(&id.into()) == b.name)
    };
    there.retain(ours);
    if !service.db.safeguards().sweep || there.is_empty() {
        return Ok(there);
    }
    let rows = table::realised(&service.db).await?;
    let wanted = |b: &BridgeView| {
        let build = b.labels.get(LABEL_BUILD).and_then(|l| l.parse().ok());
        b.labels
            .get(LABEL)
            .and_then(|id| rows.get(id.as_str()))
            .is_some_and(|(current, _)| build.unwrap_or(1) >= *current)
    };
    let (known, late): (Vec<_>, Vec<_>) = there.into_iter().partition(wanted);
    for bridge in late {
        match service.fabric.remove(Actor::Sweep, &bridge.id).await {
            Ok(()) => tracing::info!(
                network = bridge.name,
                "removed a network that was created late"
            ),
            Err(e) => {
                service.late.note(&e);
                tracing::warn!(network = bridge.name, error = %e, "a network that was created late was not removed");
            }
        }
    }
    Ok(known)
}
