//! SQL of `role_assignment`, which has the roles of users, of `group_assignment`, and of
//! the tables of inherited roles.

use db::{Db, Row, Tx, Value, values};
use kernel::{DomainId, ProjectId, Result};

use super::{Actor, Assignment, Candidates};
use crate::ids::RoleId;

/// All tables of assignments.
const TABLES: [&str; 4] = [
    "role_assignment",
    "group_assignment",
    "inherited_assignment",
    "inherited_group_assignment",
];

/// The table of an actor's assignments, and its column with the actor.
fn place(actor: &Actor, inherited: bool) -> (&'static str, &'static str) {
    match (actor, inherited) {
        (Actor::User(_), false) => ("role_assignment", "user_id"),
        (Actor::Group(_), false) => ("group_assignment", "group_id"),
        (Actor::User(_), true) => ("inherited_assignment", "user_id"),
        (Actor::Group(_), true) => ("inherited_group_assignment", "group_id"),
    }
}

fn key(a: &Assignment) -> Vec<Value> {
    values![a.actor.id(), &a.kind, &a.target_id, &a.role_id]
}

/// Granting an existing grant succeeds.
pub(crate) async fn grant(tx: &mut Tx, a: &Assignment) -> Result<()> {
    let (table, actor) = place(&a.actor, a.inherited);
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
    let (table, actor) = place(&a.actor, a.inherited);
    let sql = format!(
        "DELETE FROM {table} \
         WHERE {actor} = ? AND target_kind = ? AND target_id = ? AND role_id = ?"
    );
    tx.execute(&sql, key(a)).await
}

/// Ids of the roles that are granted to an actor itself on a target, either inherited or not.
pub(crate) async fn granted(
    db: &Db,
    actor: &Actor,
    (kind, target_id): (&str, &str),
    inherited: bool,
) -> Result<Vec<RoleId>> {
    let (table, column) = place(actor, inherited);
    let sql = format!(
        "SELECT role_id FROM {table} WHERE {column} = ? AND target_kind = ? AND target_id = ?"
    );
    let found = db.query(&sql, values![actor.id(), kind, target_id]).await?;
    role_ids(&found)
}

