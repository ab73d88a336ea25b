//! Placement of servers, and refreshing the host row.

use async_trait::async_trait;
use db::Tx;
use infra::{HostInfo, Isolation, OfferedIsolation};
use kernel::{Error, Kind, Result};

use super::model::{
    Engine, Identity, Ratios, ResourceRequest, candidates, identify, no_valid_host,
};
use super::table;
use crate::Compute;
use crate::api::Hosts;
use crate::config::ComputeConfig;

/// Result of a placement.
#[derive(Debug)]
pub(crate) enum Placement {
    On(String),
    /// No host has registered yet.
    NoHost,
    /// No host has sufficient capacity; the text gives the reason.
    Full(String),
}

/// Claims capacity on the best host.
///
/// # Errors
/// Fails if the database fails.
pub(crate) async fn place(
    tx: &mut Tx,
    config: &ComputeConfig,
    resource_request: ResourceRequest,
) -> Result<Placement> {
    let ratios = Ratios {
        cpu: config.cpu_ratio,
        memory: config.memory_ratio,
    };
    let hosts = table::all(tx).await?;
    if hosts.is_empty() {
        return Ok(Placement::NoHost);
    }
    for host in candidates(hosts.clone(), resource_request, ratios) {
        if table::claim(tx, &host.name, resource_request, host.limits(ratios)).await? {
            return Ok(Placement::On(host.name));
        }
    }
    Ok(Placement::Full(no_valid_host(
        &hosts,
        resource_request,
        ratios,
    )))
}

impl Compute {
    /// Reads the capacity of the host and stores it.
    ///
    /// # Errors
    /// As the host and the database; `Conflict` if it is a different engine
    /// than the one with our objects.
    pub(crate) async fn refresh_host(&self) -> Result<()> {
        let info = self.host.info().await?;
        let written = db::write!(self.db, |tx| record_host(tx, &info).await);
        let refused = match written {
            Ok(refused) => refused,
            // Another server stored the same engine concurrently.
            Err(e) if e.kind == Kind::AlreadyExists => None,
            Err(e) => return Err(e),
        };
        match refused {
            None => {
                self.engine.send_replace(Engine::Confirmed);
                Ok(())
            }
            Some(why) => {
                self.engine.send_replace(Engine::Refused(why.clone()));
                Err(Error::conflict(why))
            }
        }
    }

    /// Verifies that the engine is ours before any operation on it.
    ///
    /// # Errors
    /// Same errors as [`Compute::refresh_host`].
    pub(crate) async fn confirm_engine(&self) -> Result<()> {
        let known = self.engine.borrow().clone();
        match known {
            Engine::Confirmed => Ok(()),
            Engine::Unknown => self.refresh_host().await,
            Engine::Refused(why) => Err(Error::conflict(why)),
        }
    }
}

#[async_trait]
impl Hosts for Compute {
    /// A host that lacks something is asked again, because an operator may have
    /// added it since.
    async fn isolation(&self) -> Result<OfferedIsolation> {
        let full = |offered: &OfferedIsolation| offered.level == Isolation::UserNamespace;
        if let Some(offered) = table::offered(&self.db).await?.into_iter().find(full) {
            return Ok(offered);
        }
        let refreshed = self.refresh_host().await;
        let known = table::offered(&self.db).await?;
        if let Some(offered) = known.iter().find(|o| full(o)) {
            return Ok(offered.clone());
        }
        // A row of an earlier release says neither what the host offers nor why.
        if let Some(offered) = known.into_iter().find(|o| o.missing.is_some()) {
            return Ok(offered);
        }
        refreshed?;
        Err(Error::unavailable(
            "no container host has answered yet, so the isolation level of nodes is unknown",
        ))
    }
}

/// Stores the host, and returns the reason if the engine is refused.
async fn record_host(tx: &mut Tx, info: &HostInfo) -> Result<Option<String>> {
    let (hosts, used) = (table::all(tx).await?, table::in_use(tx).await?);
    match identify(&hosts, &used, info) {
        Identity::Known(name) => table::update(tx, &name, info).await.map(|()| None),
        Identity::New(unused) => {
            for name in unused {
                table::drop_row(tx, &name).await?;
            }
            table::insert(tx, info).await.map(|()| None)
        }
        Identity::Refused(why) => Ok(Some(why)),
    }
}
