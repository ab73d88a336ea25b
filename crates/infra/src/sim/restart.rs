//! Restarts of the simulated engine.

use std::time::Duration;

use kernel::Result;
use tokio::time::sleep;

use super::simulator::Simulator;

/// Effect of an engine restart on the containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// They continue to run.
    Keep,
    /// They stop with the engine; those with a restart policy start again with
    /// it.
    Stop,
}

impl Simulator {
    /// Stops the engine and starts it again after `downtime`. Event streams end, calls
    /// in progress have no effect, and further calls fail until then.
    ///
    /// # Errors
    /// Fails if the database fails.
    pub async fn restart_engine(&self, downtime: Duration, containers: Restart) -> Result<()> {
        {
            let mut state = self.engine_process.state();
            state.down = true;
            state.boot += 1;
            state.listeners.clear();
        }
        if containers == Restart::Stop {
            db::write!(self.db, |tx| {
                tx.execute(
                "UPDATE sim_container SET state = 'stopped', exit_code = 137 WHERE state = 'running'",
                vec![],
            )
            .await?;
                Ok(())
            })?;
        }
        sleep(downtime).await;
        self.engine_process.state().down = false;
        if containers == Restart::Stop {
            self.restart_containers().await?;
        }
        Ok(())
    }
}
