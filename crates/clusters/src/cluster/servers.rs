//! The servers of a cluster as compute reports them.

use compute::api::{Server, ServerStatus};
use kernel::{Ctx, Result};

use super::model::Cluster;
use crate::ClustersDeps;
use crate::coe::Coe;
use crate::coe::kubernetes::networks::Networks;
use crate::kube;

/// All servers of the stack of the cluster.
///
/// # Errors
/// Fails if compute fails.
pub(crate) async fn of_cluster(d: &ClustersDeps, ctx: &Ctx, c: &Cluster) -> Result<Vec<Server>> {
    let owner = orchestration::api::owner_of_resources(&c.stack_id);
    d.compute.servers.of_owner(ctx, &owner).await
}

/// Names of servers whose containers do not run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unavailable {
    /// Servers in error, which have to be replaced.
    pub(crate) in_error: Vec<String>,
    /// All servers that do not run, including those.
    pub(crate) not_running: Vec<String>,
}

impl Unavailable {
    /// # Errors
    /// Fails if compute fails.
    pub(crate) async fn load(d: &ClustersDeps, c: &Cluster) -> Result<Self> {
        let ctx = Ctx::for_project(kernel::ids::request_id(), &c.project_id);
        let servers = of_cluster(d, &ctx, c).await?;
        let named = |all: &[ServerStatus]| -> Vec<String> {
            let of = |s: &&Server| all.contains(&s.status);
            servers.iter().filter(of).map(|s| s.name.clone()).collect()
        };
        let (stopped, error) = (ServerStatus::Shutoff, ServerStatus::Error);
        Ok(Self {
            in_error: named(&[error]),
            not_running: named(&[stopped, error]),
        })
    }
}

/// The networks and the unavailable servers of a Kubernetes cluster, on which a
/// change of its nodes depends; empty for a swarm.
#[derive(Debug, Clone, Default)]
pub(crate) struct Infrastructure {
    pub(crate) networks: Option<Networks>,
    pub(crate) servers: Unavailable,
}

impl Infrastructure {
    /// # Errors
    /// Fails if the database or compute fails.
    pub(crate) async fn load(d: &ClustersDeps, c: &Cluster) -> Result<Self> {
        if c.engine()? != Coe::Kubernetes {
            return Ok(Self::default());
        }
        let kube = kube::table::load(&d.db, &c.uuid).await?;
        Ok(Self {
            networks: Some(kube.networks),
            servers: Unavailable::load(d, c).await?,
        })
    }
}
