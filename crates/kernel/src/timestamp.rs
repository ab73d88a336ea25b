//! Points in time.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in time, UTC, in microseconds since the Unix epoch: a `bigint` in
/// tables, a number in stored JSON. Arithmetic stops at the ends of the range.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// Microseconds of a second.
const SECOND: i64 = 1_000_000;

impl Timestamp {
    /// The Unix epoch; as a stored time it means "never".
    pub const EPOCH: Self = Self(0);
    /// Later than any other time.
    pub const MAX: Self = Self(i64::MAX);

    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(SECOND))
    }

    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(SECOND)
    }

    /// The time from `earlier` to this one; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// As Magnum and Heat write times: `2026-11-21T14:22:26+00:00`.
    #[must_use]
    pub fn iso_offset(self) -> String {
        format!("{}+00:00", self.strftime())
    }

    /// As Keystone writes times: `2026-11-21T14:22:26.000000Z`.
    #[must_use]
    pub fn iso_micros_z(self) -> String {
        format!("{}.{:06}Z", self.strftime(), self.0.rem_euclid(SECOND))
    }

    /// As Nova, Glance and Neutron write times: `2026-11-21T14:22:26Z`.
    #[must_use]
    pub fn iso_z(self) -> String {
        format!("{}Z", self.strftime())
    }

    /// Parses an ISO 8601 time with `Z` or an offset; `None` if it is invalid.
    #[must_use]
    pub fn parse_iso(text: &str) -> Option<Self> {
        let time = text.parse::<jiff::Timestamp>().ok()?;
        Some(Self(time.as_microsecond()))
    }

    /// Empty beyond the years that have four digits.
    fn strftime(self) -> String {
        jiff::Timestamp::from_microsecond(self.0)
            .map(|t| t.strftime("%Y-%m-%dT%H:%M:%S").to_string())
            .unwrap_or_default()
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} µs)", self.iso_micros_z(), self.0)
    }
}

/// As microseconds, for SQL and traces; answers choose a format of a service.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }
}

impl AddAssign<Duration> for Timestamp {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(micros(duration)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_each_service_does_and_read_again() {
        let time = Timestamp::from_micros(1_795_184_546_000_120);
        assert_eq!(time.iso_offset(), "2026-11-20T14:22:26+00:00");
        assert_eq!(time.iso_micros_z(), "2026-11-20T14:22:26.000120Z");
        assert_eq!(time.iso_z(), "2026-11-20T14:22:26Z");
        assert_eq!(Timestamp::parse_iso(&time.iso_micros_z()), Some(time));
        assert_eq!(Timestamp::parse_iso("2026-11-20"), None);
        assert_eq!(serde_json::to_string(&time).unwrap(), "1795184546000120");
    }

    #[test]
    fn arithmetic_stops_at_the_ends() {
        let second = Duration::from_secs(1);
        assert_eq!(Timestamp::MAX + second, Timestamp::MAX);
        assert_eq!(Timestamp::EPOCH.since(Timestamp::MAX), Duration::ZERO);
        assert_eq!((Timestamp::EPOCH + second).since(Timestamp::EPOCH), second);
        assert_eq!(Timestamp::from_micros(-1).as_seconds(), -1);
    }
}
