//! The simulator: a host and a network plane whose world is a SQLite database
//! of its own, shared by all server processes and surviving their death. It
//! has latencies (the measured ones by default) and faults on demand. A
//! simulation gives it an [`Oracle`] that decides about every call and event.
//!
//! It waits with `tokio::time` and draws from `kernel::ids` only, so that a
//! simulation on one thread with a paused clock and a seed is repeatable.

mod agents;
mod containers;
mod engine;
mod host;
mod net;
mod oracle;
mod schema;
#[cfg(test)]
mod tests;

pub use agents::SimMember;
pub use engine::{Effect, Restart};
pub use oracle::{Call, CallKind, Delivery, Fate, Oracle, Outcome};

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use db::{Db, Tx, values};
use kernel::{Error, Kind, Result, ids};

use engine::Machine;
use oracle::Calm;

use crate::{ContainerSpec, Observed};

/// Called after a container has started, in the process that started it.
pub type OnStart = Arc<dyn Fn(&ContainerSpec) + Send + Sync>;

/// The size and the speed of the simulated world.
#[derive(Debug, Clone)]
pub struct SimConfig {
    pub host: String,
    pub cpus: i64,
    /// Bytes.
    pub memory: i64,
    pub create: Duration,
    /// Shortest and longest start; drawn evenly in between.
    pub start: (Duration, Duration),
    pub remove: Duration,
    /// To make or to remove a network.
    pub network: Duration,
    /// To pull an image that the host lacks.
    pub pull: Duration,
}

impl Default for SimConfig {
    /// Create and start take 0.8–1.0 s together, as measured with a real
    /// engine that starts a node until its own engine answers.
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
    /// A world without latency, for tests of decisions.
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

/// A step of the simulated host that can be made to fail.
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

/// A failure to come.
#[derive(Debug, Clone)]
pub struct SimFault {
    pub step: Step,
    /// Only for objects whose name contains this; empty: all.
    pub name: String,
    /// Whether a repeat may succeed, as with an engine that does not answer.
    pub transient: bool,
    pub message: String,
    /// How often it strikes.
    pub times: i64,
}

/// A simulated host with its network plane; cheap to clone.
#[derive(Clone)]
pub struct Simulator {
    db: Db,
    config: SimConfig,
    /// Who plays the agents of what is started here.
    process: Arc<str>,
    on_start: Arc<OnceLock<OnStart>>,
    oracle: Arc<dyn Oracle>,
    machine: Arc<Machine>,
}

impl Simulator {
    /// Opens (or makes) the world in the file `path`, with default latencies.
    ///
    /// # Errors
    /// `Unavailable` where the file cannot be opened.
    pub async fn open(path: &str) -> Result<Self> {
        Self::open_with(path, SimConfig::default()).await
    }

    /// As [`Simulator::open`] with another size and speed.
    ///
    /// # Errors
    /// As [`Simulator::open`].
    pub async fn open_with(path: &str, config: SimConfig) -> Result<Self> {
        Self::open_under(path, config, Arc::new(Calm)).await
    }

    /// As [`Simulator::open_with`]; `oracle` decides about calls and events.
    ///
    /// # Errors
    /// As [`Simulator::open`].
    pub async fn open_under(
        path: &str,
        config: SimConfig,
        oracle: Arc<dyn Oracle>,
    ) -> Result<Self> {
        let db = Db::scratch(path)?;
        db.migrate(schema::STEPS).await?;
        db::write!(db, |tx| {
            // Another process may have opened the world first.
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
            oracle,
            machine: Arc::default(),
        })
    }

    /// The same engine as another server process sees it: with agents and a
    /// hook of its own.
    #[must_use]
    pub fn process(&self) -> Self {
        Self {
            process: ids::uuid().into(),
            on_start: Arc::default(),
            ..self.clone()
        }
    }

    /// Name of this process, as the oracle is told it.
    #[must_use]
    pub fn process_name(&self) -> &str {
        &self.process
    }

    /// Sets what is called after each start; only the first call counts.
    pub fn on_start(&self, hook: OnStart) {
        let _ = self.on_start.set(hook);
    }

    /// Puts an image on the host; one of this reference is replaced.
    ///
    /// # Errors
    /// As the database.
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

    /// Makes a step fail.
    ///
    /// # Errors
    /// As the database.
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
    /// As the database.
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

    /// Ends a container as if its program had ended.
    ///
    /// # Errors
    /// `NotFound` where there is none of this name.
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
        self.tell(false, &observed(&id, name, "die"));
        Ok(())
    }

    /// Fails where a fault was injected for this step and name.
    async fn strike(&self, step: Step, name: &str) -> Result<()> {
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
