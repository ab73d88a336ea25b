//! Faults that a test injects at a step of the simulated host. They are stored in
//! the database of the simulator, so that all processes see them.

use db::values;
use kernel::{Error, Kind, Result, ids};

use super::simulator::Simulator;

/// A step of the simulated host at which a fault can be injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Info,
    Inspect,
    Create,
    Start,
    Remove,
    RemoveVolume,
    Pull,
    NetworkEnsure,
    NetworkRemove,
}

/// An injected fault.
#[derive(Debug, Clone)]
pub struct SimFault {
    pub step: Step,
    /// The fault occurs for objects whose name contains this text.
    pub name: String,
    /// Whether a retry may succeed, as with an engine that does not answer.
    pub transient: bool,
    pub message: String,
    /// Number of failures.
    pub times: i64,
}

impl Simulator {
    /// Injects a fault.
    ///
    /// # Errors
    /// Fails if the database fails.
    pub async fn inject(&self, fault: SimFault) -> Result<()> {
        db::write!(self.db, |tx| {
            tx.execute(
            "INSERT INTO sim_fault (id, step, name, transient, message, times) VALUES (?, ?, ?, ?, ?, ?)",
            values![
                ids::uuid(),
                format!("{:?}", fault.step),
                &fault.name,
                fault.transient,
                &fault.message,
                fault.times
            ],
        )
        .await?;
            Ok(())
        })
    }

    /// Fails if a fault was injected for this step and name.
    pub(super) async fn fail_if_injected(&self, step: Step, name: &str) -> Result<()> {
        let rows = self
            .db
            .query(
                "SELECT id, name, transient, message, times FROM sim_fault WHERE step = ?",
                values![format!("{step:?}")],
            )
            .await?;
        for row in rows {
            if !name.contains(&row.text("name")?) {
                continue;
            }
            db::write!(self.db, |tx| {
                tx.execute(
                    "UPDATE sim_fault SET times = times - 1 WHERE id = ?",
                    values![row.text("id")?],
                )
                .await?;
                tx.execute("DELETE FROM sim_fault WHERE times <= 0", vec![])
                    .await?;
                Ok(())
            })?;
            let kind = if row.flag("transient")? {
                Kind::Unavailable { retry_after: 1 }
            } else {
                Kind::Internal
            };
            return Err(Error::new(kind, row.text("message")?));
        }
        Ok(())
    }
}
