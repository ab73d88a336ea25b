//! A simulated server process: all of its futures can be stopped, resumed or
//! killed at any await, as by SIGSTOP, SIGCONT and SIGKILL.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use std::time::Duration;

use kernel::{Timestamp, clock};
use tokio::time::{Instant, Sleep, sleep};

use crate::rng::SeededRng;

/// Maximum delay until a task of a resumed machine continues.
const MAX_RESUME_DELAY: Duration = Duration::from_millis(2500);

/// Start time of every simulation.
const START_TIME: Timestamp = Timestamp::from_seconds(1_790_000_000);

thread_local! {
    /// The process that is currently polled; `None` while the database, the engine
    /// or users are polled.
    static CURRENT: Cell<Option<usize>> = const { Cell::new(None) };
    /// Clock error of each process, microseconds.
    static SKEW: RefCell<Vec<i64>> = const { RefCell::new(Vec::new()) };
}

/// The simulated clock: tokio's virtual time, with an error for each process.
struct SimulatedClock(Instant);

impl clock::Simulated for SimulatedClock {
    fn now(&self) -> Timestamp {
        let skew = CURRENT.get().map_or(0, |process| {
            SKEW.with_borrow(|s| s.get(process).copied().unwrap_or(0))
        });
        Timestamp::from_micros(self.database_now().as_micros() + skew)
    }

    fn database_now(&self) -> Timestamp {
        START_TIME + self.0.elapsed()
    }

    fn advance(&self, micros: i64) {
        if let Some(process) = CURRENT.get() {
            SKEW.with_borrow_mut(|s| {
                if let Some(skew) = s.get_mut(process) {
                    *skew += micros;
                }
            });
        }
    }
}

/// Replaces the clock and the ids of this thread.
pub fn enter(seed: u64) {
    SKEW.with_borrow_mut(Vec::clear);
    CURRENT.set(None);
    clock::simulate(Some(Rc::new(SimulatedClock(Instant::now()))));
    kernel::ids::simulate(Some(seed));
}

/// Restores the clock and the randomness of this thread.
pub fn leave() {
    clock::simulate(None);
    kernel::ids::simulate(None);
}

/// A process that can be stopped and killed; cheap to clone.
#[derive(Clone)]
pub struct Process(Arc<State>);

struct State {
    /// Index into the list of clock errors.
    number: usize,
    stopped: AtomicBool,
    killed: AtomicBool,
    /// Number of resumes.
    resumes: AtomicU64,
    /// Set if a stop suspends the whole machine with its clocks, so that its timers
    /// do not notice the pause. Draws the delay until each task continues.
    suspended: Option<SeededRng>,
    /// Futures that wait for the resume.
    waiting: Mutex<Vec<Waker>>,
}

impl Process {
    /// A process with a clock error of `skew` microseconds.
    #[must_use]
    pub fn new(skew: i64, suspended: Option<SeededRng>) -> Self {
        let number = SKEW.with_borrow_mut(|s| {
            s.push(skew);
            s.len() - 1
        });
        Self(Arc::new(State {
            number,
            stopped: AtomicBool::new(false),
            killed: AtomicBool::new(false),
            resumes: AtomicU64::new(0),
            suspended,
            waiting: Mutex::default(),
        }))
    }

    /// Stops and resumes like SIGSTOP and SIGCONT.
    pub fn stop(&self, stopped: bool) {
        let was_stopped = self.0.stopped.swap(stopped, Ordering::SeqCst);
        if was_stopped && !stopped {
            self.0.resumes.fetch_add(1, Ordering::SeqCst);
        }
        self.wake();
    }

    /// Kills like SIGKILL: none of its futures is polled again.
    pub fn kill(&self) {
        self.0.killed.store(true, Ordering::SeqCst);
        self.wake();
    }

    fn wake(&self) {
        let waiting = std::mem::take(
            &mut *self
                .0
                .waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Runs a future as part of the process; `None` if it was killed.
    pub fn within<F>(&self, work: F) -> Within<F>
    where
        F: Future,
    {
        Within {
            process: self.clone(),
            work: Some(Box::pin(work)),
            resumes: self.0.resumes.load(Ordering::SeqCst),
            pause: None,
        }
    }

    /// A wrapper for [`flow::Tasks::within`].
    #[must_use]
    pub fn wrap(&self) -> flow::Wrap {
        let process = self.clone();
        Arc::new(move |task| {
            let within = process.within(task);
            Box::pin(async move {
                within.await;
            })
        })
    }
}

/// See [`Process::within`].
pub struct Within<F> {
    process: Process,
    work: Option<Pin<Box<F>>>,
    /// The number of resumes that this future has handled.
    resumes: u64,
    /// The delay after a resume.
    pause: Option<Pin<Box<Sleep>>>,
}

impl<F: Future> Future for Within<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let state = self.process.0.clone();
        if state.killed.load(Ordering::SeqCst) {
            let outer = CURRENT.replace(Some(state.number));
            self.work = None;
            CURRENT.set(outer);
            return Poll::Ready(None);
        }
        let mut waiting = state.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // A kill or a resume wakes this future, whatever it waits for.
        if !waiting.iter().any(|w| w.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        drop(waiting);
        if state.stopped.load(Ordering::SeqCst) {
            return Poll::Pending;
        }
        let resumes = state.resumes.load(Ordering::SeqCst);
        if self.resumes != resumes {
            self.resumes = resumes;
            self.pause = state
                .suspended
                .as_ref()
                .map(|rng| Box::pin(sleep(rng.time(Duration::ZERO, MAX_RESUME_DELAY))));
        }
        if let Some(pause) = &mut self.pause {
            if pause.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.pause = None;
        }
        let Some(work) = self.work.as_mut() else {
            return Poll::Ready(None);
        };
        let outer = CURRENT.replace(Some(state.number));
        let polled = work.as_mut().poll(cx);
        CURRENT.set(outer);
        polled.map(Some)
    }
}
