//! SQL of the table `stack`.

use db::{Db, Fenced, Row, Tx, values};
use kernel::{OwnerKey, Result};

use super::Store;
use super::model::{Head, StackRow, action_of, action_word, status_of, status_word};
use crate::{Sealer, StackId};

/// Loads a stack.
pub(crate) async fn load(store: &Store, id: &StackId) -> Result<Option<StackRow>> {
    let row = store
        .db
        .query_opt("SELECT * FROM stack WHERE id = ?", values![id])
        .await?;
    row.map(|r| read(store.sealer.as_ref(), &r)).transpose()
}

/// The state that decides whether a stack is processed; no secret is unsealed.
pub(crate) async fn load_head(db: &Db, id: &StackId) -> Result<Option<Head>> {
    let row = db
        .query_opt(
            "SELECT status, traversal, deadline_at, owner_kind, owner_id FROM stack WHERE id = ?",
            values![id],
        )
        .await?;
    let read = |r: Row| {
        Ok(Head {
            status: status_of(&r.text("status")?)?,
            traversal: r.int("traversal")?,
            deadline_at: r.time("deadline_at")?,
            owner: owner(&r)?,
        })
    };
    row.map(read).transpose()
}

fn owner(row: &Row) -> Result<Option<OwnerKey>> {
    let (kind, id) = (row.opt_text("owner_kind")?, row.opt_text("owner_id")?);
    Ok(kind.zip(id).map(|(kind, id)| OwnerKey { kind, id }))
}

fn read(sealer: &dyn Sealer, row: &Row) -> Result<StackRow> {
    let open = |name: &str| -> Result<Option<String>> {
        row.opt_text(name)?.map(|s| sealer.open(&s)).transpose()
    };
    let parameters = open("parameters_sealed")?.unwrap_or_else(|| "{}".into());
    let outputs = open("outputs_sealed")?.unwrap_or_else(|| "{}".into());
    Ok(StackRow {
        id: row.text("id")?.into(),
        project_id: row.text("project_id")?.into(),
        user_id: row.text("user_id")?.into(),
        name: row.text("name")?,
        template: row.text("template")?,
        parameters: serde_json::from_str(&parameters)?,
        previous: open("previous_sealed")?
            .map(|s| serde_json::from_str(&s))
            .transpose()?,
        outputs: serde_json::from_str(&outputs)?,
        timeout_mins: row.int("timeout_mins")?,
        disable_rollback: row.flag("disable_rollback")?,
        owner: owner(row)?,
        action: action_of(&row.text("action")?)?,
        status: status_of(&row.text("status")?)?,
        reason: row.text("status_reason")?,
        cause: row.opt_text("cause")?,
        emptying: row.flag("emptying")?,
        generation: row.int("generation")?,
        traversal: row.int("traversal")?,
        started_at: row.time("started_at")?,
        deadline_at: row.time("deadline_at")?,
        created_at: row.time("created_at")?,
    })
}

struct Sealed {
    parameters: String,
    previous: Option<String>,
    outputs: Option<String>,
}

fn sealed(sealer: &dyn Sealer, s: &StackRow) -> Result<Sealed> {
    let seal = |json: String| sealer.seal(&json);
    Ok(Sealed {
        parameters: seal(serde_json::to_string(&s.parameters)?)?,
        previous: s
            .previous
            .as_ref()
            .map(|p| seal(serde_json::to_string(p)?))
            .transpose()?,
        outputs: (!s.outputs.is_empty())
            .then(|| seal(serde_json::to_string(&s.outputs)?))
            .transpose()?,
    })
}

