//! Times of tokens.

use std::ops::{Add, Sub};
use std::time::Duration;

use db::{Column, Row, Value};
use kernel::{Result, Timestamp, clock};

/// Lifetime of a token.
pub(crate) const LIFETIME: Duration = Duration::from_hours(1);
/// How long after its end a service may still validate a token.
pub(crate) const EXPIRED_WINDOW: Duration = Duration::from_hours(48);

/// The last second of the year 9999.
const LAST: i64 = 253_402_300_799;

/// A time in whole seconds since the Unix epoch, as tokens carry it and as the
/// columns of token times store it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TokenTime(i64);

impl TokenTime {
    /// Later than the end of any token.
    pub(crate) const MAX: Self = Self(i64::MAX);

    pub(crate) fn now() -> Self {
        clock::now().into()
    }

    /// `None` for a time that cannot be shown: a server that shares the keys
    /// could write any number.
    pub(crate) fn from_seconds(seconds: i64) -> Option<Self> {
        (0..=LAST).contains(&seconds).then_some(Self(seconds))
    }

    pub(crate) fn as_seconds(self) -> i64 {
        self.0
    }

    /// The next second.
    pub(crate) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// As Keystone writes times: `2026-11-21T14:22:26.000000Z`.
    pub(crate) fn iso(self) -> String {
        Timestamp::from(self).iso_micros_z()
    }
}

impl From<Timestamp> for TokenTime {
    fn from(time: Timestamp) -> Self {
        Self(time.as_seconds())
    }
}

impl From<TokenTime> for Timestamp {
    fn from(time: TokenTime) -> Self {
        Self::from_seconds(time.0)
    }
}

impl Add<Duration> for TokenTime {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(seconds(duration)))
    }
}

impl Sub<Duration> for TokenTime {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(seconds(duration)))
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

impl Column for TokenTime {
    fn read(row: &Row, name: &str) -> Result<Self> {
        row.int(name).map(Self)
    }

    fn value(&self) -> Result<Value> {
        Ok((*self).into())
    }
}

impl From<TokenTime> for Value {
    fn from(time: TokenTime) -> Self {
        time.0.into()
    }
}
