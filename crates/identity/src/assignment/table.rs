//! SQL of `role_assignment`, which has the roles of users, and of `group_assignment`.

use db::{Db, Row, Tx, Value, values};
use kernel::{DomainId, Result};

use super::{Actor, Assignment};
use crate::ids::RoleId;

/// The table of an actor's assignments, and its column with the actor.
fn place(actor: &Actor) -> (&'static str, &'static str) {
    match actor {
        Actor::User(_) => ("role_assignment", "user_id"),
        Actor::Group(_) => ("group_assignment", "group_id"),
    }
}

fn key(a: &Assignment) -> Vec<Value> {
    values![a.actor.id(), &a.kind, &a.target_id, &a.role_id]
}

/// Granting an existing grant succeeds.
pub(crate) async fn grant(tx: &mut Tx, a: &Assignment) -> Result<()> {
    let (table, actor) = place(&a.actor);
    let sql = format!(
        "SELECT role_id FROM {table} \
         WHERE {actor} = ? AND target_kind = ? AND target_id = ? AND role_id = ?"
    );
    if tx.query_opt(&sql, key(a)).await?.is_none() {
        let sql = format!(
            "INSERT INTO {table} ({actor}, target_kind, target_id, role_id) VALUES (?, ?, ?, ?)"
        );
        tx.execute(&sql, key(a)).await?;
    }
    Ok(())
}

pub(crate) async fn revoke(tx: &mut Tx, a: &Assignment) -> Result<u64> {
    let (table, actor) = place(&a.actor);
    let sql = format!(
        "DELETE FROM {table} \
         WHERE {actor} = ? AND target_kind = ? AND target_id = ? AND role_id = ?"
    );
    tx.execute(&sql, key(a)).await
}

/// Ids of the roles that are granted to an actor itself on a target.
pub(crate) async fn granted(
    db: &Db,
    actor: &Actor,
    kind: &str,
    target_id: &str,
) -> Result<Vec<RoleId>> {
    let (table, column) = place(actor);
    let sql = format!(
        "SELECT role_id FROM {table} WHERE {column} = ? AND target_kind = ? AND target_id = ?"
    );
    let found = db.query(&sql, values![actor.id(), kind, target_id]).await?;
    role_ids(&found)
}

/// Whether a group holds a role on anything.
pub(crate) async fn has_any(tx: &mut Tx, actor: &Actor) -> Result<bool> {
    let (table, column) = place(actor);
    let sql = format!("SELECT role_id FROM {table} WHERE {column} = ?");
    Ok(tx.query_opt(&sql, values![actor.id()]).await?.is_some())
}

/// Deletes all assignments of an actor.
pub(crate) async fn delete_of_actor(tx: &mut Tx, actor: &Actor) -> Result<()> {
    let (table, column) = place(actor);
    let sql = format!("DELETE FROM {table} WHERE {column} = ?");
    tx.execute(&sql, values![actor.id()]).await.map(|_| ())
}

/// Deletes all assignments on a project or domain.
pub(crate) async fn delete_on_target(tx: &mut Tx, target_id: &str) -> Result<()> {
    for table in ["role_assignment", "group_assignment"] {
        let sql = format!("DELETE FROM {table} WHERE target_id = ?");
        tx.execute(&sql, values![target_id]).await?;
    }
    Ok(())
}

/// Deletes all assignments of a role.
pub(crate) async fn delete_of_role(tx: &mut Tx, role_id: &str) -> Result<()> {
    for table in ["role_assignment", "group_assignment"] {
        let sql = format!("DELETE FROM {table} WHERE role_id = ?");
        tx.execute(&sql, values![role_id]).await?;
    }
    Ok(())
}

const HELD: &str = "SELECT role_id FROM role_assignment \
                    WHERE user_id = ? AND target_kind = ? AND target_id = ? \
                    UNION SELECT a.role_id FROM group_assignment a \
                    JOIN group_member m ON m.group_id = a.group_id \
                    WHERE m.user_id = ? AND a.target_kind = ? AND a.target_id = ?";

/// Ids of the roles that a user holds on a target, directly or by a group.
pub(crate) async fn held(
    db: &Db,
    user_id: &str,
    kind: &str,
    target_id: &str,
) -> Result<Vec<RoleId>> {
    role_ids(&db.query(HELD, held_by(user_id, kind, target_id)).await?)
}

/// As [`held`], as the transaction sees them.
pub(crate) async fn read_held(
    tx: &mut Tx,
    user_id: &str,
    kind: &str,
    target_id: &str,
) -> Result<Vec<RoleId>> {
    role_ids(&tx.query(HELD, held_by(user_id, kind, target_id)).await?)
}

fn held_by(user_id: &str, kind: &str, target_id: &str) -> Vec<Value> {
    values![user_id, kind, target_id, user_id, kind, target_id]
}

/// The assignments of an actor, for a user with those of the user's groups: a
/// `SELECT` of the target and the role of each, and its arguments.
fn select_all_of(actor: &Actor) -> (String, Vec<Value>) {
    let (table, column) = place(actor);
    let own = format!("SELECT target_kind, target_id, role_id FROM {table} WHERE {column} = ?");
    match actor {
        Actor::Group(id) => (own, values![id]),
        Actor::User(id) => (
            format!(
                "{own} UNION SELECT a.target_kind, a.target_id, a.role_id FROM group_assignment a \
                 JOIN group_member m ON m.group_id = a.group_id WHERE m.user_id = ?"
            ),
            values![id, id],
        ),
    }
}

/// The domains of the targets on which an actor holds roles, a user also by a group;
/// `None` for the system. A target that was deleted gives no access and has no domain.
pub(crate) async fn domains_of_targets(db: &Db, actor: &Actor) -> Result<Vec<Option<DomainId>>> {
    let (all, args) = select_all_of(actor);
    let sql = format!(
        "SELECT DISTINCT a.target_kind, p.id, p.domain_id FROM ({all}) a \
         LEFT JOIN project p ON p.id = a.target_id"
    );
    let mut domains = Vec::new();
    for row in db.query(&sql, args).await? {
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

/// Ids of the roles that an actor holds on anything, a user also by a group.
pub(crate) async fn held_anywhere(db: &Db, actor: &Actor) -> Result<Vec<RoleId>> {
    let (all, args) = select_all_of(actor);
    let sql = format!("SELECT DISTINCT a.role_id FROM ({all}) a");
    role_ids(&db.query(&sql, args).await?)
}

/// All assignments: those of users, then those of groups.
pub(crate) async fn list(db: &Db) -> Result<Vec<Assignment>> {
    let mut all = Vec::new();
    for (table, column, actor) in [
        (
            "role_assignment",
            "user_id",
            (|id| Actor::User(id.into())) as fn(String) -> Actor,
        ),
        ("group_assignment", "group_id", |id| Actor::Group(id.into())),
    ] {
        let sql = format!(
            "SELECT {column}, target_kind, target_id, role_id FROM {table} \
             ORDER BY {column}, target_id, role_id"
        );
        for row in db.query(&sql, vec![]).await? {
            all.push(Assignment {
                actor: actor(row.text(column)?),
                kind: row.text("target_kind")?,
                target_id: row.text("target_id")?,
                role_id: row.text("role_id")?.into(),
            });
        }
    }
    Ok(all)
}

fn role_ids(rows: &[Row]) -> Result<Vec<RoleId>> {
    rows.iter().map(|r| Ok(r.str("role_id")?.into())).collect()
}
