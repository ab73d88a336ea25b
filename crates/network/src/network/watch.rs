//! Listens to the engine: a bridge that lost a container wakes its network, and
//! a bridge that no row knows is removed.

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

/// How soon an engine that went away is asked again.
const RETRY: Duration = Duration::from_secs(1);
/// Everything is compared this often although no event says so: an engine
/// drops events of a listener that is slow.
const RESYNC_INTERVAL: Duration = Duration::from_secs(60);

/// Follows the engine's events until the tasks are stopped.
pub(crate) fn watch(service: NetworkService, tasks: &Tasks) {
    let token = tasks.token();
    tasks.spawn("network watch", async move {
        let mut silent = false;
        loop {
            let ended = tokio::select! {
                biased;
                () = token.cancelled() => return,
                ended = follow(&service) => ended,
            };
            let away = matches!(&ended, Err(e) if e.is_transient());
            if let Err(e) = ended
                && !(away && silent)
            {
                tracing::warn!(error = %e, "the network plane is not watched");
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
async fn follow(service: &NetworkService) -> Result<()> {
    let mut events = service.plane.events().await?;
    let mut looks = service.late.looks();
    let mut connected = true;
    loop {
        resync(service, connected).await?;
        connected = false;
        let resync_at = Instant::now() + RESYNC_INTERVAL;
        loop {
            tokio::select! {
                biased;
                event = events.next() => match event {
                    Some(event) => heard(service, &event).await?,
                    None => return Err(Error::unavailable("the engine closed its stream of events")),
                },
                () = looks.due() => sweep(service).await.map(|_| ())?,
                () = sleep_until(resync_at) => break,
            }
        }
    }
}

/// Removes what no row knows and restores what a restart of the machine has
/// taken from the others. `connected`: the engine answers again, so networks
/// that wait for it go on.
async fn resync(service: &NetworkService, connected: bool) -> Result<()> {
    let known = sweep(service).await?;
    service.plane.restore(&known).await?;
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

async fn heard(service: &NetworkService, event: &Observed) -> Result<()> {
    let Some(id) = id_of(&event.name) else {
        return Ok(());
    };
    match event.action.as_str() {
        "create" if table::get(&service.db, id).await?.is_none() => {
            sweep(service).await.map(|_| ())
        }
        "disconnect" | "destroy" if table::is_leaving(&service.db, id).await? => {
            db::write!(service.db, |tx| db::mark(tx, KIND, id).await)
        }
        _ => Ok(()),
    }
}

/// Removes the bridges of this installation that have no row, or whose row is
/// at a later build: a call that got no answer has made them. The rows are
/// read after the bridges were listed, and a row is there before its bridge is
/// asked for, so none that is wanted is taken for one of these. Answers the
/// others.
pub(crate) async fn sweep(service: &NetworkService) -> Result<Vec<BridgeView>> {
    let mut there = service.plane.list().await?;
    let ours = |b: &BridgeView| {
        b.labels.get(LABEL_INSTALLATION) == Some(&service.config.installation)
            && b.labels
                .get(LABEL)
                .is_some_and(|id| host_name(id) == b.name)
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
            .and_then(|id| rows.get(id))
            .is_some_and(|(current, _)| build.unwrap_or(1) >= *current)
    };
    let (known, late): (Vec<_>, Vec<_>) = there.into_iter().partition(wanted);
    for bridge in late {
        match service.plane.remove(Actor::Sweep, &bridge.id).await {
            Ok(()) => tracing::info!(network = bridge.name, "removed a network made too late"),
            Err(e) => {
                service.late.note(&e);
                tracing::warn!(network = bridge.name, error = %e, "a network made too late stays");
            }
        }
    }
    Ok(known)
}
