//! The one place that draws random ids.

use uuid::Uuid;

/// A random version 4 UUID with dashes, the id of most resources.
#[must_use]
pub fn uuid() -> String {
    Uuid::new_v4().to_string()
}

/// A random UUID as 32 hex digits, the id form of Keystone.
#[must_use]
pub fn hex() -> String {
    Uuid::new_v4().simple().to_string()
}

/// A request id as every OpenStack service prints it: `req-<uuid>`.
#[must_use]
pub fn request_id() -> String {
    format!("req-{}", Uuid::new_v4())
}

/// Whether the text is a UUID in any of the forms that Python's `uuid.UUID`
/// accepts from OpenStack clients (with or without dashes).
#[must_use]
pub fn is_uuid_like(text: &str) -> bool {
    Uuid::try_parse(text).is_ok()
}

/// `bytes` random bytes from the system, as lower-case hex.
#[must_use]
pub fn secret_hex(bytes: usize) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(bytes * 2);
    for _ in 0..bytes {
        let _ = write!(out, "{:02x}", rand::random::<u8>());
    }
    out
}

/// A random fraction in `0.0..1.0`, for jitter of retries only.
#[must_use]
pub fn jitter() -> f64 {
    rand::random::<f64>()
}
