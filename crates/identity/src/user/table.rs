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
    pub description: Option<String>,
    /// Whether its tokens may manage application credentials.
    pub unrestricted: bool,
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
        description: row.opt_text("description")?,
        unrestricted: row.flag("unrestricted")?,
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

/// All credentials of a user.
pub(crate) async fn credentials(db: &Db, user_id: &str) -> Result<Vec<AppCredential>> {
    let rows = db
        .query(
            "SELECT * FROM app_credential WHERE user_id = ? ORDER BY name",
            values![user_id],
        )
        .await?;
    rows.iter().map(read_credential).collect()
}

pub(crate) async fn insert_credential(tx: &mut Tx, c: &AppCredential) -> Result<()> {
    let roles = serde_json::to_string(&c.roles)?;
    tx.execute(
        "INSERT INTO app_credential (id, name, user_id, project_id, secret_hash, roles, \
         description, expires_at, unrestricted) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        values![
            &c.id,
            &c.name,
            &c.user_id,
            &c.project_id,
            &c.secret_hash,
            roles,
            c.description.clone(),
            c.expires_at,
            c.unrestricted
        ],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn delete_credential(tx: &mut Tx, user_id: &str, id: &str) -> Result<u64> {
    tx.execute(
        "DELETE FROM app_credential WHERE user_id = ? AND id = ?",
        values![user_id, id],
    )
    .await
}

/// All that a user has made in a project.
pub(crate) async fn delete_credentials(
    tx: &mut Tx,
    user_id: &str,
    project_id: &str,
) -> Result<u64> {
    tx.execute(
        "DELETE FROM app_credential WHERE user_id = ? AND project_id = ?",
        values![user_id, project_id],
    )
    .await
}
