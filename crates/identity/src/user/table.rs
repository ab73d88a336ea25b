//! SQL of `identity_user` and `app_credential`.

use db::{Db, Row, Tx, values};
use kernel::Result;

use super::User;

fn read(row: &Row) -> Result<User> {
    Ok(User {
        id: row.text("id")?,
        name: row.text("name")?,
        domain_id: row.text("domain_id")?,
        password_hash: row.opt_text("password_hash")?,
        enabled: row.flag("enabled")?,
        default_project_id: row.opt_text("default_project_id")?,
        email: row.opt_text("email")?,
        description: row.text("description")?,
        tokens_after: row.int("tokens_after")?,
    })
}

pub(crate) async fn insert(tx: &mut Tx, u: &User) -> Result<()> {
    tx.execute(
        "INSERT INTO identity_user (id, name, domain_id, password_hash, enabled, default_project_id, \
         email, description, tokens_after) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        values![
            &u.id, &u.name, &u.domain_id, u.password_hash.clone(), u.enabled,
            u.default_project_id.clone(), u.email.clone(), &u.description, u.tokens_after
        ],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn update(tx: &mut Tx, u: &User) -> Result<u64> {
    tx.execute(
        "UPDATE identity_user SET name = ?, password_hash = ?, enabled = ?, default_project_id = ?, \
         email = ?, description = ?, tokens_after = ? WHERE id = ?",
        values![
            &u.name, u.password_hash.clone(), u.enabled, u.default_project_id.clone(),
            u.email.clone(), &u.description, u.tokens_after, &u.id
        ],
    )
    .await
}

pub(crate) async fn delete(tx: &mut Tx, id: &str) -> Result<u64> {
    tx.execute("DELETE FROM role_assignment WHERE user_id = ?", values![id])
        .await?;
    tx.execute("DELETE FROM app_credential WHERE user_id = ?", values![id])
        .await?;
    tx.execute("DELETE FROM identity_user WHERE id = ?", values![id])
        .await
}

pub(crate) async fn by_id(db: &Db, id: &str) -> Result<Option<User>> {
    let row = db
        .query_opt("SELECT * FROM identity_user WHERE id = ?", values![id])
        .await?;
    row.as_ref().map(read).transpose()
}

pub(crate) async fn by_name(db: &Db, domain_id: &str, name: &str) -> Result<Option<User>> {
    let row = db
        .query_opt(
            "SELECT * FROM identity_user WHERE domain_id = ? AND name = ?",
            values![domain_id, name],
        )
        .await?;
    row.as_ref().map(read).transpose()
}

pub(crate) async fn list(db: &Db) -> Result<Vec<User>> {
    let rows = db
        .query("SELECT * FROM identity_user ORDER BY name, id", vec![])
        .await?;
    rows.iter().map(read).collect()
}

/// An application credential as stored.
#[derive(Debug, Clone)]
pub(crate) struct AppCredential {
    pub id: String,
    pub name: String,
    pub user_id: String,
    pub project_id: String,
    pub secret_hash: String,
    /// Role ids.
    pub roles: Vec<String>,
    /// Microseconds.
    pub expires_at: Option<i64>,
}

fn read_credential(row: &Row) -> Result<AppCredential> {
    Ok(AppCredential {
        id: row.text("id")?,
        name: row.text("name")?,
        user_id: row.text("user_id")?,
        project_id: row.text("project_id")?,
        secret_hash: row.text("secret_hash")?,
        roles: serde_json::from_value(row.json("roles")?)?,
        expires_at: row.opt_int("expires_at")?,
    })
}

pub(crate) async fn credential(db: &Db, id: &str) -> Result<Option<AppCredential>> {
    let row = db
        .query_opt("SELECT * FROM app_credential WHERE id = ?", values![id])
        .await?;
    row.as_ref().map(read_credential).transpose()
}

pub(crate) async fn credential_by_name(
    db: &Db,
    user_id: &str,
    name: &str,
) -> Result<Option<AppCredential>> {
    let row = db
        .query_opt(
            "SELECT * FROM app_credential WHERE user_id = ? AND name = ?",
            values![user_id, name],
        )
        .await?;
    row.as_ref().map(read_credential).transpose()
}
