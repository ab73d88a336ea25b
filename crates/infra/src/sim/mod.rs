//! The simulator: a host and a network fabric whose state is in a separate
//! SQLite database, shared by all server processes and independent of their
//! lifetime. It has latencies (by default the measured ones) and faults on
//! demand. A simulation passes an [`FaultInjector`] that decides about every call and
//! event.
//!
//! It uses only `tokio::time` and `kernel::ids` for waiting and randomness, so
//! that a simulation on one thread with a paused clock and a seed is
//! reproducible.

mod agents;
mod containers;
mod engine;
mod fault_injector;
mod host;
mod net;
mod schema;
#[cfg(test)]
mod tests;

pub use agents::SimMember;
pub use engine::{Effect, Restart};
pub use fault_injector::{Call, CallKind, Delivery, FaultInjector, InjectedFault, Outcome};

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use db::{Db, Tx, values};
use kernel::{Error, Kind, Result, ids};

use engine::EngineProcess;
use fault_injector::NoFaults;

use crate::{ContainerSpec, Observed};

/// Called in the process that started a container, after the start.
pub type OnStart = Arc<dyn Fn(&ContainerSpec) + Send + Sync>;

/// Capacity and latencies of the simulated host.
#[derive(Debug, Clone)]
pub struct SimConfig {
    pub host: String,
    pub cpus: i64,
    /// Bytes.
    pub memory: i64,
    pub create: Duration,
    /// Minimum and maximum start time, uniformly distributed.
    pub start: (Duration, Duration),
    pub remove: Duration,
    /// Time to create or remove a network.
    pub network: Duration,
    /// Time to pull a missing image.
    pub pull: Duration,
}

impl Default for SimConfig {
    /// Create and start take 0.8–1.0 s together, as measured on a real engine
    /// for a node until its nested engine answers.
    fn default() -> Self {
        Self {
            host: "sim-1".into(),
            cpus: 4096,
            memory: 64 << 40,
            create: Duration::from_millis(100),
            start: (Duration::from_millis(700), Duration::from_millis(900)),
            remove: Duration::from_millis(200),
            network: Duration::from_millis(100),
            pull: Duration::from_secs(20),
        }
    }
}

impl SimConfig {
    /// No latencies, for tests of decisions.
    #[must_use]
    pub fn instant() -> Self {
        Self {
            create: Duration::ZERO,
            start: (Duration::ZERO, Duration::ZERO),
            remove: Duration::ZERO,
            network: Duration::ZERO,
            pull: Duration::ZERO,
            ..Self::default()
        }
    }
}

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
    /// Only for objects whose name contains this; empty: all.
    pub name: String,
    /// Whether a retry may succeed, as with an engine that does not answer.
    pub transient: bool,
    pub message: String,
    /// Number of failures.
    pub times: i64,
}

/// A simulated host with its network fabric; cheap to clone.
#[derive(Clone)]
pub struct Simulator {
    db: Db,
    config: SimConfig,
    /// Name of the process that runs the agents of containers started here.
    process: Arc<str>,
    on_start: Arc<OnceLock<OnStart>>,
    fault_injector: Arc<dyn FaultInjector>,
    machine: Arc<EngineProcess>,
}

impl Simulator {
    /// Opens or creates the simulator database `path`, with default latencies.
    ///
    /// # Errors
    /// `Unavailable` if the file cannot be opened.
    pub async fn open(path: &str) -> Result<Self> {
        Self::open_with(path, SimConfig::default()).await
    }

    /// As [`Simulator::open`] with another capacity and latencies.
    ///
    /// # Errors
    /// Same errors as [`Simulator::open`].
    pub async fn open_with(path: &str, config: SimConfig) -> Result<Self> {
        Self::open_under(path, config, Arc::new(NoFaults)).await
    }

    /// As [`Simulator::open_with`]; `fault_injector` decides about calls and events.
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
            machine: Arc::default(),
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

    /// Adds an image to the host, replacing one with the same reference.
    ///
    /// # Errors
    /// Fails if the database fails.
    pub async fn add_image(&self, reference: &str, labels: &[(&str, &str)]) -> Result<()> {
        let labels: BTreeMap<_, _> = labels.iter().copied().collect();
        db::write!(self.db, |tx| {
            tx.execute(
                "DELETE FROM sim_image WHERE reference = ?",
                values![reference],
            )
            .await?;
            tx.execute(
                "INSERT INTO sim_image (reference, id, labels) VALUES (?, ?, ?)",
                values![
                    reference,
                    format!("sha256:{}", ids::secret_hex(32)),
                    serde_json::to_string(&labels)?
                ],
            )
            .await?;
            Ok(())
        })
    }

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

    /// The specs of all running containers.
    ///
    /// # Errors
    /// Fails if the database fails.
    pub async fn running(&self) -> Result<Vec<ContainerSpec>> {
        self.db
            .query(
                "SELECT spec FROM sim_container WHERE state = 'running' ORDER BY name",
                vec![],
            )
            .await?
            .iter()
            .map(|r| Ok(serde_json::from_str(&r.text("spec")?)?))
            .collect()
    }

    /// Stops a container as if its program had exited.
    ///
    /// # Errors
    /// `NotFound` if none has this name.
    pub async fn kill(&self, name: &str, exit_code: i64, oom: bool) -> Result<()> {
        let id = db::write!(self.db, |tx| {
            let n = tx
            .execute(
                "UPDATE sim_container SET state = 'exited', exit_code = ?, oom = ? WHERE name = ?",
                values![exit_code, oom, name],
            )
            .await?;
            if n == 0 {
                return Err(Error::not_found("Container", name));
            }
            label_of(tx, name).await
        })?;
        self.notify_listeners(false, &observed(&id, name, "die"));
        Ok(())
    }

    /// Fails if a fault was injected for this step and name.
    async fn fail_if_injected(&self, step: Step, name: &str) -> Result<()> {
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

/// The label of a container.
async fn label_of(tx: &mut Tx, name: &str) -> Result<String> {
    let row = tx
        .query_opt(
            "SELECT label FROM sim_container WHERE name = ?",
            values![name],
        )
        .await?;
    Ok(row
        .map(|r| r.text("label"))
        .transpose()?
        .unwrap_or_default())
}

fn observed(id: &str, name: &str, action: &str) -> Observed {
    Observed {
        id: id.into(),
        name: name.into(),
        action: action.into(),
    }
}
