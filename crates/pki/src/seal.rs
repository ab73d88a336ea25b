//! Secrets at rest: AES-256-GCM with keys of a file in the key directory.
//!
//! A sealed text is `jbs1.<key id>.<base64url of nonce and ciphertext>`. Its
//! purpose (`cluster/<id>/ca-key`) is authenticated with it, so a text that was
//! moved to another row cannot be unsealed. The file is read again when it has
//! changed, so that servers follow a rotation without a restart.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use kernel::{Error, Result};
use zeroize::Zeroizing;

use crate::key_file::{FILE, KeyList, SealKey, check_key_file};
use crate::private_file::FileStamp;

const VERSION: &str = "jbs1";

/// Keys in memory.
struct Ring {
    /// As in the file.
    keys: KeyList,
    /// Keys that this process has read and that are no longer in the file. They
    /// still unseal texts that were read before they were sealed again.
    removed: Vec<SealKey>,
    /// Of the file that was read last, even if it was malformed.
    stamp: FileStamp,
}

impl Ring {
    fn find(&self, id: &str) -> Option<&SealKey> {
        let removed = || self.removed.iter().find(|k| k.id == id);
        self.keys.find(id).or_else(removed)
    }
}

/// Seals and unseals with the keys of one directory.
pub struct Sealer {
    path: PathBuf,
    ring: RwLock<Ring>,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Sealer {
    /// A sealer with the keys of a text instead of a file.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn of_text(text: &str) -> Result<Self> {
        let path = PathBuf::from("keys");
        let ring = Ring {
            keys: KeyList::parse(text, &path)?,
            removed: Vec::new(),
            stamp: FileStamp::default(),
        };
        Ok(Self {
            path,
            ring: RwLock::new(ring),
        })
    }

