//! The one place that reads the wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since the Unix epoch, UTC: the unit of every time column.
#[must_use]
pub fn now_micros() -> i64 {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX)
}

/// A moment of a row as the OpenStack services print it:
/// `2026-11-21T14:22:26+00:00` (Magnum, Heat).
#[must_use]
pub fn iso_offset(micros: i64) -> String {
    format!("{}+00:00", strftime(micros, "%Y-%m-%dT%H:%M:%S"))
}

/// A moment as Keystone prints it: `2026-11-21T14:22:26.000000Z`.
#[must_use]
pub fn iso_micros_z(micros: i64) -> String {
    format!(
        "{}.{:06}Z",
        strftime(micros, "%Y-%m-%dT%H:%M:%S"),
        micros.rem_euclid(1_000_000)
    )
}

/// A moment as Nova, Glance and Neutron print it: `2026-11-21T14:22:26Z`.
#[must_use]
pub fn iso_z(micros: i64) -> String {
    format!("{}Z", strftime(micros, "%Y-%m-%dT%H:%M:%S"))
}

/// Parses an ISO 8601 moment with `Z` or an offset; `None` where it is none.
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
