//! SQL of `identity_oauth_consumer`.

use db::{Column as _, Db, Table as _, Tx, values};
use kernel::Result;

use super::Consumer;

db::columns! {
    Consumer in "identity_oauth_consumer" { id, description, secret_sealed, extra }
}

pub(crate) async fn by_id(db: &Db, id: &str) -> Result<Option<Consumer>> {
    let sql = format!("{} WHERE id = ?", Consumer::select());
    let row = db.query_opt(&sql, values![id]).await?;
    row.as_ref().map(Consumer::read).transpose()
}

/// A consumer, locked until the transaction ends.
pub(crate) async fn lock(tx: &mut Tx, id: &str) -> Result<Option<Consumer>> {
    let sql = format!("{} WHERE id = ?", Consumer::select());
    let row = tx.lock_opt(&sql, values![id]).await?;
    row.as_ref().map(Consumer::read).transpose()
}

pub(crate) async fn list(db: &Db) -> Result<Vec<Consumer>> {
    let sql = format!("{} ORDER BY id", Consumer::select());
    let rows = db.query(&sql, vec![]).await?;
    rows.iter().map(Consumer::read).collect()
}

pub(crate) async fn update(tx: &mut Tx, c: &Consumer) -> Result<u64> {
    tx.execute(
        "UPDATE identity_oauth_consumer SET description = ?, extra = ? WHERE id = ?",
        values![c.description.clone(), c.extra.value()?, &c.id],
    )
    .await
}

pub(crate) async fn delete(tx: &mut Tx, id: &str) -> Result<u64> {
    tx.execute(
        "DELETE FROM identity_oauth_consumer WHERE id = ?",
        values![id],
    )
    .await
}
