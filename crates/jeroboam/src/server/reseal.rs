//! Seals the secrets of a database again with the primary key, while servers run.
//! A text that a server changes at the same time is not overwritten. Passes are
//! repeated until one finds no text with an older key. After an interruption the
//! next run continues, because each text names its key.

use anyhow::{Result, bail};
use db::{Db, SealedColumn, SealedText};
use pki::Sealer;

use super::installation;

/// Number of texts in one transaction, which is small because it locks their rows.
const BATCH: u32 = 50;
/// Maximum number of passes. Each one seals the texts that servers wrote with an older
/// key during the previous one.
const PASSES: u32 = 8;
/// The beginning of all sealed texts.
const SEALED: &str = "jbs1.";

/// All sealed columns of the database.
pub fn sealed_columns() -> Vec<SealedColumn> {
    [
        installation::sealed_columns(),
        identity::sealed_columns(),
        compute::sealed_columns(),
        orchestration::sealed_columns(),
        clusters::sealed_columns(),
    ]
    .concat()
}

/// Returns the number of texts that were sealed again; `progress` gets it after
/// each batch.
///
/// # Errors
/// A text cannot be unsealed, named by its column and the key of its row; other
/// texts are sealed nevertheless. The database fails.
pub async fn reseal(db: &Db, sealer: &Sealer, progress: impl Fn(u64)) -> Result<u64> {
    db.check_schema_is_known().await?;
    let mut sealed = 0;
    for _ in 0..PASSES {
        let mut found = 0;
        let mut broken = Vec::new();
        for column in sealed_columns() {
            let mut after: Vec<String> = Vec::new();
            loop {
                let prefix = sealer.primary_prefix();
                let page = column.page(db, (SEALED, &prefix), &after, BATCH).await?;
                let Some(last) = page.last() else { break };
                after.clone_from(&last.key);
                found += page.len();
                sealed += reseal_batch(db, sealer, &column, &page, &mut broken).await?;
                progress(sealed);
            }
        }
        if !broken.is_empty() {
            bail!(
                "{} secrets cannot be unsealed: {}",
                broken.len(),
                broken.join("; ")
            );
        }
        if found == 0 {
            return Ok(sealed);
        }
    }
    bail!(
        "servers still seal with an older key: does each of them read this key directory? Copy it to those that have their own, and repeat the command"
    );
}

async fn reseal_batch(
    db: &Db,
    sealer: &Sealer,
    column: &SealedColumn,
    page: &[SealedText],
    broken: &mut Vec<String>,
) -> Result<u64> {
    let mut fresh = Vec::new();
    for old in page {
        let purpose = column.purpose_of(old);
        match sealer.unseal(&purpose, &old.text) {
            Ok(plain) => fresh.push((old, sealer.seal(&purpose, &plain)?)),
            Err(e) => broken.push(format!(
                "{}.{} of {}: {e}",
                column.table,
                column.column,
                old.key.join("/")
            )),
        }
    }
    Ok(db::write!(db, |tx| {
        let mut replaced = 0;
        for (old, new) in &fresh {
            replaced += u64::from(column.replace(tx, old, new).await?);
        }
        Ok(replaced)
    })?)
}

/// The number of texts that a key has sealed.
pub async fn count(db: &Db, key_id: &str) -> Result<i64> {
    let prefix = pki::sealed_prefix(key_id);
    let mut all = 0;
    for column in sealed_columns() {
        all += column.count(db, &prefix).await?;
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
