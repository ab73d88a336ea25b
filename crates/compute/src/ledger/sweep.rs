//! Removes what calls without an answer have made too late.

use infra::{Actor, ContainerView, LABEL, LABEL_BUILD, LABEL_INSTALLATION};
use kernel::Result;

use super::table;
use crate::Compute;

/// Removes the containers and volumes of this installation that no row of the
/// ledger knows, or whose row is at a later build. The ledger is read after
/// the engine was listed, and a row is there before its object is asked for
/// and is never written again once it is gone: so nothing that is wanted is
/// taken for one of these, and what is made meanwhile has another id (a
/// volume: another name). Answers the other containers.
pub(crate) async fn sweep(compute: &Compute) -> Result<Vec<ContainerView>> {
    let containers = compute.host.list().await?;
    if !compute.db.safeguards().sweep {
        return Ok(containers);
    }
    let volumes = compute.host.volumes().await?;
    let builds = table::builds(&compute.db).await?;
    let installation = &compute.config.installation;
    // By labels only: what somebody else has given our prefix is shown by
    // `leaks` and left to people.
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
        let done = compute.host.remove(Actor::Sweep, &container.id).await;
        told(compute, "container", &container.name, done);
    }
    for volume in volumes {
        if ours(&volume.labels) && !builds.contains_key(&volume.name) {
            let done = compute.host.remove_volume(Actor::Sweep, &volume.name).await;
            told(compute, "volume", &volume.name, done);
        }
    }
    Ok(known)
}

fn told(compute: &Compute, object: &str, name: &str, done: Result<()>) {
    match done {
        Ok(()) => tracing::info!(object, name, "removed an object made too late"),
        Err(e) => {
            compute.late.note(&e);
            tracing::warn!(object, name, error = %e, "an object made too late stays");
        }
    }
}
