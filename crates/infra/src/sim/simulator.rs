//! A process's handle of the simulated host.

use std::sync::{Arc, OnceLock};

use db::{Db, values};
use kernel::{Result, ids};

use super::config::SimConfig;
use super::engine_process::EngineProcess;
use super::fault_injector::{FaultInjector, NoFaults};
use super::schema;
use crate::ContainerSpec;

/// Called in the process that started a container, after the start.
pub type OnStart = Arc<dyn Fn(&ContainerSpec) + Send + Sync>;

/// A simulated host with its network fabric; cheap to clone.
#[derive(Clone)]
pub struct Simulator {
    pub(super) db: Db,
    pub(super) config: SimConfig,
    /// Name of the process that runs the agents of containers started here.
    pub(super) process: Arc<str>,
    pub(super) on_start: Arc<OnceLock<OnStart>>,
    pub(super) fault_injector: Arc<dyn FaultInjector>,
    pub(super) engine_process: Arc<EngineProcess>,
}

impl Simulator {
    /// Opens or creates the simulator database `path`, with default latencies.
    ///
    /// # Errors
    /// `Unavailable` if the file cannot be opened.
    pub async fn open(path: &str) -> Result<Self> {
        Self::open_with(path, SimConfig::default()).await
    }

    /// Like [`Simulator::open`], with another capacity and latencies.
    ///
    /// # Errors
    /// Same errors as [`Simulator::open`].
    pub async fn open_with(path: &str, config: SimConfig) -> Result<Self> {
        Self::open_under(path, config, Arc::new(NoFaults)).await
    }

    /// Like [`Simulator::open_with`]; `fault_injector` decides about calls and events.
    ///
    /// # Errors
    /// Same errors as [`Simulator::open`].
    pub async fn open_under(
        path: &str,
        config: SimConfig,
        fault_injector: Arc<dyn FaultInjector>,
    ) -> Result<Self> {
        let db = Db::open_volatile(path)?;
        db.migrate(schema::STEPS).await?;
        db::write!(db, |tx| {
            // Another process may have opened the database first.
            tx.execute(
                "INSERT OR IGNORE INTO sim_engine (one, id) VALUES (1, ?)",
                values![ids::uuid()],
            )
            .await?;
            Ok(())
        })?;
        Ok(Self {
            db,
            config,
            process: ids::uuid().into(),
            on_start: Arc::default(),
            fault_injector,
            engine_process: Arc::default(),
        })
    }

    /// A handle of another server process to the same engine, with separate
    /// agents and a separate hook.
    #[must_use]
    pub fn process(&self) -> Self {
        Self {
            process: ids::uuid().into(),
            on_start: Arc::default(),
            ..self.clone()
        }
    }

    /// Name of this process, as passed to the fault injector.
    #[must_use]
    pub fn process_name(&self) -> &str {
        &self.process
    }

    /// Sets the hook called after each start; only the first call has an
    /// effect.
    pub fn on_start(&self, hook: OnStart) {
        let _ = self.on_start.set(hook);
    }
}
