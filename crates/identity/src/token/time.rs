//! Times of tokens. Tokens have whole seconds, all other times microseconds.

use kernel::clock;

/// Lifetime of a token, seconds.
pub(crate) const LIFETIME: i64 = 3600;
/// How long after its end a service may still validate a token, seconds.
pub(crate) const EXPIRED_WINDOW: i64 = 172_800;

const MICROS: i64 = 1_000_000;

/// Seconds since the Unix epoch.
pub(crate) fn now() -> i64 {
    seconds(clock::now_micros())
}

/// The whole seconds of a time in microseconds.
pub(crate) fn seconds(micros: i64) -> i64 {
    micros / MICROS
}

/// A time or duration in seconds, in microseconds.
pub(crate) fn micros(seconds: i64) -> i64 {
    seconds * MICROS
}
