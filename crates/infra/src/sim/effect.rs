//! The record of the effects of all calls.

use db::{Row, Tx, values};
use kernel::{Result, Timestamp, clock};

use super::simulator::Simulator;
use crate::Actor;

/// A recorded effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// The number of the effect, in the order in which effects happened.
    pub seq: i64,
    pub at: Timestamp,
    /// `create`, `start`, `stop`, `remove`.
    pub call: String,
    /// `container`, `volume`, `network`.
    pub object: String,
    pub name: String,
    /// Value of [`crate::LABEL`].
    pub id: String,
    /// Empty for a volume.
    pub engine_id: String,
    /// `None`: the sweep.
    pub epoch: Option<i64>,
}

impl Simulator {
    /// All effects in order.
    ///
    /// # Errors
    /// Fails if the database fails.
    pub async fn effects(&self) -> Result<Vec<Effect>> {
        let sql =
            "SELECT seq, at, call, object, name, id, engine_id, epoch FROM sim_effect ORDER BY seq";
        let rows = self.db.query(sql, vec![]).await?;
        rows.iter().map(effect).collect()
    }
}

/// Records an effect in its transaction.
pub(super) async fn record_effect(
    tx: &mut Tx,
    (call, object): (&str, &str),
    (name, id, engine_id): (&str, &str, &str),
    actor: Actor,
) -> Result<()> {
    let epoch = match actor {
        Actor::Lease(epoch) => Some(epoch),
        Actor::Sweep => None,
    };
    tx.execute(
        "INSERT INTO sim_effect (at, call, object, name, id, engine_id, epoch) VALUES (?, ?, ?, ?, ?, ?, ?)",
        values![clock::now(), call, object, name, id, engine_id, epoch],
    )
    .await
    .map(|_| ())
}

fn effect(row: &Row) -> Result<Effect> {
    Ok(Effect {
        seq: row.int("seq")?,
        at: row.time("at")?,
        call: row.text("call")?,
        object: row.text("object")?,
        name: row.text("name")?,
        id: row.text("id")?,
        engine_id: row.text("engine_id")?,
        epoch: row.opt_int("epoch")?,
    })
}
