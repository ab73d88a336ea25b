//! SQL of `identity_role`, `implied_role` and `role_assignment`.

use db::{Column as _, Db, Row, Table as _, Tx, values};
use kernel::{DomainId, Result};

use super::{Assignment, Role};
use crate::ids::RoleId;

db::columns! {
    Role in "identity_role" { id, name, description, options }
}

db::columns! {
    Assignment in "role_assignment" { user_id, kind = "target_kind", target_id, role_id }
}

pub(crate) async fn delete(tx: &mut Tx, id: &str) -> Result<u64> {
    tx.execute("DELETE FROM role_assignment WHERE role_id = ?", values![id])
        .await?;
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

/// Granting an existing grant succeeds.
pub(crate) async fn grant(tx: &mut Tx, a: &Assignment) -> Result<()> {
    if granted(tx, a).await? == 0 {
        a.insert(tx).await?;
    }
    Ok(())
}

async fn granted(tx: &mut Tx, a: &Assignment) -> Result<usize> {
    let rows = tx
        .query(
            "SELECT role_id FROM role_assignment WHERE user_id = ? AND target_kind = ? AND target_id = ? AND role_id = ?",
            values![&a.user_id, &a.kind, &a.target_id, &a.role_id],
        )
        .await?;
    Ok(rows.len())
}

pub(crate) async fn revoke(tx: &mut Tx, a: &Assignment) -> Result<u64> {
    tx.execute(
        "DELETE FROM role_assignment WHERE user_id = ? AND target_kind = ? AND target_id = ? AND role_id = ?",
        values![&a.user_id, &a.kind, &a.target_id, &a.role_id],
    )
    .await
}

const HELD: &str = "SELECT role_id FROM role_assignment \
                    WHERE user_id = ? AND target_kind = ? AND target_id = ?";

/// Ids of the roles that a user holds directly on a target.
pub(crate) async fn held(
    db: &Db,
    user_id: &str,
    kind: &str,
    target_id: &str,
) -> Result<Vec<RoleId>> {
    role_ids(&db.query(HELD, values![user_id, kind, target_id]).await?)
}

/// As [`held`], as the transaction sees them.
pub(crate) async fn read_held(
    tx: &mut Tx,
    user_id: &str,
    kind: &str,
    target_id: &str,
) -> Result<Vec<RoleId>> {
    role_ids(&tx.query(HELD, values![user_id, kind, target_id]).await?)
}

fn role_ids(rows: &[Row]) -> Result<Vec<RoleId>> {
    rows.iter().map(|r| Ok(r.str("role_id")?.into())).collect()
}

/// The domains of the targets on which a user holds roles; `None` for the system. A
/// target that was deleted gives no access and has no domain.
pub(crate) async fn domains_of_targets(db: &Db, user_id: &str) -> Result<Vec<Option<DomainId>>> {
    let sql = "SELECT DISTINCT a.target_kind, p.id, p.domain_id FROM role_assignment a \
               LEFT JOIN project p ON p.id = a.target_id WHERE a.user_id = ?";
    let mut domains = Vec::new();
    for row in db.query(sql, values![user_id]).await? {
        let column = match row.str("target_kind")? {
            "system" => {
                domains.push(None);
                continue;
            }
            "domain" => "id",
            _ => "domain_id",
        };
        let domain = row.opt_text(column)?;
        domains.extend(domain.map(|id| Some(id.into())));
    }
    Ok(domains)
}

/// Ids of the roles that a user holds on anything.
pub(crate) async fn held_anywhere(db: &Db, user_id: &str) -> Result<Vec<RoleId>> {
    let sql = "SELECT DISTINCT role_id FROM role_assignment WHERE user_id = ?";
    role_ids(&db.query(sql, values![user_id]).await?)
}

pub(crate) async fn assignments(db: &Db) -> Result<Vec<Assignment>> {
    let rows = db
        .query(
            &format!(
                "{} ORDER BY user_id, target_id, role_id",
                Assignment::select()
            ),
            vec![],
        )
        .await?;
    rows.iter().map(Assignment::read).collect()
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
