//! A cheap check whether keys have changed, for code that must not depend on
//! notifications alone.

use std::collections::BTreeMap;

use kernel::Result;

use crate::{Db, Value, values};

/// Maximum number of keys in one statement.
const MAX_KEYS_PER_STATEMENT: usize = 500;

/// Differs after each mark, claim and end of a run of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyStamp {
    generation: i64,
    epoch: i64,
    running: bool,
}

/// The stamps of keys of one kind; keys that were never marked have none.
///
/// # Errors
/// Same errors as [`Db::query`].
pub async fn key_stamps(
    db: &Db,
    kind: &str,
    ids: &[impl AsRef<str> + Sync],
) -> Result<BTreeMap<String, KeyStamp>> {
    let mut stamps = BTreeMap::new();
    for chunk in ids.chunks(MAX_KEYS_PER_STATEMENT) {
        let marks = vec!["?"; chunk.len()].join(", ");
        let mut args = values![kind];
        args.extend(chunk.iter().map(|id| Value::from(id.as_ref())));
        let sql = format!(
            "SELECT id, generation, epoch, owner FROM flow_key WHERE kind = ? AND id IN ({marks})"
        );
        for row in db.query(&sql, args).await? {
            let stamp = KeyStamp {
                generation: row.int("generation")?,
                epoch: row.int("epoch")?,
                running: row.opt_text("owner")?.is_some(),
            };
            stamps.insert(row.text("id")?, stamp);
        }
    }
    Ok(stamps)
}
