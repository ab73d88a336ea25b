//! SQL of `app_credential`.

use db::{Db, Table as _, Tx, values};
use kernel::Result;

use super::AppCredential;

db::columns! {
    AppCredential in "app_credential" {
        id, name, user_id, project_id, secret_hash, roles as json, expires_at, description,
        unrestricted, access_rules,
    }
}

pub(crate) async fn by_id(db: &Db, id: &str) -> Result<Option<AppCredential>> {
    let row = db
        .query_opt(
            &format!("{} WHERE id = ?", AppCredential::select()),
            values![id],
        )
        .await?;
    row.as_ref().map(AppCredential::read).transpose()
}

/// A credential, locked until the transaction ends.
pub(crate) async fn lock(tx: &mut Tx, id: &str) -> Result<Option<AppCredential>> {
    let sql = format!("{} WHERE id = ?", AppCredential::select());
    let row = tx.lock_opt(&sql, values![id]).await?;
    row.as_ref().map(AppCredential::read).transpose()
}

pub(crate) async fn by_name(db: &Db, user_id: &str, name: &str) -> Result<Option<AppCredential>> {
    let row = db
        .query_opt(
            &format!("{} WHERE user_id = ? AND name = ?", AppCredential::select()),
            values![user_id, name],
        )
        .await?;
    row.as_ref().map(AppCredential::read).transpose()
}

/// All credentials of a user.
pub(crate) async fn of_user(db: &Db, user_id: &str) -> Result<Vec<AppCredential>> {
    let rows = db
        .query(
            &format!(
                "{} WHERE user_id = ? ORDER BY name",
                AppCredential::select()
            ),
            values![user_id],
        )
        .await?;
    rows.iter().map(AppCredential::read).collect()
}

/// As [`of_user`], as the transaction sees them.
pub(crate) async fn read_of_user(tx: &mut Tx, user_id: &str) -> Result<Vec<AppCredential>> {
    let sql = format!("{} WHERE user_id = ?", AppCredential::select());
    let rows = tx.query(&sql, values![user_id]).await?;
    rows.iter().map(AppCredential::read).collect()
}

/// The number of credentials of a user.
pub(crate) async fn count_of_user(tx: &mut Tx, user_id: &str) -> Result<i64> {
    let rows = tx
        .query(
            "SELECT COUNT(*) AS credentials FROM app_credential WHERE user_id = ?",
            values![user_id],
        )
        .await?;
    rows.first().map_or(Ok(0), |row| row.int("credentials"))
}

pub(crate) async fn delete(tx: &mut Tx, user_id: &str, id: &str) -> Result<u64> {
    tx.execute(
        "DELETE FROM app_credential WHERE user_id = ? AND id = ?",
        values![user_id, id],
    )
    .await
}

/// All application credentials of a user in a project.
pub(crate) async fn delete_in_project(tx: &mut Tx, user_id: &str, project_id: &str) -> Result<u64> {
    tx.execute(
        "DELETE FROM app_credential WHERE user_id = ? AND project_id = ?",
        values![user_id, project_id],
    )
    .await
}
