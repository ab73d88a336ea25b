//! What goes wrong while the faults last: in the database, in the engine, and
//! on the way of calls from one service to another.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use db::{Interference, Point};
use infra::Observed;
use infra::sim::{Call, CallKind, Delivery, Fate, Oracle, Outcome};
use kernel::{Error, Kind, Result};
use tokio::time::Instant;

use crate::chance::Chance;
use crate::trace::Trace;
use crate::users::ABORTED;

/// How often each fault happens in this simulation, as a share of all cases.
#[derive(Debug, Clone, Copy)]
pub struct Shares {
    pub aborted: f64,
    pub answer_of_commit_lost: f64,
    pub database_away: f64,
    pub notification_lost: f64,
    pub engine_refuses: f64,
    pub engine_answer_lost: f64,
    pub engine_late: f64,
    pub engine_slow: f64,
    pub event_lost: f64,
    pub call_delayed: f64,
}

impl Shares {
    /// Drawn for a seed: each simulation has its own mixture, and some have
    /// none of a kind.
    #[must_use]
    pub fn draw(chance: &Chance) -> Self {
        let some = |most: u64| {
            let most = if chance.hits(0.6) { most } else { 0 };
            // Per mille, as a share.
            f64::from(u32::try_from(chance.number(0, most)).unwrap_or(0)) / 1000.0
        };
        Self {
            aborted: some(30),
            answer_of_commit_lost: some(15),
            database_away: some(4),
            notification_lost: some(300),
            engine_refuses: some(100),
            engine_answer_lost: some(100),
            engine_late: some(300),
            engine_slow: some(250),
            event_lost: some(300),
            call_delayed: some(350),
        }
    }

