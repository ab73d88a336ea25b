//! Validity periods of certificates, and when they are renewed.

use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use kernel::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Maximum sleep before the clock is checked again, because it may be set, and
/// machines are suspended.
const MAX_SLEEP: Duration = Duration::from_secs(3600);

/// The period in which a certificate is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ValidityPeriod {
    from: Timestamp,
    until: Timestamp,
}

impl ValidityPeriod {
    /// The period of the first certificate in `pem`, which was stored in the file at
    /// `path`. It begins when the file was written, because signers date certificates
    /// back.
    pub(crate) fn read(path: &Path, pem: &[u8]) -> Option<Self> {
        let der = CertificateDer::pem_slice_iter(pem).next()?.ok()?;
        let (_, certificate) = X509Certificate::from_der(&der).ok()?;
        let validity = certificate.validity();
        let written = fs::metadata(path).and_then(|m| m.modified()).ok();
        let written = written
            .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
            .map(|age| Timestamp::EPOCH + age);
        let not_before = Timestamp::from_seconds(validity.not_before.timestamp());
        Some(Self {
            from: written.unwrap_or(not_before).max(not_before),
            until: Timestamp::from_seconds(validity.not_after.timestamp()),
        })
    }

    /// The period of the first certificate in a PEM file.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        Self::read(path, &fs::read(path).ok()?)
    }

    pub(crate) fn is_over(self, now: Timestamp) -> bool {
        self.until <= now
    }

    /// The remaining lifetime.
    pub(crate) fn left(self, now: Timestamp) -> Duration {
        self.until.since(now)
    }

    /// When to renew: after two thirds, or up to a fifteenth earlier. `early`
    /// is 0 to 1, drawn once, so that nodes created together do not renew
    /// together.
    pub(crate) fn due(self, early: f64) -> Timestamp {
        let life = self.until.since(self.from);
        let sooner = life.mul_f64(early.clamp(0.0, 1.0) / 15.0);
        self.from + life / 3 * 2 - sooner
    }
}

/// How long to sleep until `due`.
pub(crate) fn sleep_duration(due: Timestamp, now: Timestamp) -> Duration {
    due.since(now).min(MAX_SLEEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_is_asked_for_at_two_thirds() {
        let at = Timestamp::from_micros;
        let term = ValidityPeriod {
            from: at(1_000),
            until: at(4_000),
        };
        assert_eq!(term.due(0.0), at(3_000));
        assert_eq!(term.due(1.0), at(2_800));
        assert_eq!(term.left(at(3_000)), Duration::from_micros(1_000));
        assert_eq!(term.left(at(5_000)), Duration::ZERO);
        assert!(term.is_over(at(4_000)) && !term.is_over(at(3_999)));
        assert_eq!(sleep_duration(Timestamp::MAX, at(0)), MAX_SLEEP);
        assert_eq!(sleep_duration(at(0), at(5)), Duration::ZERO);
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
        let term = ValidityPeriod::of(&path).unwrap();
        let life = term.until.since(term.from);
        assert!((60..=91).contains(&life.as_secs()), "{life:?}");
        fs::write(&path, "none").unwrap();
        assert_eq!(ValidityPeriod::of(&path), None);
    }
}