    /// Reads `dir/sealing.keys`, or creates it (mode 0600). If several servers
    /// start at once on a shared directory, one creates the file and the others
    /// read it.
    ///
    /// # Errors
    /// Precondition if others can read the file; Internal if it is not readable or
    /// is malformed. The message names the file.
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let failed = |what: &str, e: std::io::Error| {
            Error::internal(format!("{what} the sealing keys {}: {e}", path.display()))
        };
        if !path.try_exists().map_err(|e| failed("finding", e))? {
            fs::create_dir_all(dir).map_err(|e| failed("making the directory of", e))?;
            let text = KeyList(vec![SealKey::draw()?]).text();
            // A hard link never replaces a file, so the file of the first server is
            // kept, and it is complete.
            let draft = dir.join(format!(".{FILE}.{}", kernel::ids::hex()));
            let made = write_private(&draft, text.as_bytes())
                .and_then(|()| match fs::hard_link(&draft, &path) {
                    Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
                    other => other,
                })
                .and_then(|()| sync_dir(dir));
            let _ = fs::remove_file(&draft);
            made.map_err(|e| failed("making", e))?;
        }
        check_key_file(&path)?;
        let (keys, stamp) = KeyList::read(&path)?;
        let removed = Vec::new();
        Ok(Self {
            path,
            ring: RwLock::new(Ring {
                keys,
                removed,
                stamp,
            }),
        })
    }

    fn ring(&self) -> RwLockReadGuard<'_, Ring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys in use, read again if the file has changed. A file that cannot
    /// be read changes nothing, because the keys in memory are still valid.
    fn current(&self) -> RwLockReadGuard<'_, Ring> {
        let ring = self.ring();
        let Ok(stamp) = FileStamp::of(&self.path) else {
            return ring;
        };
        if stamp == ring.stamp {
            return ring;
        }
        drop(ring);
        let read = KeyList::read(&self.path);
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok((keys, stamp)) => {
                let removed = |k: &&SealKey| keys.find(&k.id).is_none();
                let removed: Vec<SealKey> = ring.keys.0.iter().filter(removed).cloned().collect();
                ring.removed.extend(removed);
                (ring.keys, ring.stamp) = (keys, stamp);
            }
            Err(e) => {
                tracing::error!(error = %e, "the sealing keys were changed and cannot be read");
                ring.stamp = stamp;
            }
        }
        drop(ring);
        self.ring()
    }

    /// Seals a secret for a purpose. Sealing the same secret again gives a
    /// different text.
    ///
    /// # Errors
    /// Internal: the cipher or the system's randomness failed.
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> Result<String> {
        let ring = self.current();
        let key = ring.keys.primary();
        let key = key.ok_or_else(|| Error::internal("no sealing key"))?;
        let mut data = Vec::with_capacity(NONCE_LEN + plain.len() + 16);
        data.extend_from_slice(plain);
        let nonce = cipher(key)?
            .seal_in_place_append_tag(Aad::from(aad(&key.id, purpose)), &mut data)
            .map_err(|_| Error::internal("sealing failed"))?;
        let mut out = nonce.as_ref().to_vec();
        out.extend_from_slice(&data);
        Ok(format!("{VERSION}.{}.{}", key.id, B64.encode(&out)))
    }

    /// Unseals a text that `seal` created for the same purpose.
    ///
    /// # Errors
    /// Internal: wrong format, unknown key, another purpose, modified text. The
    /// context names the key id and the purpose, never the secret.
    pub fn unseal(&self, purpose: &str, text: &str) -> Result<Zeroizing<Vec<u8>>> {
        let wrong = |why: &str| Error::internal(format!("unsealing '{purpose}': {why}"));
        let mut parts = text.splitn(3, '.');
        let (Some(VERSION), Some(id), Some(body)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong("not a sealed text of this version"));
        };
        let key = self.ring().find(id).cloned();
        // Another server may have sealed it with a key that is new here.
        let key = key.or_else(|| self.current().find(id).cloned());
        let key =
            key.ok_or_else(|| wrong(&format!("key {id} is not in {}", self.path.display())))?;
        let bytes = B64.decode(body).map_err(|_| wrong("broken base64"))?;
        let (nonce, data) = bytes
            .split_at_checked(NONCE_LEN)
            .ok_or_else(|| wrong("too short"))?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| wrong("a broken nonce"))?;
        let mut data = Zeroizing::new(data.to_vec());
        let length = cipher(&key)?
            .open_in_place(nonce, Aad::from(aad(id, purpose)), &mut data)
            .map_err(|_| wrong("changed, or sealed for another purpose"))?
            .len();
        data.truncate(length);
        Ok(data)
    }

    /// Like `unseal`, for text.
    ///
    /// # Errors
    /// Same errors as `unseal`, or not UTF-8.
    pub fn unseal_text(&self, purpose: &str, text: &str) -> Result<Zeroizing<String>> {
        let bytes = self.unseal(purpose, text)?;
        let plain = std::str::from_utf8(&bytes)
            .map_err(|_| Error::internal(format!("unsealing '{purpose}': not text")))?;
        Ok(Zeroizing::new(plain.to_owned()))
    }

    /// A value that all servers of a database compare: equal only if they share
    /// the key, and revealing nothing about it. Derived from the oldest key, so
    /// that it survives rotations.
    #[must_use]
    pub fn key_check(&self) -> String {
        let ring = self.current();
        ring.keys.oldest().map(SealKey::check).unwrap_or_default()
    }

    /// As `key_check`, derived from the key that seals.
    #[must_use]
    pub fn primary_check(&self) -> String {
        let ring = self.current();
        ring.keys.primary().map(SealKey::check).unwrap_or_default()
    }

    /// Whether a `key_check` value was derived from any key of this file.
    #[must_use]
    pub fn knows(&self, key_check: &str) -> bool {
        let ring = self.current();
        ring.keys.0.iter().any(|k| k.check() == key_check)
    }

    /// The beginning of all texts that the primary key has sealed.
    #[must_use]
    pub fn primary_prefix(&self) -> String {
        let ring = self.current();
        let id = ring.keys.primary().map_or("", |k| k.id.as_str());
        sealed_prefix(id)
    }
}

/// The beginning of all texts that a key has sealed.
#[must_use]
pub fn sealed_prefix(key_id: &str) -> String {
    format!("{VERSION}.{key_id}.")
}

fn cipher(key: &SealKey) -> Result<RandomizedNonceKey> {
    RandomizedNonceKey::new(&AES_256_GCM, &key.bytes)
        .map_err(|_| Error::internal("a sealing key has the wrong length"))
}

fn aad(id: &str, purpose: &str) -> Vec<u8> {
    format!("{VERSION}.{id}.{purpose}").into_bytes()
}

fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn sync_dir(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}