/// # Errors
/// `AlreadyExists` for a used id or name.
pub(super) async fn insert(tx: &mut Tx, sealer: &dyn Sealer, s: &StackRow) -> Result<()> {
    let json = sealed(sealer, s)?;
    let (kind, owner) = s
        .owner
        .as_ref()
        .map(|o| (o.kind.clone(), o.id.clone()))
        .unzip();
    tx.execute(
        "INSERT INTO stack (id, project_id, user_id, name, template, parameters_sealed, previous_sealed, \
         outputs_sealed, timeout_mins, disable_rollback, owner_kind, owner_id, action, status, \
         status_reason, cause, emptying, generation, traversal, started_at, deadline_at, created_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        values![
            &s.id, &s.project_id, &s.user_id, &s.name, &s.template, json.parameters, json.previous,
            json.outputs, s.timeout_mins, s.disable_rollback, kind, owner, action_word(s.action),
            status_word(s.status), &s.reason, s.cause.clone(), s.emptying, s.generation, s.traversal,
            s.started_at, s.deadline_at, s.created_at
        ],
    )
    .await
    .map(|_| ())
}

/// Writes the state of an action if the traversal of the stack is still
/// `traversal`; returns whether it was. The update locks the row, so a
/// concurrent one waits for this commit.
pub(crate) async fn conclude(
    tx: &mut Fenced,
    sealer: &dyn Sealer,
    s: &StackRow,
    traversal: i64,
) -> Result<bool> {
    save(tx, sealer, s, traversal).await
}

/// Like [`conclude`], for an operation that gives the stack a new target.
pub(super) async fn save(
    tx: &mut Tx,
    sealer: &dyn Sealer,
    s: &StackRow,
    traversal: i64,
) -> Result<bool> {
    let json = sealed(sealer, s)?;
    let n = tx
        .execute(
            "UPDATE stack SET template = ?, parameters_sealed = ?, previous_sealed = ?, outputs_sealed = ?, \
             timeout_mins = ?, disable_rollback = ?, action = ?, status = ?, status_reason = ?, cause = ?, \
             emptying = ?, generation = ?, traversal = ?, started_at = ?, deadline_at = ? \
             WHERE id = ? AND traversal = ?",
            values![
                &s.template, json.parameters, json.previous, json.outputs, s.timeout_mins,
                s.disable_rollback, action_word(s.action), status_word(s.status), &s.reason,
                s.cause.clone(), s.emptying, s.generation, s.traversal, s.started_at, s.deadline_at,
                &s.id, traversal
            ],
        )
        .await?;
    Ok(n == 1)
}

/// Like [`save`], for the status reason only, which changes during an action.
pub(crate) async fn save_reason(tx: &mut Fenced, s: &StackRow) -> Result<bool> {
    let n = tx
        .execute(
            "UPDATE stack SET status_reason = ? WHERE id = ? AND traversal = ?",
            values![&s.reason, &s.id, s.traversal],
        )
        .await?;
    Ok(n == 1)
}

/// Locks the stack if its traversal is still `traversal`, without writing its
/// row, which contains the whole template; returns whether it was.
pub(crate) async fn lock_traversal(tx: &mut Fenced, id: &StackId, traversal: i64) -> Result<bool> {
    Ok(lock(tx, id).await? == Some(traversal))
}

/// Locks the stack; returns its traversal.
pub(super) async fn lock(tx: &mut Tx, id: &StackId) -> Result<Option<i64>> {
    let row = tx
        .lock_opt("SELECT traversal FROM stack WHERE id = ?", values![id])
        .await?;
    row.map(|r| r.int("traversal")).transpose()
}

/// Deletes the stack with its events and signals if its traversal is still
/// `traversal`; returns whether it was.
pub(crate) async fn remove(tx: &mut Fenced, id: &StackId, traversal: i64) -> Result<bool> {
    let n = tx
        .execute(
            "DELETE FROM stack WHERE id = ? AND traversal = ?",
            values![id, traversal],
        )
        .await?;
    if n == 1 {
        for table in ["stack_event", "stack_signal", "stack_unhealthy", "resource"] {
            tx.execute(
                &format!("DELETE FROM {table} WHERE stack_id = ?"),
                values![id],
            )
            .await?;
        }
    }
    Ok(n == 1)
}
