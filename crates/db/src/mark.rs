//! Marks keys dirty in the transaction of a change that needs work.

use kernel::{ProjectId, Result};

use crate::{Dialect, Tx, values};

/// How a mark affects a key that waits for its backoff.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Urgency {
    /// The backoff continues.
    Event,
    /// The key runs at once, and its failures are reset.
    Operation,
}

/// Marks a key dirty: a worker runs it as soon as the transaction has
/// committed, or after the backoff if the last run failed. Used for events:
/// something that the row depends on has changed.
///
/// # Errors
/// Same errors as [`Tx::execute`].
pub async fn mark(tx: &mut Tx, kind: &str, id: &str) -> Result<()> {
    upsert(tx, kind, id, None, Urgency::Event).await
}

/// Like [`mark`], for user operations: the key runs at once, even after failures.
///
/// # Errors
/// Same errors as [`Tx::execute`].
pub async fn mark_now(tx: &mut Tx, kind: &str, id: &str) -> Result<()> {
    upsert(tx, kind, id, None, Urgency::Operation).await
}

/// Like [`mark_now`], for a new row: stores its project, so that the keys of one
/// project cannot delay those of others.
///
/// # Errors
/// Same errors as [`Tx::execute`].
pub async fn mark_for(tx: &mut Tx, kind: &str, id: &str, project_id: &ProjectId) -> Result<()> {
    upsert(tx, kind, id, Some(project_id), Urgency::Operation).await
}

async fn upsert(
    tx: &mut Tx,
    kind: &str,
    id: &str,
    project: Option<&str>,
    urgency: Urgency,
) -> Result<()> {
    let now = tx.db().now_sql();
    let (new, old) = match tx.dialect() {
        Dialect::Mysql => ("VALUES(due_at)", "due_at"),
        _ => ("excluded.due_at", "flow_key.due_at"),
    };
    let (least, old_attempts, old_generation, old_tenant) = match tx.dialect() {
        Dialect::Mysql => ("LEAST", "attempts", "generation", "tenant"),
        Dialect::Sqlite => (
            "min",
            "flow_key.attempts",
            "flow_key.generation",
            "flow_key.tenant",
        ),
        Dialect::Postgres => (
            "LEAST",
            "flow_key.attempts",
            "flow_key.generation",
            "flow_key.tenant",
        ),
    };
    let at_once = format!("{least}(COALESCE({old}, {new}), {new})");
    // MySQL evaluates assignments from left to right, so `attempts` is changed
    // last.
    let change = match urgency {
        Urgency::Event => format!(
            "due_at = CASE WHEN {old_attempts} > 0 THEN COALESCE({old}, {new}) ELSE {at_once} END"
        ),
        Urgency::Operation => format!("due_at = {at_once}, urgent = ?, attempts = 0"),
    };
    let conflict = match tx.dialect() {
        Dialect::Mysql => "ON DUPLICATE KEY UPDATE",
        _ => "ON CONFLICT (kind, id) DO UPDATE SET",
    };
    let sql = format!(
        "INSERT INTO flow_key (kind, id, due_at, generation, owner, lease_until, epoch, attempts, tenant, urgent) \
         VALUES (?, ?, {now}, 1, NULL, 0, 0, 0, ?, ?) \
         {conflict} generation = {old_generation} + 1, tenant = COALESCE({old_tenant}, ?), {change}"
    );
    let mut args = values![
        kind,
        id,
        project.map(str::to_owned),
        false,
        project.map(str::to_owned)
    ];
    if urgency == Urgency::Operation {
        args.push(true.into());
    }
    tx.execute(&sql, args).await?;
    tx.woken.add(kind, id, true);
    Ok(())
}