    /// Nothing fails and nobody is stopped, but every call of the engine takes
    /// longer than a lease.
    #[must_use]
    pub fn slow_engine() -> Self {
        Self {
            aborted: 0.0,
            answer_of_commit_lost: 0.0,
            database_away: 0.0,
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

/// What workers have written and called, as an observer sees it.
#[derive(Default)]
struct Seen {
    /// The newest epoch that has written for a key.
    epochs: BTreeMap<(String, String), i64>,
    /// The newest generation of which a call for an object was answered.
    generations: BTreeMap<String, i64>,
    stale_writes: Vec<String>,
    stale_calls: Vec<String>,
}

struct State {
    active: AtomicBool,
    /// The database fails over until then: nobody reaches it.
    failover: Mutex<Option<Instant>>,
    seen: Mutex<Seen>,
    calm: bool,
    shares: Shares,
    chance: Chance,
    trace: Trace,
}

impl Faults {
    #[must_use]
    pub fn new(seed: u64, trace: &Trace) -> Self {
        let chance = Chance::of(seed, 1);
        let calm = chance.hits(0.1);
        let shares = if calm {
            Shares::slow_engine()
        } else {
            Shares::draw(&chance)
        };
        Self(Arc::new(State {
            active: AtomicBool::new(true),
            failover: Mutex::default(),
            seen: Mutex::default(),
            calm,
            shares,
            chance,
            trace: trace.clone(),
        }))
    }

    /// Whether only the engine is slow: then no lease may be lost.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        self.0.calm
    }

    /// From now on nothing goes wrong by chance.
    pub fn end(&self) {
        self.0.active.store(false, Ordering::SeqCst);
    }

    /// The database is away for all servers, as while a standby takes over:
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
        self.0.active.load(Ordering::SeqCst) && self.0.chance.hits(share)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which writes of workers came after those of a newer epoch.
    #[must_use]
    pub fn stale_writes(&self) -> Vec<String> {
        self.seen().stale_writes.clone()
    }

    /// Which calls between services were accepted after those of a newer
    /// generation had been.
    #[must_use]
    pub fn stale_calls(&self) -> Vec<String> {
        self.seen().stale_calls.clone()
    }

    fn wrote(&self, kind: &str, id: &str, epoch: i64) {
        let mut seen = self.seen();
        let key = (kind.to_owned(), id.to_owned());
        let newest = seen.epochs.entry(key).or_insert(epoch);
        if epoch < *newest {
            let what = format!("{kind} {id} by epoch {epoch} after epoch {newest}");
            self.0.trace.tell(format!("stale write: {what}"));
            seen.stale_writes.push(what);
        } else {
            *newest = epoch;
        }
    }

    /// The newest generation of which a call for this object was accepted.
    #[must_use]
    pub fn newest_call(&self, id: &str) -> Option<i64> {
        self.seen().generations.get(id).copied()
    }

    /// A call was accepted. `newest`: of the calls that had been accepted
    /// before this one was made.
    pub fn called(&self, what: &str, id: &str, generation: i64, newest: Option<i64>) {
        let mut seen = self.seen();
        if let Some(newest) = newest.filter(|newest| generation < *newest) {
            let what = format!("{what} for {id} after one of generation {newest}");
            self.0.trace.tell(format!("stale call: {what}"));
            seen.stale_calls.push(what);
        }
        let of_object = seen.generations.entry(id.to_owned()).or_insert(generation);
        *of_object = generation.max(*of_object);
    }

    /// A call between services has been answered.
    pub fn tell(&self, what: &str, refused: Option<String>) {
        let answer = refused.unwrap_or_else(|| "done".into());
        self.0.trace.tell(format!("{what}: {answer}"));
    }

    /// Whether a call between services is delayed, and for how long: its
    /// caller sees a timeout, and the call takes place afterwards.
    #[must_use]
    pub fn delays_call(&self, what: &str) -> Option<Duration> {
        if !self.hits(self.0.shares.call_delayed) {
            return None;
        }
        let delay = self.0.chance.seconds(1, 40);
        self.0
            .trace
            .tell(format!("fault: {what} is delayed by {delay:?}"));
        Some(delay)
    }
}

#[async_trait]
impl Interference for Faults {
    async fn at(&self, point: Point<'_>) -> Result<()> {
        let State {
            shares,
            chance,
            trace,
            ..
        } = &*self.0;
        trace.note(format!("{point:?}"));
        if let Point::Fenced { kind, id, epoch } = point {
            self.wrote(kind, id, epoch);
            return Ok(());
        }
        if self.fails_over() {
            // Refused at once, or the pause would pass in no time.
            tokio::time::sleep(Duration::from_millis(50)).await;
            return match point {
                // The commit is there already.
                Point::Committed => Err(Error::unavailable("the connection is gone")),
                _ => Err(Error::unavailable("The database does not answer.")),
            };
        }
        if chance.hits(0.25) {
            tokio::time::sleep(chance.time(Duration::ZERO, Duration::from_millis(3))).await;
        } else {
            tokio::task::yield_now().await;
        }
        if self.hits(shares.database_away) {
            trace.tell(format!("fault: the database does not answer at {point:?}"));
            return Err(Error::unavailable("The database does not answer."));
        }
        match point {
            Point::Statement(sql) if self.hits(shares.aborted / 4.0) => {
                trace.tell(format!("fault: deadlock at {sql}"));
                Err(Error::new(Kind::Aborted, ABORTED))
            }
            Point::Commit if self.hits(shares.aborted) => {
                trace.tell("fault: serialization failure at commit");
                Err(Error::new(Kind::Aborted, ABORTED))
            }
            Point::Committed if self.hits(shares.answer_of_commit_lost) => {
                trace.tell("fault: the answer of a commit is lost");
                Err(Error::unavailable("the connection is gone"))
            }
            _ => Ok(()),
        }
    }

    fn is_heard(&self) -> bool {
        !self.hits(self.0.shares.notification_lost)
    }
}

impl Oracle for Faults {
    fn fate(&self, call: &Call) -> Fate {
        let State { shares, chance, .. } = &*self.0;
        let mut fate = Fate {
            delay: chance.time(Duration::ZERO, Duration::from_millis(30)),
            outcome: Outcome::Answered,
        };
        if matches!(call.kind, CallKind::Events | CallKind::NetworkEvents) {
            return fate;
        }
        if self.hits(shares.engine_slow) {
            fate.delay = chance.seconds(if self.0.calm { 8 } else { 1 }, 18);
        }
        let changes = call.actor.is_some();
        if self.hits(shares.engine_refuses) {
            fate.outcome = Outcome::Refused(Error::unavailable("The engine does not answer."));
        } else if changes && self.hits(shares.engine_answer_lost) {
            fate.outcome = Outcome::AnswerLost;
        } else if changes && self.hits(shares.engine_late) {
            let later = chance.seconds(1, 25);
            let created = matches!(call.kind, CallKind::Create | CallKind::NetworkEnsure);
            fate.outcome = if created && chance.hits(0.5) {
                Outcome::Registering(later)
            } else {
                Outcome::Late(later)
            };
        }
        if !matches!(fate.outcome, Outcome::Answered) || fate.delay > Duration::from_secs(1) {
            self.0.trace.tell(format!(
                "fault: {:?} {} after {:?}: {:?}",
                call.kind, call.object, fate.delay, fate.outcome
            ));
        }
        fate
    }

    fn delivery(&self, event: &Observed, _: &str) -> Delivery {
        if self.hits(self.0.shares.event_lost) {
            self.0.trace.tell(format!(
                "fault: event {} of {} is lost",
                event.action, event.name
            ));
            return Delivery::Lost;
        }
        Delivery::Now
    }
}
