//! Starts the healing of an idle cluster: a resize to the present sizes, which
//! rebuilds lost nodes.

use db::Lease;
use kernel::{Ctx, Result};

use super::apply::start_resize::{Resize, start_resize};
use super::model::Cluster;
use super::plan::selection;
use super::servers::{Infrastructure, Unavailable};
use super::{KIND, health, table};
use crate::ClustersDeps;
use crate::coe::Coe;
use crate::node;
use crate::nodegroup;

/// Starts a resize to the current size if the cluster is idle and has
/// auto-healing (label `auto_healing_enabled`), unless a controller inside the
/// cluster does the healing. A cluster whose last healing failed waits for an
/// operator.
///
/// # Errors
/// Fails if the database or compute fails.
pub(crate) async fn start_auto_heal(d: &ClustersDeps, lease: &Lease, c: &Cluster) -> Result<()> {
    if !is_wanted(c)? {
        return Ok(());
    }
    let servers = Unavailable::load(d, c).await?;
    if servers.in_error.is_empty() {
        return Ok(());
    }
    let nodes = node::table::of_cluster(&d.db, &c.uuid).await?;
    if selection::for_rebuild(&nodes, &servers.in_error, &servers.not_running).is_empty() {
        return Ok(());
    }
    resize_to_current_size(d, lease, c).await
}

fn is_wanted(c: &Cluster) -> Result<bool> {
    let on = c.labels.get("auto_healing_enabled").is_some_and(|v| {
        matches!(
            v.trim().to_ascii_lowercase().as_str(),
            "true" | "1" | "yes" | "on" | "t" | "y"
        )
    });
    Ok(on && c.complete() && c.engine()? == Coe::Kubernetes && !health::is_health_delegated(c)?)
}

/// Starts a resize of all groups of workers to their current sizes. Does
/// nothing if another operation has started.
///
/// # Errors
/// Fails if the database or compute fails.
pub(crate) async fn resize_to_current_size(
    d: &ClustersDeps,
    lease: &Lease,
    c: &Cluster,
) -> Result<()> {
    let ctx = Ctx::for_project(kernel::ids::request_id(), &c.project_id);
    let infrastructure = Infrastructure::load(d, c).await?;
    db::fenced!(d.db, lease, |tx| {
        let Some(cluster) = table::lock(tx, &c.uuid).await? else {
            return Ok(());
        };
        if cluster.generation != c.generation {
            return Ok(());
        }
        db::mark(tx, KIND, &c.uuid).await?;
        let groups = nodegroup::table::of_cluster_tx(tx, &c.uuid).await?;
        let workers = groups.iter().filter(|g| !g.is_master());
        let resize = Resize {
            sizes: &workers.map(|g| (g.name.clone(), g.node_count)).collect(),
            leave: &[],
        };
        start_resize(tx, d, &ctx, cluster, &resize, &infrastructure).await
    })
}
