//! The only module that generates random ids.

use std::cell::RefCell;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use uuid::{Builder, Uuid};

thread_local! {
    static SEEDED: RefCell<Option<StdRng>> = const { RefCell::new(None) };
}

/// Derives all values of this thread from a seed, for simulations; `None`
/// restores the randomness of the system.
pub fn simulate(seed: Option<u64>) {
    SEEDED.with_borrow_mut(|r| *r = seed.map(StdRng::seed_from_u64));
}

/// 16 random bytes.
#[expect(clippy::disallowed_methods, reason = "the only source of random ids")]
fn bytes() -> [u8; 16] {
    SEEDED.with_borrow_mut(|seeded| match seeded {
        Some(rng) => {
            let mut drawn = [0; 16];
            rng.fill_bytes(&mut drawn);
            drawn
        }
        None => rand::random(),
    })
}

fn draw() -> Uuid {
    Builder::from_random_bytes(bytes()).into_uuid()
}

/// A random version 4 UUID with dashes, the id of most resources.
#[must_use]
pub fn uuid() -> String {
    draw().to_string()
}

/// A random UUID as 32 hex digits, the id form of Keystone.
#[must_use]
pub fn hex() -> String {
    draw().simple().to_string()
}

/// A request id as in all OpenStack services: `req-<uuid>`.
#[must_use]
pub fn request_id() -> String {
    format!("req-{}", draw())
}

/// Whether the text is a UUID in any of the forms that Python's `uuid.UUID`
/// accepts from OpenStack clients (with or without dashes).
#[must_use]
pub fn is_uuid_like(text: &str) -> bool {
    Uuid::try_parse(text).is_ok()
}

/// `length` random bytes from the system, as lower-case hex.
#[must_use]
pub fn secret_hex(length: usize) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(length * 2);
    while out.len() < length * 2 {
        for byte in bytes() {
            let _ = write!(out, "{byte:02x}");
        }
    }
    out.truncate(length * 2);
    out
}

/// A random fraction in `0.0..1.0`, for jitter of retries only.
#[must_use]
pub fn jitter() -> f64 {
    let [a, b, c, d, ..] = bytes();
    f64::from(u32::from_le_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_ids_again() {
        simulate(Some(7));
        let first = (uuid(), secret_hex(20), jitter());
        simulate(Some(7));
        assert_eq!((uuid(), secret_hex(20), jitter()), first);
        simulate(None);
        assert_ne!(uuid(), uuid());
        assert_eq!(secret_hex(20).len(), 40);
        assert!(is_uuid_like(&uuid()) && is_uuid_like(&hex()));
    }
}
