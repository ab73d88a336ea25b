//! SQL of `identity_region`, `identity_service` and `identity_endpoint`.

use db::{Column as _, Db, Table, Tx, values};
use kernel::Result;

use super::{Endpoint, Region, Service};

db::columns! {
    Region in "identity_region" { id, description, parent_region_id, extra }
}

db::columns! {
    Service in "identity_service" { id, kind = "type", name, description, enabled, extra }
}

db::columns! {
    Endpoint in "identity_endpoint" {
        id, service_id, region_id, interface, url, enabled, extra,
    }
}

async fn by_id<T: Table>(db: &Db, id: &str) -> Result<Option<T>> {
    let sql = format!("{} WHERE id = ?", T::select());
    let row = db.query_opt(&sql, values![id]).await?;
    row.as_ref().map(T::read).transpose()
}

async fn read_by_id<T: Table>(tx: &mut Tx, id: &str) -> Result<Option<T>> {
    let sql = format!("{} WHERE id = ?", T::select());
    let row = tx.query_opt(&sql, values![id]).await?;
    row.as_ref().map(T::read).transpose()
}

async fn list<T: Table>(db: &Db, order: &str) -> Result<Vec<T>> {
    let sql = format!("{} ORDER BY {order}", T::select());
    db.query(&sql, vec![]).await?.iter().map(T::read).collect()
}

pub(crate) async fn region(db: &Db, id: &str) -> Result<Option<Region>> {
    by_id(db, id).await
}

pub(crate) async fn regions(db: &Db) -> Result<Vec<Region>> {
    list(db, "id").await
}

pub(crate) async fn read_regions(tx: &mut Tx) -> Result<Vec<Region>> {
    let rows = tx.query(&Region::select(), vec![]).await?;
    rows.iter().map(Region::read).collect()
}

pub(crate) async fn update_region(tx: &mut Tx, r: &Region) -> Result<()> {
    tx.execute(
        "UPDATE identity_region SET description = ?, parent_region_id = ?, extra = ? WHERE id = ?",
        values![
            &r.description,
            r.parent_region_id.clone(),
            r.extra.value()?,
            &r.id
        ],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn delete_region(tx: &mut Tx, id: &str) -> Result<()> {
    tx.execute("DELETE FROM identity_region WHERE id = ?", values![id])
        .await
        .map(|_| ())
}

/// Whether an endpoint is in a region.
pub(crate) async fn has_endpoints(tx: &mut Tx, region_id: &str) -> Result<bool> {
    let sql = "SELECT id FROM identity_endpoint WHERE region_id = ?";
    Ok(tx.query_opt(sql, values![region_id]).await?.is_some())
}

pub(crate) async fn service(db: &Db, id: &str) -> Result<Option<Service>> {
    by_id(db, id).await
}

pub(crate) async fn services(db: &Db) -> Result<Vec<Service>> {
    list(db, "type, name, id").await
}

pub(crate) async fn read_service(tx: &mut Tx, id: &str) -> Result<Option<Service>> {
    read_by_id(tx, id).await
}

pub(crate) async fn update_service(tx: &mut Tx, s: &Service) -> Result<()> {
    tx.execute(
        "UPDATE identity_service SET type = ?, name = ?, description = ?, enabled = ?, extra = ? \
         WHERE id = ?",
        values![
            &s.kind,
            &s.name,
            s.description.clone(),
            s.enabled,
            s.extra.value()?,
            &s.id
        ],
    )
    .await
    .map(|_| ())
}

/// Deletes a service with its endpoints.
pub(crate) async fn delete_service(tx: &mut Tx, id: &str) -> Result<u64> {
    tx.execute(
        "DELETE FROM identity_endpoint WHERE service_id = ?",
        values![id],
    )
    .await?;
    tx.execute("DELETE FROM identity_service WHERE id = ?", values![id])
        .await
}

pub(crate) async fn endpoint(db: &Db, id: &str) -> Result<Option<Endpoint>> {
    by_id(db, id).await
}

pub(crate) async fn endpoints(db: &Db) -> Result<Vec<Endpoint>> {
    list(db, "id").await
}

pub(crate) async fn read_endpoint(tx: &mut Tx, id: &str) -> Result<Option<Endpoint>> {
    read_by_id(tx, id).await
}

pub(crate) async fn update_endpoint(tx: &mut Tx, e: &Endpoint) -> Result<()> {
    tx.execute(
        "UPDATE identity_endpoint SET service_id = ?, region_id = ?, interface = ?, url = ?, \
         enabled = ?, extra = ? WHERE id = ?",
        values![
            &e.service_id,
            e.region_id.clone(),
            &e.interface,
            &e.url,
            e.enabled,
            e.extra.value()?,
            &e.id
        ],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn delete_endpoint(tx: &mut Tx, id: &str) -> Result<u64> {
    tx.execute("DELETE FROM identity_endpoint WHERE id = ?", values![id])
        .await
}
