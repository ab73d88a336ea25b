//! SQL of security groups.

use db::{Db, Tx, values};
use kernel::{Result, clock};

use crate::face::{NewSecurityGroup, SecurityGroup};

/// A group with the project that owns it.
pub(super) struct Owned {
    pub project_id: String,
    pub group: SecurityGroup,
}

pub(super) async fn insert(tx: &mut Tx, new: &NewSecurityGroup) -> Result<()> {
    tx.execute(
        "INSERT INTO security_group (id, project_id, name, description, rules, created_at) VALUES (?, ?, ?, ?, ?, ?)",
        values![
            &new.id,
            &new.project_id,
            &new.name,
            &new.description,
            serde_json::to_string(&new.rules)?,
            clock::now_micros()
        ],
    )
    .await
    .map(|_| ())
}

pub(super) async fn get(db: &Db, id: &str) -> Result<Option<Owned>> {
    let row = db
        .query_opt(
            "SELECT id, project_id, name, rules FROM security_group WHERE id = ?",
            values![id],
        )
        .await?;
    row.map(|r| {
        Ok(Owned {
            project_id: r.text("project_id")?,
            group: SecurityGroup {
                id: r.text("id")?,
                name: r.text("name")?,
                rules: serde_json::from_str(&r.text("rules")?)?,
            },
        })
    })
    .transpose()
}

pub(super) async fn drop_row(tx: &mut Tx, id: &str) -> Result<()> {
    tx.execute("DELETE FROM security_group WHERE id = ?", values![id])
        .await
        .map(|_| ())
}
