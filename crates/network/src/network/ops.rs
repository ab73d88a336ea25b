//! The network operations of the interface.

use async_trait::async_trait;
use db::Db;
use kernel::{Ctx, Error, Kind, Result};

use super::model::NetworkRow;
use super::{KIND, table};
use crate::access::{check_may_own, is_visible};
use crate::api::{Network, Networks, NewNetwork};
use crate::{NetworkId, NetworkService, subnet};

/// Id of the default external network, which is fixed so that it is inserted
/// only once.
pub const PUBLIC_ID: &str = "00000000-0000-4000-8000-000000000001";

/// Inserts the external network `public` if it is missing.
///
/// # Errors
/// Fails if the database fails.
pub async fn seed(db: &Db) -> Result<()> {
    let id = NetworkId::from(PUBLIC_ID);
    if table::get(db, &id).await?.is_some() {
        return Ok(());
    }
    let new = NewNetwork {
        id,
        name: "public".into(),
        external: true,
        ..NewNetwork::default()
    };
    match db::write!(db, |tx| table::insert(tx, &new).await) {
        // Another server inserted it concurrently.
        Err(e) if e.kind == Kind::AlreadyExists => Ok(()),
        done => done.map(|_| ()),
    }
}

impl NetworkService {
    async fn shown(&self, net: NetworkRow) -> Result<Network> {
        let subnets = subnet::table::of_network(&self.db, &net.id).await?;
        let ids = subnets.into_iter().filter(|s| !s.deleting);
        Ok(net.shown(ids.map(|s| s.id).collect()))
    }
}

#[async_trait]
impl Networks for NetworkService {
    async fn create(&self, ctx: &Ctx, new: NewNetwork) -> Result<Network> {
        check_may_own(ctx, &new.project_id)?;
        let made = db::write!(self.db, |tx| {
            db::check_generation(tx, KIND, &new.id, ctx.generation()).await?;
            table::insert(tx, &new).await
        });
        match made {
            Err(e) if e.kind == Kind::AlreadyExists => Networks::show(self, ctx, &new.id).await,
            made => Ok(made?.shown(vec![])),
        }
    }

    async fn show(&self, ctx: &Ctx, id: &NetworkId) -> Result<Network> {
        match table::get(&self.db, id).await? {
            Some(net) if net.is_external || is_visible(ctx, &net.project_id) => {
                self.shown(net).await
            }
            _ => Err(Error::not_found("Network", id)),
        }
    }

    async fn find(&self, ctx: &Ctx, id_or_name: &str) -> Result<Network> {
        match Networks::show(self, ctx, &id_or_name.into()).await {
            Err(e) if e.is_not_found() => {}
            found => return found,
        }
        let mut found = table::named(&self.db, id_or_name).await?;
        found.retain(|n| n.is_external || is_visible(ctx, &n.project_id));
        match (found.len(), found.pop()) {
            (1, Some(net)) => self.shown(net).await,
            (0, _) | (_, None) => Err(Error::not_found("Network", id_or_name)),
            (n, _) => Err(Error::conflict(format!(
                "network: {n} networks are named '{id_or_name}'; give the id"
            ))),
        }
    }

    async fn delete(&self, ctx: &Ctx, id: &NetworkId) -> Result<()> {
        match table::get(&self.db, id).await? {
            Some(net) if is_visible(ctx, &net.project_id) => {}
            Some(net) if net.is_external => {
                return Err(Error::forbidden(format!(
                    "network {} belongs to another project and cannot be deleted",
                    net.name
                )));
            }
            None if ctx.generation().is_some() => {}
            _ => return Ok(()),
        }
        db::write!(self.db, |tx| {
            db::mark_now(tx, KIND, id).await?;
            db::record_tombstone(tx, KIND, id, ctx.generation()).await?;
            table::begin_removal(tx, id, true).await
        })
    }
}
