//! Execution of calls by the simulated engine. It behaves like a separate
//! machine: a call that has reached it takes effect even if its caller died,
//! timed out or stopped waiting.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use db::{Row, Tx, values};
use futures_util::stream;
use kernel::{Error, Result, clock};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::fault_injector::{Call, CallKind, Delivery, Outcome};
use super::{Simulator, Step};
use crate::{Actor, Events, Observed};

/// A listener with more pending events than this loses its stream.
const BEHIND: usize = 4096;

/// Effect of an engine restart on the containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// They continue to run.
    Keep,
    /// They stop with the engine; those with a restart policy start again with
    /// it.
    Stop,
}

/// A recorded effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// Effects are numbered in order.
    pub seq: i64,
    pub at_micros: i64,
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

/// The parts of an engine that a restart does not keep, shared by all processes
/// that use it.
#[derive(Default)]
pub(super) struct EngineProcess {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    down: bool,
    /// Number of starts: a call that was in progress when the engine stopped
    /// has no effect.
    boot: u64,
    /// Names reserved by creations in progress.
    registering: BTreeMap<String, usize>,
    listeners: Vec<Listener>,
}

struct Listener {
    networks: bool,
    process: Arc<str>,
    sender: mpsc::Sender<Observed>,
}

impl EngineProcess {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_registering(&self, name: &str) -> bool {
        self.state().registering.contains_key(name)
    }

    fn reserve(&self, name: &str) {
        *self.state().registering.entry(name.to_owned()).or_default() += 1;
    }

    fn release(&self, name: &str) {
        let mut state = self.state();
        if let Some(count) = state.registering.get_mut(name) {
            *count -= 1;
            if *count == 0 {
                state.registering.remove(name);
            }
        }
    }
}

impl Simulator {
    /// Handles a call that changes nothing: applies faults and latency before
    /// the answer is read.
    pub(super) async fn asked(&self, kind: CallKind, object: &str) -> Result<()> {
        self.boot()?;
        let injected = self
            .fault_injector
            .decide_call(&self.call(kind, object, None));
        sleep(injected.delay).await;
        match injected.outcome {
            Outcome::Answered => self.boot().map(|_| ()),
            Outcome::Refused(e) => Err(e),
            Outcome::AnswerLost | Outcome::Late(_) | Outcome::Registering(_) => {
                Err(no_answer(kind, object))
            }
        }
    }

    /// Executes a change. `effect` runs in a task of the engine after `latency`
    /// and the delay added by the fault injector.
    pub(super) async fn perform<T, F, Fut>(
        &self,
        (kind, object, actor): (CallKind, &str, Option<Actor>),
        step: Option<Step>,
        latency: Duration,
        effect: F,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(Self) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T>> + Send,
    {
        let boot = self.boot()?;
        if let Some(step) = step {
            self.fail_if_injected(step, object).await?;
        }
        let injected = self
            .fault_injector
            .decide_call(&self.call(kind, object, actor));
        let (lost, later, reserved) = match injected.outcome {
            Outcome::Answered => (false, None, false),
            Outcome::AnswerLost => (true, None, false),
            Outcome::Late(later) => (true, Some(later), false),
            Outcome::Registering(later) => (true, Some(later), true),
            Outcome::Refused(e) => {
                sleep(injected.delay).await;
                return Err(e);
            }
        };
        if reserved {
            self.machine.reserve(object);
        }
        let (engine, name) = (self.clone(), object.to_owned());
        let wait = latency + injected.delay + later.unwrap_or_default();
        #[expect(
            clippy::disallowed_methods,
            reason = "a call continues in the engine after its caller died or timed out"
        )]
        let work = tokio::spawn(async move {
            sleep(wait).await;
            if reserved {
                engine.machine.release(&name);
            }
            if engine.boot()? != boot {
                return Err(engine.away());
            }
            effect(engine).await
        });
        if later.is_some() {
            sleep(injected.delay).await;
            return Err(no_answer(kind, object));
        }
        let done = work.await.map_err(Error::internal)?;
        if lost {
            return Err(no_answer(kind, object));
        }
        done
    }

    /// The number of the engine start that answers.
    fn boot(&self) -> Result<u64> {
        let state = self.machine.state();
        if state.down {
            drop(state);
            return Err(self.away());
        }
        Ok(state.boot)
    }

    fn away(&self) -> Error {
        Error::unavailable(format!(
            "the simulated engine of host {} does not answer",
            self.config.host
        ))
    }

    fn call(&self, kind: CallKind, object: &str, actor: Option<Actor>) -> Call {
        Call {
            kind,
            object: object.to_owned(),
            actor,
            process: self.process.to_string(),
        }
    }

    /// Stops the engine and starts it again after `away`. Until then every call
    /// fails, event streams end, and calls in progress have no effect.
    ///
    /// # Errors
    /// Fails if the database fails.
    pub async fn restart_engine(&self, away: Duration, containers: Restart) -> Result<()> {
        {
            let mut state = self.machine.state();
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
        sleep(away).await;
        self.machine.state().down = false;
        if containers == Restart::Stop {
            self.start_again().await?;
        }
        Ok(())
    }

    /// Subscribes to events from now on.
    pub(super) fn listen(&self, networks: bool) -> Events {
        let (sender, receiver) = mpsc::channel(BEHIND);
        self.machine.state().listeners.push(Listener {
            networks,
            process: self.process.clone(),
            sender,
        });
        Box::pin(stream::unfold(receiver, |mut r| async move {
            r.recv().await.map(|event| (event, r))
        }))
    }

    /// Sends an event to the listeners of all processes. A listener that does
    /// not keep up loses its stream and has to list again.
    #[expect(clippy::disallowed_methods, reason = "an event may be late")]
    pub(super) fn notify_listeners(&self, networks: bool, event: &Observed) {
        let fault_injector = self.fault_injector.clone();
        self.machine.state().listeners.retain(|l| {
            if l.networks != networks {
                return !l.sender.is_closed();
            }
            match fault_injector.decide_delivery(event, &l.process) {
                Delivery::Now => l.sender.try_send(event.clone()).is_ok(),
                Delivery::Lost => !l.sender.is_closed(),
                Delivery::After(wait) => {
                    let (sender, event) = (l.sender.clone(), event.clone());
                    tokio::spawn(async move {
                        sleep(wait).await;
                        // A closed stream needs no event.
                        let _ = sender.try_send(event);
                    });
                    true
                }
            }
        });
    }

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
        values![clock::now_micros(), call, object, name, id, engine_id, epoch],
    )
    .await
    .map(|_| ())
}

fn effect(row: &Row) -> Result<Effect> {
    Ok(Effect {
        seq: row.int("seq")?,
        at_micros: row.int("at")?,
        call: row.text("call")?,
        object: row.text("object")?,
        name: row.text("name")?,
        id: row.text("id")?,
        engine_id: row.text("engine_id")?,
        epoch: row.opt_int("epoch")?,
    })
}

fn no_answer(kind: CallKind, object: &str) -> Error {
    Error::timeout(format!("no answer in time to {kind:?} {object}"))
}
