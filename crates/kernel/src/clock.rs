//! The only module that reads the wall clock.
//!
//! The wall clock is read once, at the first use. From then on time advances
//! with the monotonic clock, so that a jump of the wall clock (NTP, an
//! operator, a resumed virtual machine) changes nothing in a running process.
//! Servers that share a database align themselves with its clock ([`align`]),
//! so that times in their rows are comparable although the clocks of their
//! machines differ.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::Timestamp;

/// Smaller differences are caused by latency and are not corrected;
/// microseconds.
const TOLERANCE: i64 = 20_000;

/// A clock that replaces the clock of the machine in this thread, for
/// simulations.
pub trait Simulated {
    /// The time as the running server sees it.
    fn now(&self) -> Timestamp;

    /// The time as the database sees it.
    fn database_now(&self) -> Timestamp;

    /// Corrects the clock of the running server, which is `micros` behind.
    fn advance(&self, micros: i64);
}

thread_local! {
    static SIMULATED: RefCell<Option<Rc<dyn Simulated>>> = const { RefCell::new(None) };
}

/// Replaces the clock of this thread; `None` restores the clock of the machine.
pub fn simulate(clock: Option<Rc<dyn Simulated>>) {
    SIMULATED.with_borrow_mut(|c| *c = clock);
}

fn simulated() -> Option<Rc<dyn Simulated>> {
    SIMULATED.with_borrow(Clone::clone)
}

/// Correction derived from the database clock, microseconds.
static OFFSET: AtomicI64 = AtomicI64::new(0);

/// The time of this process.
#[must_use]
pub fn now() -> Timestamp {
    static START: OnceLock<(Instant, Timestamp)> = OnceLock::new();
    if let Some(clock) = simulated() {
        return clock.now();
    }
    let (start, wall) = *START.get_or_init(|| {
        #[expect(
            clippy::disallowed_methods,
            reason = "the only reader of the wall clock"
        )]
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        (Instant::now(), Timestamp::EPOCH + wall)
    });
    let micros = (wall + start.elapsed()).as_micros();
    Timestamp::from_micros(micros.saturating_add(OFFSET.load(Ordering::Relaxed)))
}

/// The time of a database in this process.
#[must_use]
pub fn database_now() -> Timestamp {
    simulated().map_or_else(now, |clock| clock.database_now())
}

/// Corrects the clock: the database showed `theirs` at a time between `before`
/// and `after`, both read from [`now`].
pub fn align(before: Timestamp, theirs: Timestamp, after: Timestamp) {
    let latency = (after.as_micros() - before.as_micros()) / 2;
    let behind = theirs.as_micros() - (before.as_micros() + latency);
    if behind.abs() <= TOLERANCE.max(latency) {
        return;
    }
    match simulated() {
        Some(clock) => clock.advance(behind),
        None => {
            OFFSET.fetch_add(behind, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(RefCell<i64>);

    impl Simulated for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(*self.0.borrow())
        }

        fn database_now(&self) -> Timestamp {
            Timestamp::EPOCH
        }

        fn advance(&self, micros: i64) {
            *self.0.borrow_mut() += micros;
        }
    }

    #[test]
    fn a_clock_that_is_behind_the_database_catches_up_and_latency_does_not_count() {
        let at = Timestamp::from_micros;
        simulate(Some(Rc::new(Fixed(RefCell::new(1_000_000)))));
        align(at(1_000_000), at(6_000_000), at(1_000_010));
        assert_eq!(now(), at(5_999_995));
        // An answer that took two seconds has no precision below one second.
        align(at(6_000_000), at(6_500_000), at(8_000_000));
        assert_eq!(now(), at(5_999_995));
        simulate(None);
    }
}