/// Whether a group holds a role on anything.
pub(crate) async fn has_any(tx: &mut Tx, actor: &Actor) -> Result<bool> {
    for inherited in [false, true] {
        let (table, column) = place(actor, inherited);
        let sql = format!("SELECT role_id FROM {table} WHERE {column} = ?");
        if tx.query_opt(&sql, values![actor.id()]).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Deletes all assignments of an actor.
pub(crate) async fn delete_of_actor(tx: &mut Tx, actor: &Actor) -> Result<()> {
    for inherited in [false, true] {
        let (table, column) = place(actor, inherited);
        let sql = format!("DELETE FROM {table} WHERE {column} = ?");
        tx.execute(&sql, values![actor.id()]).await?;
    }
    Ok(())
}

/// Deletes all assignments on a project or domain.
pub(crate) async fn delete_on_target(tx: &mut Tx, target_id: &str) -> Result<()> {
    for table in TABLES {
        let sql = format!("DELETE FROM {table} WHERE target_id = ?");
        tx.execute(&sql, values![target_id]).await?;
    }
    Ok(())
}

/// Deletes all assignments of a role.
pub(crate) async fn delete_of_role(tx: &mut Tx, role_id: &str) -> Result<()> {
    for table in TABLES {
        let sql = format!("DELETE FROM {table} WHERE role_id = ?");
        tx.execute(&sql, values![role_id]).await?;
    }
    Ok(())
}

/// The grants of a user on a target, directly or by a group.
const ON_TARGET: &str = "SELECT 'target' AS place, target_id, role_id FROM role_assignment \
     WHERE user_id = ? AND target_kind = ? AND target_id = ? \
     UNION SELECT 'target', a.target_id, a.role_id FROM group_assignment a \
     JOIN group_member m ON m.group_id = a.group_id \
     WHERE m.user_id = ? AND a.target_kind = ? AND a.target_id = ?";

/// All inherited grants of a user, directly or by a group.
const INHERITED: &str = "SELECT 'above' AS place, target_id, role_id FROM inherited_assignment \
     WHERE user_id = ? \
     UNION SELECT 'above', a.target_id, a.role_id FROM inherited_group_assignment a \
     JOIN group_member m ON m.group_id = a.group_id WHERE m.user_id = ?";

/// The grants that can give a user roles on a target.
pub(super) async fn candidates(
    db: &Db,
    user_id: &str,
    kind: &str,
    target_id: &str,
) -> Result<Candidates> {
    let (sql, args) = select_candidates(user_id, kind, target_id);
    read_rows(&db.query(&sql, args).await?)
}

/// As [`candidates`], as the transaction sees them.
pub(super) async fn read_candidates(
    tx: &mut Tx,
    user_id: &str,
    kind: &str,
    target_id: &str,
) -> Result<Candidates> {
    let (sql, args) = select_candidates(user_id, kind, target_id);
    read_rows(&tx.query(&sql, args).await?)
}

/// Only projects inherit roles.
fn select_candidates(user_id: &str, kind: &str, target_id: &str) -> (String, Vec<Value>) {
    let mut args = values![user_id, kind, target_id, user_id, kind, target_id];
    if kind != "project" {
        return (ON_TARGET.to_owned(), args);
    }
    args.extend(values![user_id, user_id]);
    (format!("{ON_TARGET} UNION {INHERITED}"), args)
}

fn read_rows(rows: &[Row]) -> Result<Candidates> {
    let mut found = Candidates::default();
    for row in rows {
        let role = row.str("role_id")?.into();
        if row.str("place")? == "target" {
            found.on_target.push(role);
        } else {
            found.inherited.push((row.str("target_id")?.into(), role));
        }
    }
    Ok(found)
}

/// The projects and domains from which a user inherits roles, each with the role.
pub(crate) async fn inherited(db: &Db, user_id: &str) -> Result<Vec<(ProjectId, RoleId)>> {
    let rows = db.query(INHERITED, values![user_id, user_id]).await?;
    Ok(read_rows(&rows)?.inherited)
}

/// The SQL condition that a column contains none of these ids, and its arguments.
pub(crate) fn and_not_in(column: &str, ids: &[RoleId]) -> (String, Vec<Value>) {
    if ids.is_empty() {
        return (String::new(), vec![]);
    }
    let marks = vec!["?"; ids.len()].join(", ");
    let args = ids.iter().map(Value::from).collect();
    (format!(" AND {column} NOT IN ({marks})"), args)
}

/// The assignments of an actor, for a user with those of the user's groups: a
/// `SELECT` of the target and the role of each, and its arguments.
fn select_all_of(actor: &Actor) -> (String, Vec<Value>) {
    let mut parts = Vec::new();
    let mut args = Vec::new();
    for (inherited, of_groups) in [
        (false, "group_assignment"),
        (true, "inherited_group_assignment"),
    ] {
        let (table, column) = place(actor, inherited);
        parts.push(format!(
            "SELECT target_kind, target_id, role_id FROM {table} WHERE {column} = ?"
        ));
        args.extend(values![actor.id()]);
        if let Actor::User(id) = actor {
            parts.push(format!(
                "SELECT a.target_kind, a.target_id, a.role_id FROM {of_groups} a \
                 JOIN group_member m ON m.group_id = a.group_id WHERE m.user_id = ?"
            ));
            args.extend(values![id]);
        }
    }
    (parts.join(" UNION "), args)
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
        if row.str("target_kind")? == "system" {
            domains.push(None);
            continue;
        }
        // A domain has no domain, also if it is used as a project.
        let domain = row.opt_text("domain_id")?.filter(|id| !id.is_empty());
        let domain = match domain {
            Some(id) => Some(id),
            None => row.opt_text("id")?,
        };
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

/// All assignments: those of users, then those of groups, then the inherited ones.
pub(crate) async fn list(db: &Db) -> Result<Vec<Assignment>> {
    let user: fn(String) -> Actor = |id| Actor::User(id.into());
    let group: fn(String) -> Actor = |id| Actor::Group(id.into());
    let mut all = Vec::new();
    for (table, column, actor, inherited) in [
        ("role_assignment", "user_id", user, false),
        ("group_assignment", "group_id", group, false),
        ("inherited_assignment", "user_id", user, true),
        ("inherited_group_assignment", "group_id", group, true),
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
                inherited,
                role_id: row.text("role_id")?.into(),
            });
        }
    }
    Ok(all)
}

fn role_ids(rows: &[Row]) -> Result<Vec<RoleId>> {
    rows.iter().map(|r| Ok(r.str("role_id")?.into())).collect()
}
