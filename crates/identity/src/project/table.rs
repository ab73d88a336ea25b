//! SQL of `project`.

use db::{Db, Row, Tx, values};
use kernel::Result;

use super::Project;

fn read(row: &Row) -> Result<Project> {
    Ok(Project {
        id: row.text("id")?,
        name: row.text("name")?,
        domain_id: row.text("domain_id")?,
        parent_id: row.opt_text("parent_id")?,
        is_domain: row.flag("is_domain")?,
        enabled: row.flag("enabled")?,
        description: row.text("description")?,
    })
}

pub(crate) async fn insert(tx: &mut Tx, p: &Project) -> Result<()> {
    tx.execute(
        "INSERT INTO project (id, name, domain_id, parent_id, is_domain, enabled, description) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
        values![
            &p.id,
            &p.name,
            &p.domain_id,
            p.parent_id.clone(),
            p.is_domain,
            p.enabled,
            &p.description
        ],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn update(tx: &mut Tx, p: &Project) -> Result<u64> {
    tx.execute(
        "UPDATE project SET name = ?, enabled = ?, description = ? WHERE id = ?",
        values![&p.name, p.enabled, &p.description, &p.id],
    )
    .await
}

pub(crate) async fn delete(tx: &mut Tx, id: &str) -> Result<u64> {
    tx.execute(
        "DELETE FROM role_assignment WHERE target_id = ?",
        values![id],
    )
    .await?;
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
        .query_opt("SELECT * FROM project WHERE id = ?", values![id])
        .await?;
    row.as_ref().map(read).transpose()
}

/// `domain_id` is empty for domains.
pub(crate) async fn by_name(db: &Db, domain_id: &str, name: &str) -> Result<Option<Project>> {
    let row = db
        .query_opt(
            "SELECT * FROM project WHERE domain_id = ? AND name = ?",
            values![domain_id, name],
        )
        .await?;
    row.as_ref().map(read).transpose()
}

pub(crate) async fn list(db: &Db) -> Result<Vec<Project>> {
    let rows = db
        .query("SELECT * FROM project ORDER BY name, id", vec![])
        .await?;
    rows.iter().map(read).collect()
}

/// Projects and domains on which the user has a role.
pub(crate) async fn of_user(db: &Db, user_id: &str, kind: &str) -> Result<Vec<Project>> {
    let rows = db
        .query(
            "SELECT * FROM project WHERE id IN (SELECT target_id FROM role_assignment \
             WHERE user_id = ? AND target_kind = ?) ORDER BY name, id",
            values![user_id, kind],
        )
        .await?;
    rows.iter().map(read).collect()
}
