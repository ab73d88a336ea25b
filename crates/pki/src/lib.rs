//! Certificate authorities, CSR signing, sealing of secrets at rest.
//!
//! Certificates are ECDSA P-256 with SHA-256; requests may contain RSA keys of
//! at least 2048 bits, EC keys on P-256, P-384 and P-521, and Ed25519 keys.
//! Subjects of requests are copied byte for byte, so that any attribute type is
//! supported. Therefore the certificate is assembled here (`der`, `cert`)
//! instead of by a library that supports one value per attribute.
//!
//! This crate uses no tables and no network. It reads and writes the key file of
//! the [`Sealer`], and helps others to keep files with secrets private.

mod ca;
mod cert;
mod csr;
mod der;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzz;
mod key_file;
mod pem;
mod private_file;
mod seal;

pub use ca::{Ca, Issued, self_signed, token_key};
pub use cert::{CertInfo, Subject, fingerprint_sha256};
pub use csr::SignOptions;
pub use key_file::{KeyEntry, KeyRole, SealingKeys};
pub use pem::first_der;
pub use private_file::{FileStamp, KeyDirLock, check_private, lock_within};
pub use seal::{Sealer, sealed_prefix};

/// Days that CAs and the certificates they sign are valid, five years:
/// Magnum's `[x509]term_of_validity`.
pub const TERM_DAYS: u32 = 1825;
