//! Batches of rows in one statement. There are only a few sizes, so that the database
//! can reuse prepared statements.

use db::{Tx, Value};
use kernel::Result;

const SIZES: [usize; 5] = [64, 16, 4, 2, 1];

/// Splits the items into batches of the fixed sizes.
pub(super) fn of<T>(mut items: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = SIZES.into_iter().find(|s| *s <= items.len())?;
        let (batch, rest) = items.split_at(size);
        items = rest;
        Some(batch)
    })
}

/// Inserts rows; `tail` is the end of the statement, which handles existing rows.
pub(super) async fn insert(
    tx: &mut Tx,
    table: &str,
    columns: &[&str],
    rows: &[Vec<Value>],
    tail: &str,
) -> Result<()> {
    let placeholders = format!("({})", vec!["?"; columns.len()].join(", "));
    let columns = columns.join(", ");
    for rows in of(rows) {
        let marks = vec![placeholders.as_str(); rows.len()].join(", ");
        tx.execute(
            &format!("INSERT INTO {table} ({columns}) VALUES {marks} {tail}"),
            rows.concat(),
        )
        .await?;
    }
    Ok(())
}
