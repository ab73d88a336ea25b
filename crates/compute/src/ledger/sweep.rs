//! Removes objects created by calls whose answer was lost.

use infra::{Actor, ContainerView, LABEL, LABEL_BUILD, LABEL_INSTALLATION};
use kernel::Result;

use super::table;
use crate::Compute;

/// Removes containers, volumes and reservations of this installation that have no row in
/// the ledger or belong to an older build than their row. The ledger is read after
/// the engine was listed, a row exists before its object is requested, and a
/// deleted row is never written again. Therefore a wanted object is never
/// removed, and objects created concurrently have another id (volumes: another
/// name). Returns the remaining containers.
pub(crate) async fn sweep(compute: &Compute) -> Result<Vec<ContainerView>> {
    let containers = compute.host.list().await?;
    if !compute.db.safeguards().sweep {
        return Ok(containers);
    }
    let volumes = compute.host.volumes().await?;
    let installation = &compute.config.installation;
    // Without them the other objects can still be swept.
    let reserved = match compute.host.reservations(installation).await {
        Ok(reserved) => reserved.containers,
        Err(e) => {
            tracing::warn!(error = %e, "the grants of user ids are not swept");
            Vec::new()
        }
    };
    let builds = table::builds(&compute.db).await?;
    // Only objects with our labels: other objects with our name prefix are
    // reported by `leaks` and left to operators.
    let ours = |labels: &std::collections::BTreeMap<String, String>| {
        labels.contains_key(LABEL) && labels.get(LABEL_INSTALLATION) == Some(installation)
    };
    let is_late = |c: &ContainerView| {
        let build = c.labels.get(LABEL_BUILD).and_then(|l| l.parse().ok());
        let current = builds.get(&c.name);
        ours(&c.labels) && current.is_none_or(|current| build.unwrap_or(1) < *current)
    };
    let (late, known): (Vec<_>, Vec<_>) = containers.into_iter().partition(is_late);
    for container in late {
        let mut done = compute.host.remove(Actor::Sweep, &container.id).await;
        // A later build may be claiming its range.
        if done.is_ok() && !builds.contains_key(&container.name) {
            done = compute.host.release(&container.name).await;
        }
        log_removal(compute, "container", &container.name, done);
    }
    for volume in volumes {
        if ours(&volume.labels) && !builds.contains_key(&volume.name) {
            let done = compute.host.remove_volume(Actor::Sweep, &volume.name).await;
            log_removal(compute, "volume", &volume.name, done);
        }
    }
    for name in reserved {
        if !builds.contains_key(&name) {
            let done = compute.host.release(&name).await;
            log_removal(compute, "grant of user ids", &name, done);
        }
    }
    Ok(known)
}

fn log_removal(compute: &Compute, object: &str, name: &str, done: Result<()>) {
    match done {
        Ok(()) => tracing::info!(object, name, "removed an object that was created late"),
        Err(e) => {
            compute.late.note(&e);
            tracing::warn!(object, name, error = %e, "an object that was created late was not removed");
        }
    }
}
