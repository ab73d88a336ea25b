//! SQL of `identity_role` and `implied_role`.

use db::{Column as _, Db, Row, Table as _, Tx, values};
use kernel::Result;

use super::Role;
use crate::ids::RoleId;

db::columns! {
    Role in "identity_role" { id, name, description, options }
}

/// Deletes a role, without its assignments.
pub(crate) async fn delete(tx: &mut Tx, id: &str) -> Result<u64> {
    tx.execute(
        "DELETE FROM implied_role WHERE prior_id = ? OR implied_id = ?",
        values![id, id],
    )
    .await?;
    tx.execute("DELETE FROM identity_role WHERE id = ?", values![id])
        .await
}

pub(crate) async fn list(db: &Db) -> Result<Vec<Role>> {
    let rows = db
        .query(&format!("{} ORDER BY name", Role::select()), vec![])
        .await?;
    rows.iter().map(Role::read).collect()
}

pub(crate) async fn imply(tx: &mut Tx, prior: &str, implied: &str) -> Result<()> {
    tx.execute(
        "INSERT INTO implied_role (prior_id, implied_id) VALUES (?, ?)",
        values![prior, implied],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn imply_no_longer(tx: &mut Tx, prior: &str, implied: &str) -> Result<u64> {
    tx.execute(
        "DELETE FROM implied_role WHERE prior_id = ? AND implied_id = ?",
        values![prior, implied],
    )
    .await
}

/// Roles, and the pairs of a role and one that it implies.
pub(crate) type RolesAndImplied = (Vec<Role>, Vec<(RoleId, RoleId)>);

/// All roles by name, and the pairs of a role and one that it implies, in one
/// query.
pub(crate) async fn list_with_implied(db: &Db) -> Result<RolesAndImplied> {
    read_with_implied(&db.query(&select_with_implied(), vec![]).await?)
}

/// As [`list_with_implied`], as the transaction sees them.
pub(crate) async fn read_all_with_implied(tx: &mut Tx) -> Result<RolesAndImplied> {
    read_with_implied(&tx.query(&select_with_implied(), vec![]).await?)
}

fn select_with_implied() -> String {
    let columns = Role::COLUMNS.iter().map(|column| format!("r.{column}"));
    let columns = columns.collect::<Vec<_>>().join(", ");
    format!(
        "SELECT {columns}, i.implied_id FROM {} r LEFT JOIN implied_role i \
         ON i.prior_id = r.id ORDER BY r.name",
        Role::TABLE
    )
}

fn read_with_implied(rows: &[Row]) -> Result<RolesAndImplied> {
    let (mut roles, mut implied) = (Vec::<Role>::new(), Vec::new());
    for row in rows {
        let id = row.str("id")?;
        if let Some(next) = row.opt_text("implied_id")? {
            implied.push((id.into(), next.into()));
        }
        // A role has a row for each role that it implies.
        if roles.last().is_none_or(|last| last.id != *id) {
            roles.push(Role::read(row)?);
        }
    }
    Ok((roles, implied))
}

pub(crate) async fn update(tx: &mut Tx, r: &Role) -> Result<u64> {
    tx.execute(
        "UPDATE identity_role SET name = ?, description = ?, options = ? WHERE id = ?",
        values![&r.name, &r.description, r.options.value()?, &r.id],
    )
    .await
}

/// A role, locked until the transaction ends.
pub(crate) async fn lock(tx: &mut Tx, id: &str) -> Result<Option<Role>> {
    let sql = format!("{} WHERE id = ?", Role::select());
    let row = tx.lock_opt(&sql, values![id]).await?;
    row.as_ref().map(Role::read).transpose()
}

/// Whether another role has this name, in any case.
pub(crate) async fn has_similar(tx: &mut Tx, r: &Role) -> Result<bool> {
    let sql = "SELECT id FROM identity_role WHERE LOWER(name) = LOWER(?) AND id <> ?";
    let row = tx.query_opt(sql, values![&r.name, &r.id]).await?;
    Ok(row.is_some())
}
