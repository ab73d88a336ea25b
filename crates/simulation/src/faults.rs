//! Injected faults: in the database, in the engine, and in calls between
//! services.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use db::{DatabaseFaults, Point};
use infra::Observed;
use infra::sim::{Call, CallKind, Delivery, FaultInjector, InjectedFault, Outcome};
use kernel::{Error, Kind, Result};
use tokio::time::Instant;

use crate::rng::SeededRng;
use crate::trace::Trace;

/// Error text of the database for an aborted transaction.
pub const ABORTED: &str = "conflicting transactions";

/// Probability of each fault in this simulation.
#[derive(Debug, Clone, Copy)]
pub struct FaultRates {
    pub aborted: f64,
    pub answer_of_commit_lost: f64,
    pub database_unavailable: f64,
    pub notification_lost: f64,
    pub engine_refuses: f64,
    pub engine_answer_lost: f64,
    pub engine_late: f64,
    pub engine_slow: f64,
    pub event_lost: f64,
    pub call_delayed: f64,
}

impl FaultRates {
    /// Draws the probabilities of a simulation, some of which are zero.
    #[must_use]
    pub fn draw(rng: &SeededRng) -> Self {
        // A probability of at most `max` per mille.
        let rate = |max: u64| {
            let max = if rng.hits(0.6) { max } else { 0 };
            f64::from(u32::try_from(rng.number(0, max)).unwrap_or(0)) / 1000.0
        };
        Self {
            aborted: rate(30),
            answer_of_commit_lost: rate(15),
            database_unavailable: rate(4),
            notification_lost: rate(300),
            engine_refuses: rate(100),
            engine_answer_lost: rate(100),
            engine_late: rate(300),
            engine_slow: rate(250),
            event_lost: rate(300),
            call_delayed: rate(350),
        }
    }

    /// The rates of a simulation in which nothing fails, but every call of the engine
    /// is slow.
    #[must_use]
    pub fn slow_engine() -> Self {
        Self {
            aborted: 0.0,
            answer_of_commit_lost: 0.0,
            database_unavailable: 0.0,
            notification_lost: 0.0,
            engine_refuses: 0.0,
            engine_answer_lost: 0.0,
            engine_late: 0.0,
            engine_slow: 1.0,
            event_lost: 0.0,
            call_delayed: 0.0,
        }
    }
}

/// The faults of one simulation; cheap to clone.
#[derive(Clone)]
pub struct Faults(Arc<State>);

/// Writes and calls of workers, as recorded by an observer.
#[derive(Default)]
struct Recorded {
    /// The newest epoch that has written a key.
    epochs: BTreeMap<(String, String), i64>,
    /// The newest generation of an answered call for an object.
    generations: BTreeMap<String, i64>,
    stale_writes: Vec<String>,
    stale_calls: Vec<String>,
}

struct State {
    active: AtomicBool,
    /// End of the failover of the database, which is unreachable until then.
    failover: Mutex<Option<Instant>>,
    recorded: Mutex<Recorded>,
    only_slow: bool,
    rates: FaultRates,
    rng: SeededRng,
    trace: Trace,
}

impl Faults {
    #[must_use]
    pub fn new(seed: u64, trace: &Trace) -> Self {
        let rng = SeededRng::of(seed, 1);
        let only_slow = rng.hits(0.1);
        let rates = if only_slow {
            FaultRates::slow_engine()
        } else {
            FaultRates::draw(&rng)
        };
        Self(Arc::new(State {
            active: AtomicBool::new(true),
            failover: Mutex::default(),
            recorded: Mutex::default(),
            only_slow,
            rates,
            rng,
            trace: trace.clone(),
        }))
    }

    /// Whether only the engine is slow, so that no lease may be lost.
    #[must_use]
    pub fn is_only_slow(&self) -> bool {
        self.0.only_slow
    }

    /// Stops injecting random faults.
    pub fn end(&self) {
        self.0.active.store(false, Ordering::SeqCst);
    }

    /// Makes the database unavailable to all servers, as during a failover:
    /// open transactions are lost.
    pub fn fail_over(&self, pause: Duration) {
        let mut until = self
            .0
            .failover
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *until = Some(Instant::now() + pause);
    }

    fn fails_over(&self) -> bool {
        let until = self
            .0
            .failover
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let active = self.0.active.load(Ordering::SeqCst);
        active && until.is_some_and(|until| Instant::now() < until)
    }

    fn hits(&self, share: f64) -> bool {
        self.0.active.load(Ordering::SeqCst) && self.0.rng.hits(share)
    }

    fn recorded(&self) -> MutexGuard<'_, Recorded> {
        self.0
            .recorded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes of workers after those of a newer epoch.
    #[must_use]
    pub fn stale_writes(&self) -> Vec<String> {
        self.recorded().stale_writes.clone()
    }

    /// Calls between services that were accepted after those of a newer
    /// generation.
    #[must_use]
    pub fn stale_calls(&self) -> Vec<String> {
        self.recorded().stale_calls.clone()
    }

    fn wrote(&self, kind: &str, id: &str, epoch: i64) {
        let mut recorded = self.recorded();
        let key = (kind.to_owned(), id.to_owned());
        let newest = recorded.epochs.entry(key).or_insert(epoch);
        if epoch < *newest {
            let what = format!("{kind} {id} by epoch {epoch} after epoch {newest}");
            self.0.trace.record_line(format!("stale write: {what}"));
            recorded.stale_writes.push(what);
        } else {
            *newest = epoch;
        }
    }

