//! SQL of `identity_role`, which has the roles of no domain, of `identity_domain_role`, and
//! of `implied_role`.

use db::{Column as _, Db, Row, Table as _, Tx, values};
use kernel::Result;

use super::Role;
use crate::ids::RoleId;

db::columns! {
    Role in "identity_domain_role" { id, name, domain_id, description, options, extra }
}

const GLOBAL: &str =
    "SELECT id, name, NULL AS domain_id, description, options, extra FROM identity_role";

/// Selects the roles of all domains and of none.
fn select_all() -> String {
    format!("{} UNION ALL {GLOBAL}", Role::select())
}

/// Stores a new role.
pub(crate) async fn insert(tx: &mut Tx, role: &Role) -> Result<()> {
    if role.domain_id.is_some() {
        return role.insert(tx).await;
    }
    tx.execute(
        "INSERT INTO identity_role (id, name, description, options, extra) VALUES (?, ?, ?, ?, ?)",
        values![
            &role.id,
            &role.name,
            &role.description,
            role.options.value()?,
            role.extra.value()?
        ],
    )
    .await
    .map(|_| ())
}

/// Deletes a role, without its assignments.
pub(crate) async fn delete(tx: &mut Tx, id: &str) -> Result<()> {
    tx.execute(
        "DELETE FROM implied_role WHERE prior_id = ? OR implied_id = ?",
        values![id, id],
    )
    .await?;
    for table in ["identity_role", "identity_domain_role"] {
        let sql = format!("DELETE FROM {table} WHERE id = ?");
        tx.execute(&sql, values![id]).await?;
    }
    Ok(())
}

/// All roles by name, also those of domains.
pub(crate) async fn list(db: &Db) -> Result<Vec<Role>> {
    let sql = format!("{} ORDER BY name, id", select_all());
    let rows = db.query(&sql, vec![]).await?;
    rows.iter().map(Role::read).collect()
}

/// The ids of the roles of a domain, in the order of their locks.
pub(crate) async fn ids_in_domain(tx: &mut Tx, domain_id: &str) -> Result<Vec<RoleId>> {
    let sql = "SELECT id FROM identity_domain_role WHERE domain_id = ? ORDER BY id";
    let rows = tx.query(sql, values![domain_id]).await?;
    rows.iter().map(|r| Ok(r.str("id")?.into())).collect()
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
        "SELECT {columns}, i.implied_id FROM ({}) r LEFT JOIN implied_role i \
         ON i.prior_id = r.id ORDER BY r.name, r.id",
        select_all()
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
    let table = match r.domain_id {
        Some(_) => "identity_domain_role",
        None => "identity_role",
    };
    let sql = format!(
        "UPDATE {table} SET name = ?, description = ?, options = ?, extra = ? WHERE id = ?"
    );
    tx.execute(
        &sql,
        values![
            &r.name,
            &r.description,
            r.options.value()?,
            r.extra.value()?,
            &r.id
        ],
    )
    .await
}

/// A role, locked until the transaction ends.
pub(crate) async fn lock(tx: &mut Tx, id: &str) -> Result<Option<Role>> {
    // Databases do not lock the rows of a union.
    for select in [GLOBAL, &Role::select()] {
        let sql = format!("{select} WHERE id = ?");
        if let Some(row) = tx.lock_opt(&sql, values![id]).await? {
            return Role::read(&row).map(Some);
        }
    }
    Ok(None)
}

/// Whether another role of the same domain, or of no domain, has this name, in any case.
pub(crate) async fn has_similar(tx: &mut Tx, r: &Role) -> Result<bool> {
    let row = match &r.domain_id {
        Some(domain) => {
            let sql = "SELECT id FROM identity_domain_role \
                       WHERE domain_id = ? AND LOWER(name) = LOWER(?) AND id <> ?";
            tx.query_opt(sql, values![domain, &r.name, &r.id]).await?
        }
        None => {
            let sql = "SELECT id FROM identity_role WHERE LOWER(name) = LOWER(?) AND id <> ?";
            tx.query_opt(sql, values![&r.name, &r.id]).await?
        }
    };
    Ok(row.is_some())
}
