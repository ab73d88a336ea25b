//! SQL of `identity_credential`.

use db::{Db, Table as _, Tx, values};
use kernel::Result;

use super::UserCredential;

db::columns! {
    UserCredential in "identity_credential" {
        id, user_id, project_id, kind = "type", blob_sealed, extra,
    }
}

pub(crate) async fn by_id(db: &Db, id: &str) -> Result<Option<UserCredential>> {
    let sql = format!("{} WHERE id = ?", UserCredential::select());
    let row = db.query_opt(&sql, values![id]).await?;
    row.as_ref().map(UserCredential::read).transpose()
}

/// A credential, locked until the transaction ends.
pub(crate) async fn lock(tx: &mut Tx, id: &str) -> Result<Option<UserCredential>> {
    let sql = format!("{} WHERE id = ?", UserCredential::select());
    let row = tx.lock_opt(&sql, values![id]).await?;
    row.as_ref().map(UserCredential::read).transpose()
}

pub(crate) async fn list(db: &Db) -> Result<Vec<UserCredential>> {
    let sql = format!("{} ORDER BY id", UserCredential::select());
    let rows = db.query(&sql, vec![]).await?;
    rows.iter().map(UserCredential::read).collect()
}

/// All credentials of a user.
pub(crate) async fn of_user(db: &Db, user_id: &str) -> Result<Vec<UserCredential>> {
    let sql = format!("{} WHERE user_id = ? ORDER BY id", UserCredential::select());
    let rows = db.query(&sql, values![user_id]).await?;
    rows.iter().map(UserCredential::read).collect()
}

/// The number of credentials of a user.
pub(crate) async fn count_of_user(tx: &mut Tx, user_id: &str) -> Result<i64> {
    let sql = "SELECT COUNT(*) AS credentials FROM identity_credential WHERE user_id = ?";
    let rows = tx.query(sql, values![user_id]).await?;
    rows.first().map_or(Ok(0), |row| row.int("credentials"))
}

pub(crate) async fn set_blob(tx: &mut Tx, id: &str, sealed: &str) -> Result<u64> {
    tx.execute(
        "UPDATE identity_credential SET blob_sealed = ? WHERE id = ?",
        values![sealed, id],
    )
    .await
}

pub(crate) async fn delete(tx: &mut Tx, id: &str) -> Result<u64> {
    tx.execute("DELETE FROM identity_credential WHERE id = ?", values![id])
        .await
}

pub(crate) async fn delete_of_user(tx: &mut Tx, user_id: &str) -> Result<u64> {
    tx.execute(
        "DELETE FROM identity_credential WHERE user_id = ?",
        values![user_id],
    )
    .await
}

pub(crate) async fn delete_of_project(tx: &mut Tx, project_id: &str) -> Result<u64> {
    tx.execute(
        "DELETE FROM identity_credential WHERE project_id = ?",
        values![project_id],
    )
    .await
}
