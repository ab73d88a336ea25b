//! Placing a server, and learning about the host.

use db::Tx;
use infra::HostInfo;
use kernel::{Error, Kind, Result};

use super::model::{Ask, Identity, Ratios, candidates, identify, no_valid_host};
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

/// What this process knows about the engine that it is connected to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Engine {
    /// Not asked since the connection was made.
    #[default]
    Unknown,
    /// It is the one that holds the objects of this database.
    Confirmed,
    /// It is another one; why that was concluded.
    Refused(String),
}

impl Compute {
    /// Asks the host what it can hold and writes it down.
    ///
    /// # Errors
    /// As the host and the database; `Conflict` where it is
    /// another engine than the one that holds our objects.
    pub(crate) async fn refresh_host(&self) -> Result<()> {
        let info = self.host.info().await?;
        let written = db::write!(self.db, |tx| write_down(tx, &info).await);
        let refused = match written {
            Ok(refused) => refused,
            // Another server was faster, and asked the same engine.
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

    /// Nothing is done on an engine before it is known to be ours.
    ///
    /// # Errors
    /// As [`Compute::refresh_host`].
    pub(crate) async fn confirm_engine(&self) -> Result<()> {
        let known = self.engine.borrow().clone();
        match known {
            Engine::Confirmed => Ok(()),
            Engine::Unknown => self.refresh_host().await,
            Engine::Refused(why) => Err(Error::conflict(why)),
        }
    }
}

/// Answers why the engine is refused, if it is.
async fn write_down(tx: &mut Tx, info: &HostInfo) -> Result<Option<String>> {
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
