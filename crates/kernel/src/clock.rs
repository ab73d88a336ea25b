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

/// Smaller differences are caused by latency and are not corrected;
/// microseconds.
const TOLERANCE: i64 = 20_000;

/// A clock that replaces the clock of the machine in this thread, for
/// simulations.
pub trait Simulated {
    /// Microseconds since the Unix epoch, as seen by the running server.
    fn now_micros(&self) -> i64;

    /// Microseconds since the Unix epoch, as seen by the database.
    fn database_micros(&self) -> i64;

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

/// Microseconds since the Unix epoch, UTC: the unit of every time column.
#[must_use]
pub fn now_micros() -> i64 {
    static START: OnceLock<(Instant, i64)> = OnceLock::new();
    if let Some(clock) = simulated() {
        return clock.now_micros();
    }
    let (start, wall) = *START.get_or_init(|| {
        #[expect(
            clippy::disallowed_methods,
            reason = "the only reader of the wall clock"
        )]
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        (
            Instant::now(),
            i64::try_from(wall.as_micros()).unwrap_or(i64::MAX),
        )
    });
    let elapsed = i64::try_from(start.elapsed().as_micros()).unwrap_or(i64::MAX);
    wall.saturating_add(elapsed)
        .saturating_add(OFFSET.load(Ordering::Relaxed))
}

/// The time of a database in this process.
#[must_use]
pub fn database_micros() -> i64 {
    simulated().map_or_else(now_micros, |clock| clock.database_micros())
}

/// Corrects the clock: the database showed `theirs` at a time between `before`
/// and `after`, both read from [`now_micros`].
pub fn align(before: i64, theirs: i64, after: i64) {
    let behind = theirs - (before + (after - before) / 2);
    let latency = (after - before) / 2;
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

/// Formats a time like Magnum and Heat: `2026-11-21T14:22:26+00:00`.
#[must_use]
pub fn iso_offset(micros: i64) -> String {
    format!("{}+00:00", strftime(micros, "%Y-%m-%dT%H:%M:%S"))
}

/// Formats a time like Keystone: `2026-11-21T14:22:26.000000Z`.
#[must_use]
pub fn iso_micros_z(micros: i64) -> String {
    format!(
        "{}.{:06}Z",
        strftime(micros, "%Y-%m-%dT%H:%M:%S"),
        micros.rem_euclid(1_000_000)
    )
}

/// Formats a time like Nova, Glance and Neutron: `2026-11-21T14:22:26Z`.
#[must_use]
pub fn iso_z(micros: i64) -> String {
    format!("{}Z", strftime(micros, "%Y-%m-%dT%H:%M:%S"))
}

/// Parses an ISO 8601 time with `Z` or an offset; `None` if it is invalid.
#[must_use]
pub fn parse_iso(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>()
        .ok()
        .map(|t| t.as_microsecond())
}

fn strftime(micros: i64, format: &str) -> String {
    jiff::Timestamp::from_microsecond(micros)
        .map(|t| t.strftime(format).to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(RefCell<i64>);

    impl Simulated for Fixed {
        fn now_micros(&self) -> i64 {
            *self.0.borrow()
        }

        fn database_micros(&self) -> i64 {
            0
        }

        fn advance(&self, micros: i64) {
            *self.0.borrow_mut() += micros;
        }
    }

    #[test]
    fn a_clock_that_is_behind_the_database_catches_up_and_latency_does_not_count() {
        simulate(Some(Rc::new(Fixed(RefCell::new(1_000_000)))));
        align(1_000_000, 6_000_000, 1_000_010);
        assert_eq!(now_micros(), 5_999_995);
        // An answer that took two seconds has no precision below one second.
        align(6_000_000, 6_500_000, 8_000_000);
        assert_eq!(now_micros(), 5_999_995);
        simulate(None);
    }
}
