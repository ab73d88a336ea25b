//! Execution of calls by the simulated engine. It behaves like a separate
//! machine: a call that has reached it takes effect even if its caller died,
//! timed out or stopped waiting.

use std::future::Future;
use std::time::Duration;

use kernel::{Error, Result};
use tokio::time::sleep;

use super::fault::Step;
use super::fault_injector::{Call, CallKind, Outcome};
use super::simulator::Simulator;
use crate::Actor;

impl Simulator {
    /// Applies the delay and the fault of a call that changes nothing, before its
    /// answer is read.
    pub(super) async fn apply_read_faults(&self, kind: CallKind, object: &str) -> Result<()> {
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
            self.engine_process.reserve(object);
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
                engine.engine_process.release(&name);
            }
            if engine.boot()? != boot {
                return Err(engine.unavailable());
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

    /// The number of the engine's current start; fails while the engine is down.
    fn boot(&self) -> Result<u64> {
        let state = self.engine_process.state();
        if state.down {
            drop(state);
            return Err(self.unavailable());
        }
        Ok(state.boot)
    }

    fn unavailable(&self) -> Error {
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
}

fn no_answer(kind: CallKind, object: &str) -> Error {
    Error::timeout(format!("no answer in time to {kind:?} {object}"))
}
