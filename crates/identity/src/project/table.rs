//! SQL of `project`.

use db::{Column as _, Db, Row, Table as _, Tx, values};
use kernel::{ProjectId, Result};

use super::{MAX_DEPTH, Project};
use crate::assignment::table::and_not_in;
use crate::ids::RoleId;

db::columns! {
    Project in "project" {
        id, name, domain_id, parent_id, is_domain, enabled, description, options, extra,
        tokens_after, tags,
    }
}

pub(crate) async fn update(tx: &mut Tx, p: &Project) -> Result<u64> {
    tx.execute(
        "UPDATE project SET name = ?, enabled = ?, description = ?, options = ?, extra = ?, \
         tokens_after = ?, tags = ? WHERE id = ?",
        values![
            &p.name,
            p.enabled,
            &p.description,
            p.options.value()?,
            p.extra.value()?,
            p.tokens_after,
            p.tags.value()?,
            &p.id
        ],
    )
    .await
}

/// A project or domain, locked until the transaction ends.
pub(crate) async fn lock(tx: &mut Tx, id: &str) -> Result<Option<Project>> {
    let sql = format!("{} WHERE id = ?", Project::select());
    let row = tx.lock_opt(&sql, values![id]).await?;
    row.as_ref().map(Project::read).transpose()
}

/// A project or domain, as the transaction sees it.
pub(crate) async fn read(tx: &mut Tx, id: &str) -> Result<Option<Project>> {
    let sql = format!("{} WHERE id = ?", Project::select());
    let row = tx.query_opt(&sql, values![id]).await?;
    row.as_ref().map(Project::read).transpose()
}

/// The projects directly below a project.
pub(crate) async fn children(tx: &mut Tx, id: &str) -> Result<Vec<Project>> {
    let sql = format!("{} WHERE parent_id = ?", Project::select());
    let rows = tx.query(&sql, values![id]).await?;
    rows.iter().map(Project::read).collect()
}

/// The ids of the projects of a domain, in the order of their locks.
pub(crate) async fn ids_in_domain(tx: &mut Tx, domain_id: &str) -> Result<Vec<ProjectId>> {
    let sql = "SELECT id FROM project WHERE domain_id = ? ORDER BY id";
    let rows = tx.query(sql, values![domain_id]).await?;
    rows.iter().map(|r| Ok(r.str("id")?.into())).collect()
}

/// Whether another project of the domain, or another domain, has this name, in
/// any case.
pub(crate) async fn has_similar(tx: &mut Tx, p: &Project) -> Result<bool> {
    let row = tx
        .query_opt(
            "SELECT id FROM project WHERE domain_id = ? AND LOWER(name) = LOWER(?) AND id <> ?",
            values![&p.domain_id, &p.name, &p.id],
        )
        .await?;
    Ok(row.is_some())
}

/// Deletes a project with its application credentials, without the assignments on it.
pub(crate) async fn delete(tx: &mut Tx, id: &str) -> Result<u64> {
    tx.execute(
        "DELETE FROM app_credential WHERE project_id = ?",
        values![id],
    )
    .await?;
    tx.execute("DELETE FROM project WHERE id = ?", values![id])
        .await
}

pub(crate) async fn by_id(db: &Db, id: &str) -> Result<Option<Project>> {
    let row = db
        .query_opt(&format!("{} WHERE id = ?", Project::select()), values![id])
        .await?;
    row.as_ref().map(Project::read).transpose()
}

/// `domain_id` is empty for domains.
pub(crate) async fn by_name(db: &Db, domain_id: &str, name: &str) -> Result<Option<Project>> {
    let row = db
        .query_opt(
            &format!("{} WHERE domain_id = ? AND name = ?", Project::select()),
            values![domain_id, name],
        )
        .await?;
    row.as_ref().map(Project::read).transpose()
}

pub(crate) async fn list(db: &Db) -> Result<Vec<Project>> {
    let rows = db
        .query(&format!("{} ORDER BY name, id", Project::select()), vec![])
        .await?;
    rows.iter().map(Project::read).collect()
}

/// The ids of the domain of a project and of the projects above it.
pub(crate) async fn above(db: &Db, id: &str) -> Result<Vec<ProjectId>> {
    let sql = select_above("p0.id = ?");
    let row = db.query_opt(&sql, values![id]).await?;
    row.as_ref().map_or_else(|| Ok(vec![]), read_row_above)
}

