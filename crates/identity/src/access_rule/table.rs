//! SQL of `identity_access_rule`.

use db::{Db, Row, Table as _, Tx, values};
use kernel::Result;

use super::UserRule;

db::columns! {
    UserRule in "identity_access_rule" { id, user_id, service, path, method }
}

fn select_of_user() -> String {
    let select = UserRule::select();
    format!("{select} WHERE user_id = ? ORDER BY service, path, method, id")
}

fn rules(rows: &[Row]) -> Result<Vec<UserRule>> {
    rows.iter().map(UserRule::read).collect()
}

pub(crate) async fn of_user(db: &Db, user_id: &str) -> Result<Vec<UserRule>> {
    rules(&db.query(&select_of_user(), values![user_id]).await?)
}

/// As [`of_user`], as the transaction sees them.
pub(crate) async fn read_of_user(tx: &mut Tx, user_id: &str) -> Result<Vec<UserRule>> {
    rules(&tx.query(&select_of_user(), values![user_id]).await?)
}

pub(crate) async fn by_id(db: &Db, user_id: &str, id: &str) -> Result<Option<UserRule>> {
    let sql = format!("{} WHERE user_id = ? AND id = ?", UserRule::select());
    let row = db.query_opt(&sql, values![user_id, id]).await?;
    row.as_ref().map(UserRule::read).transpose()
}

pub(crate) async fn delete(tx: &mut Tx, user_id: &str, id: &str) -> Result<u64> {
    tx.execute(
        "DELETE FROM identity_access_rule WHERE user_id = ? AND id = ?",
        values![user_id, id],
    )
    .await
}
