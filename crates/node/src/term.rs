//! Validity periods of certificates, and when they are renewed.

use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Maximum sleep before the clock is checked again, because it may be set, and
/// machines are suspended.
const MAX_SLEEP: Duration = Duration::from_secs(3600);

/// The period in which a certificate is used, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Term {
    from: i64,
    until: i64,
}

impl Term {
    /// Of the first certificate in `pem`, which was stored in the file at
    /// `path`: signers date certificates back, so the age of the file is used.
    pub(crate) fn read(path: &Path, pem: &[u8]) -> Option<Self> {
        let der = CertificateDer::pem_slice_iter(pem).next()?.ok()?;
        let (_, certificate) = X509Certificate::from_der(&der).ok()?;
        let validity = certificate.validity();
        let micros = |seconds: i64| seconds.saturating_mul(1_000_000);
        let written = fs::metadata(path).and_then(|m| m.modified()).ok();
        let written = written
            .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
            .and_then(|age| i64::try_from(age.as_micros()).ok());
        let not_before = micros(validity.not_before.timestamp());
        Some(Self {
            from: written.unwrap_or(not_before).max(not_before),
            until: micros(validity.not_after.timestamp()),
        })
    }

    /// Of a file that holds nothing else.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        Self::read(path, &fs::read(path).ok()?)
    }

    pub(crate) fn is_over(self, now: i64) -> bool {
        self.until <= now
    }

    /// The remaining lifetime.
    pub(crate) fn left(self, now: i64) -> Duration {
        Duration::from_micros(u64::try_from(self.until - now).unwrap_or(0))
    }

    /// When to renew: after two thirds, or up to a fifteenth earlier. `early`
    /// is 0 to 1, drawn once, so that nodes created together do not renew
    /// together.
    pub(crate) fn due(self, early: f64) -> i64 {
        let life = (self.until - self.from).max(0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "a moment within a fifteenth of a life"
        )]
        let sooner = (life as f64 / 15.0 * early.clamp(0.0, 1.0)) as i64;
        self.from + life / 3 * 2 - sooner
    }
}

/// How long to sleep until `due`.
pub(crate) fn sleep_duration(due: i64, now: i64) -> Duration {
    Duration::from_micros(u64::try_from(due - now).unwrap_or(0)).min(MAX_SLEEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_is_asked_for_at_two_thirds() {
        let term = Term {
            from: 1_000,
            until: 4_000,
        };
        assert_eq!(term.due(0.0), 3_000);
        assert_eq!(term.due(1.0), 2_800);
        assert_eq!(term.left(3_000), Duration::from_micros(1_000));
        assert_eq!(term.left(5_000), Duration::ZERO);
        assert!(term.is_over(4_000) && !term.is_over(3_999));
        assert_eq!(sleep_duration(i64::MAX, 0), MAX_SLEEP);
        assert_eq!(sleep_duration(0, 5), Duration::ZERO);
    }

    #[test]
    fn the_files_age_counts_and_not_what_the_signer_dated_back() {
        let ca = pki::Ca::generate("c").unwrap();
        let options = pki::SignOptions {
            seconds: 90,
            ..pki::SignOptions::server("n", Vec::new())
        };
        let issued = ca.issue(pki::Subject::cn("n"), &options).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("n.crt");
        fs::write(&path, &issued.cert_pem).unwrap();
        let term = Term::of(&path).unwrap();
        let life = term.until - term.from;
        assert!((60_000_000..=91_000_000).contains(&life), "{life}");
        fs::write(&path, "none").unwrap();
        assert_eq!(Term::of(&path), None);
    }
}
