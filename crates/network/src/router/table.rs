//! SQL of routers and their interfaces.

use db::{Db, Table as _, Tx, values};
use kernel::{ProjectId, Result, Timestamp, clock};

use crate::api::{NewRouter, Router, Status};
use crate::{NetworkId, RouterId, SubnetId};

db::table! {
    /// A row of a router.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct RouterRow in "router" {
        pub id: RouterId,
        pub project_id: ProjectId,
        pub name: String,
        pub external_network: Option<NetworkId>,
        pub created_at: Timestamp,
    }
}

db::table! {
    /// A row of a router interface.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct InterfaceRow in "router_interface" {
        pub router_id: RouterId,
        pub subnet_id: SubnetId,
    }
}

impl RouterRow {
    pub(super) fn shown(self) -> Router {
        Router {
            id: self.id,
            name: self.name,
            external_network: self.external_network,
            status: Status::Active,
        }
    }
}

pub(crate) async fn insert(
    tx: &mut Tx,
    new: &NewRouter,
    external: Option<NetworkId>,
) -> Result<()> {
    let row = RouterRow {
        id: new.id.clone(),
        project_id: new.project_id.clone(),
        name: new.name.clone(),
        external_network: external,
        created_at: clock::now(),
    };
    row.insert(tx).await
}

pub(crate) async fn get(db: &Db, id: &RouterId) -> Result<Option<RouterRow>> {
    let sql = format!("{} WHERE id = ?", RouterRow::select());
    let row = db.query_opt(&sql, values![id]).await?;
    row.as_ref().map(RouterRow::read).transpose()
}

pub(crate) async fn add_interface(tx: &mut Tx, router: &RouterId, subnet: &SubnetId) -> Result<()> {
    let row = InterfaceRow {
        router_id: router.clone(),
        subnet_id: subnet.clone(),
    };
    row.insert(tx).await
}

pub(crate) async fn remove_interface(
    tx: &mut Tx,
    router: &RouterId,
    subnet: &SubnetId,
) -> Result<()> {
    tx.execute(
        "DELETE FROM router_interface WHERE router_id = ? AND subnet_id = ?",
        values![router, subnet],
    )
    .await
    .map(|_| ())
}

/// Deletes the interfaces of a deleted subnet.
pub(crate) async fn drop_interfaces(tx: &mut Tx, subnet: &SubnetId) -> Result<()> {
    tx.execute(
        "DELETE FROM router_interface WHERE subnet_id = ?",
        values![subnet],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn drop_row(tx: &mut Tx, id: &RouterId) -> Result<()> {
    tx.execute(
        "DELETE FROM router_interface WHERE router_id = ?",
        values![id],
    )
    .await?;
    tx.execute("DELETE FROM router WHERE id = ?", values![id])
        .await
        .map(|_| ())
}