    /// The newest generation of an accepted call for this object.
    #[must_use]
    pub fn newest_call(&self, id: &str) -> Option<i64> {
        self.recorded().generations.get(id).copied()
    }

    /// Records an accepted call. `newest`: the newest generation accepted
    /// before this call was made.
    pub fn called(&self, what: &str, id: &str, generation: i64, newest: Option<i64>) {
        let mut recorded = self.recorded();
        if let Some(newest) = newest.filter(|newest| generation < *newest) {
            let what = format!("{what} for {id} after one of generation {newest}");
            self.0.trace.record_line(format!("stale call: {what}"));
            recorded.stale_calls.push(what);
        }
        let of_object = recorded
            .generations
            .entry(id.to_owned())
            .or_insert(generation);
        *of_object = generation.max(*of_object);
    }

    /// Records an answered call between services.
    pub fn record_answer(&self, what: &str, refused: Option<String>) {
        let answer = refused.unwrap_or_else(|| "done".into());
        self.0.trace.record_line(format!("{what}: {answer}"));
    }

    /// Whether and how long a call between services is delayed: its caller sees
    /// a timeout, and the call takes effect afterwards.
    #[must_use]
    pub fn delays_call(&self, what: &str) -> Option<Duration> {
        if !self.hits(self.0.rates.call_delayed) {
            return None;
        }
        let delay = self.0.rng.seconds(1, 40);
        self.0
            .trace
            .record_line(format!("fault: {what} is delayed by {delay:?}"));
        Some(delay)
    }
}

#[async_trait]
impl DatabaseFaults for Faults {
    async fn at(&self, point: Point<'_>) -> Result<()> {
        let State {
            rates, rng, trace, ..
        } = &*self.0;
        trace.note(format!("{point:?}"));
        if let Point::Fenced { kind, id, epoch } = point {
            self.wrote(kind, id, epoch);
            return Ok(());
        }
        if self.fails_over() {
            // The refusal takes some time, because the virtual clock would not
            // advance while servers retry at once.
            tokio::time::sleep(Duration::from_millis(50)).await;
            return match point {
                // The commit has taken place already.
                Point::Committed => Err(Error::unavailable("the connection is gone")),
                _ => Err(Error::unavailable("The database does not answer.")),
            };
        }
        if rng.hits(0.25) {
            tokio::time::sleep(rng.time(Duration::ZERO, Duration::from_millis(3))).await;
        } else {
            tokio::task::yield_now().await;
        }
        if self.hits(rates.database_unavailable) {
            trace.record_line(format!("fault: the database does not answer at {point:?}"));
            return Err(Error::unavailable("The database does not answer."));
        }
        match point {
            Point::Statement(sql) if self.hits(rates.aborted / 4.0) => {
                trace.record_line(format!("fault: deadlock at {sql}"));
                Err(Error::new(Kind::Aborted, ABORTED))
            }
            Point::Commit if self.hits(rates.aborted) => {
                trace.record_line("fault: serialization failure at commit");
                Err(Error::new(Kind::Aborted, ABORTED))
            }
            Point::Committed if self.hits(rates.answer_of_commit_lost) => {
                trace.record_line("fault: the answer of a commit is lost");
                Err(Error::unavailable("the connection is gone"))
            }
            _ => Ok(()),
        }
    }

    fn delivers_notification(&self) -> bool {
        !self.hits(self.0.rates.notification_lost)
    }
}

impl FaultInjector for Faults {
    fn decide_call(&self, call: &Call) -> InjectedFault {
        let State { rates, rng, .. } = &*self.0;
        let mut injected = InjectedFault {
            delay: rng.time(Duration::ZERO, Duration::from_millis(30)),
            outcome: Outcome::Answered,
        };
        if matches!(call.kind, CallKind::Events | CallKind::NetworkEvents) {
            return injected;
        }
        if self.hits(rates.engine_slow) {
            injected.delay = rng.seconds(if self.0.only_slow { 8 } else { 1 }, 18);
        }
        let changes = call.actor.is_some();
        if self.hits(rates.engine_refuses) {
            injected.outcome = Outcome::Refused(Error::unavailable("The engine does not answer."));
        } else if changes && self.hits(rates.engine_answer_lost) {
            injected.outcome = Outcome::AnswerLost;
        } else if changes && self.hits(rates.engine_late) {
            let later = rng.seconds(1, 25);
            let created = matches!(call.kind, CallKind::Create | CallKind::NetworkEnsure);
            injected.outcome = if created && rng.hits(0.5) {
                Outcome::Registering(later)
            } else {
                Outcome::Late(later)
            };
        }
        if !matches!(injected.outcome, Outcome::Answered) || injected.delay > Duration::from_secs(1)
        {
            self.0.trace.record_line(format!(
                "fault: {:?} {} after {:?}: {:?}",
                call.kind, call.object, injected.delay, injected.outcome
            ));
        }
        injected
    }

    fn decide_delivery(&self, event: &Observed, _: &str) -> Delivery {
        if self.hits(self.0.rates.event_lost) {
            self.0.trace.record_line(format!(
                "fault: event {} of {} is lost",
                event.action, event.name
            ));
            return Delivery::Lost;
        }
        Delivery::Now
    }
}
