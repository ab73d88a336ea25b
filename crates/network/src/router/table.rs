//! SQL of routers and their interfaces.

use db::{Db, Tx, values};
use kernel::{Result, clock};

use crate::face::{NewRouter, Router, Status};

/// A router with the project that owns it.
pub(crate) struct Owned {
    pub project_id: String,
    pub router: Router,
}

pub(crate) async fn insert(tx: &mut Tx, new: &NewRouter, external: Option<&str>) -> Result<()> {
    tx.execute(
        "INSERT INTO router (id, project_id, name, external_network, created_at) VALUES (?, ?, ?, ?, ?)",
        values![
            &new.id,
            &new.project_id,
            &new.name,
            external,
            clock::now_micros()
        ],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn get(db: &Db, id: &str) -> Result<Option<Owned>> {
    let row = db
        .query_opt(
            "SELECT id, project_id, name, external_network FROM router WHERE id = ?",
            values![id],
        )
        .await?;
    row.map(|r| {
        Ok(Owned {
            project_id: r.text("project_id")?,
            router: Router {
                id: r.text("id")?,
                name: r.text("name")?,
                external_network: r.opt_text("external_network")?,
                status: Status::Active,
            },
        })
    })
    .transpose()
}

pub(crate) async fn add_interface(tx: &mut Tx, router: &str, subnet: &str) -> Result<()> {
    tx.execute(
        "INSERT INTO router_interface (router_id, subnet_id) VALUES (?, ?)",
        values![router, subnet],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn remove_interface(tx: &mut Tx, router: &str, subnet: &str) -> Result<()> {
    tx.execute(
        "DELETE FROM router_interface WHERE router_id = ? AND subnet_id = ?",
        values![router, subnet],
    )
    .await
    .map(|_| ())
}

/// Interfaces into a subnet that goes.
pub(crate) async fn drop_interfaces(tx: &mut Tx, subnet: &str) -> Result<()> {
    tx.execute(
        "DELETE FROM router_interface WHERE subnet_id = ?",
        values![subnet],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn drop_row(tx: &mut Tx, id: &str) -> Result<()> {
    tx.execute(
        "DELETE FROM router_interface WHERE router_id = ?",
        values![id],
    )
    .await?;
    tx.execute("DELETE FROM router WHERE id = ?", values![id])
        .await
        .map(|_| ())
}