/// As [`above`], as the transaction sees them.
pub(crate) async fn read_above(tx: &mut Tx, id: &str) -> Result<Vec<ProjectId>> {
    let sql = select_above("p0.id = ?");
    let row = tx.query_opt(&sql, values![id]).await?;
    row.as_ref().map_or_else(|| Ok(vec![]), read_row_above)
}

/// The projects in which a user has application credentials, each with what is above it.
pub(crate) async fn above_credentials(
    tx: &mut Tx,
    user_id: &str,
) -> Result<Vec<(ProjectId, Vec<ProjectId>)>> {
    let sql = select_above("p0.id IN (SELECT project_id FROM app_credential WHERE user_id = ?)");
    let rows = tx.query(&sql, values![user_id]).await?;
    rows.iter()
        .map(|r| Ok((r.str("id")?.into(), read_row_above(r)?)))
        .collect()
}

/// Selects projects with the ids of what is above them, as far as a hierarchy can reach.
fn select_above(condition: &str) -> String {
    let mut columns = String::from("p0.id, p0.domain_id");
    let mut joins = String::new();
    for n in 0..MAX_DEPTH {
        columns.push_str(&format!(", p{n}.parent_id AS above_{n}"));
        if n > 0 {
            let below = n - 1;
            joins.push_str(&format!(
                " LEFT JOIN project p{n} ON p{n}.id = p{below}.parent_id"
            ));
        }
    }
    format!("SELECT {columns} FROM project p0{joins} WHERE {condition}")
}

fn read_row_above(row: &Row) -> Result<Vec<ProjectId>> {
    let mut above = Vec::new();
    let domain = row.str("domain_id")?;
    // Empty for a domain.
    if !domain.is_empty() {
        above.push(domain.into());
    }
    for n in 0..MAX_DEPTH {
        let parent = row.opt_text(&format!("above_{n}"))?;
        above.extend(parent.map(ProjectId::from));
    }
    Ok(above)
}

/// The projects of a domain.
pub(crate) async fn in_domain(db: &Db, domain_id: &str) -> Result<Vec<Project>> {
    let sql = format!(
        "{} WHERE domain_id = ? ORDER BY name, id",
        Project::select()
    );
    let rows = db.query(&sql, values![domain_id]).await?;
    rows.iter().map(Project::read).collect()
}

/// Projects or domains on which the user has a role, directly or by a group, apart from roles
/// without effect.
pub(crate) async fn of_user(
    db: &Db,
    user_id: &str,
    kind: &str,
    without_effect: &[RoleId],
) -> Result<Vec<Project>> {
    let (and_role, roles) = and_not_in("role_id", without_effect);
    let sql = format!(
        "{} WHERE id IN (SELECT target_id FROM role_assignment \
         WHERE user_id = ? AND target_kind = ?{and_role}) \
         OR id IN (SELECT a.target_id FROM group_assignment a \
         JOIN group_member m ON m.group_id = a.group_id \
         WHERE m.user_id = ? AND a.target_kind = ?{and_role}) ORDER BY name, id",
        Project::select()
    );
    let mut args = Vec::new();
    for _ in 0..2 {
        args.extend(values![user_id, kind]);
        args.extend(roles.iter().cloned());
    }
    let rows = db.query(&sql, args).await?;
    rows.iter().map(Project::read).collect()
}

/// All projects of the domains in which, or on which, a user has an inherited role, directly
/// or by a group.
pub(crate) async fn near_inherited(db: &Db, user_id: &str) -> Result<Vec<Project>> {
    let sql = format!(
        "{} WHERE domain_id IN (SELECT CASE WHEN t.domain_id = '' THEN t.id ELSE t.domain_id END \
         FROM project t JOIN (SELECT target_id FROM inherited_assignment WHERE user_id = ? \
         UNION SELECT a.target_id FROM inherited_group_assignment a \
         JOIN group_member m ON m.group_id = a.group_id WHERE m.user_id = ?) i \
         ON i.target_id = t.id) ORDER BY name, id",
        Project::select()
    );
    let rows = db.query(&sql, values![user_id, user_id]).await?;
    rows.iter().map(Project::read).collect()
}
