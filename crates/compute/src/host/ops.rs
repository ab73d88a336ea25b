//! Placing a server, and learning about the host.

use db::Tx;
use infra::HostInfo;
use kernel::{Kind, Result};

use super::model::{Ask, Ratios, candidates, no_valid_host};
use super::table;
use crate::Compute;
use crate::service::ComputeConfig;

/// Where a server goes.
#[derive(Debug)]
pub(crate) enum Placement {
    On(String),
    /// No host has ever answered.
    NoHost,
    /// None can take it; why.
    Full(String),
}

/// Claims a share of the best host.
///
/// # Errors
/// As the database.
pub(crate) async fn place(tx: &mut Tx, config: &ComputeConfig, ask: Ask) -> Result<Placement> {
    let ratios = Ratios {
        cpu: config.cpu_ratio,
        memory: config.memory_ratio,
    };
    let hosts = table::all(tx).await?;
    if hosts.is_empty() {
        return Ok(Placement::NoHost);
    }
    for host in candidates(hosts.clone(), ask, ratios) {
        if table::claim(tx, &host.name, ask, host.limits(ratios)).await? {
            return Ok(Placement::On(host.name));
        }
    }
    Ok(Placement::Full(no_valid_host(&hosts, ask, ratios)))
}

impl Compute {
    /// Asks the host what it can hold and writes it down.
    ///
    /// # Errors
    /// As the host and the database.
    pub(crate) async fn refresh_host(&self) -> Result<HostInfo> {
        let info = self.host.info().await?;
        let mut tx = self.db.begin().await?;
        match table::put(&mut tx, &info).await {
            Ok(()) => tx.commit().await?,
            // Another server was faster.
            Err(e) if e.kind == Kind::AlreadyExists => drop(tx),
            Err(e) => return Err(e),
        }
        Ok(info)
    }
}
