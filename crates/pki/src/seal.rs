//! Secrets at rest: AES-256-GCM with keys of a file in the state directory.
//!
//! A sealed text is `jbs1.<key id>.<base64url of nonce and ciphertext>`. Its
//! purpose (`cluster/<id>/ca-key`) is authenticated with it, so a text that was
//! moved to another row cannot be unsealed. The key file contains one key per
//! line: the last one seals, all of them unseal; rotation appends a line.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use kernel::{Error, Result};
use zeroize::Zeroizing;

use crate::cert::hex;

const FILE: &str = "sealing.keys";
const VERSION: &str = "jbs1";
const KEY_LEN: usize = 32;

pub(crate) struct SealKey {
    id: String,
    bytes: Zeroizing<Vec<u8>>,
}

/// Seals and unseals with the keys of one directory.
pub struct Sealer {
    /// Oldest first, never empty; the last one seals.
    pub(crate) keys: Vec<SealKey>,
    pub(crate) path: PathBuf,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer")
            .field("path", &self.path)
            .field("keys", &self.keys.len())
            .finish()
    }
}

impl Sealer {
    /// Reads `dir/sealing.keys`, or creates it (mode 0600). If several servers
    /// start at once on a shared directory, one creates the file and the others
    /// read it.
    ///
    /// # Errors
    /// Internal, naming the file: not readable, readable by others, malformed.
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let failed = |what: &str, e: std::io::Error| {
            Error::internal(format!("{what} the sealing keys {}: {e}", path.display()))
        };
        if !path.try_exists().map_err(|e| failed("finding", e))? {
            fs::create_dir_all(dir).map_err(|e| failed("making the directory of", e))?;
            let line = new_line()?;
            // A hard link never replaces a file: the first creator wins, with a
            // complete file.
            let draft = dir.join(format!(".{FILE}.{}", kernel::ids::hex()));
            let made = write_private(&draft, line.as_bytes())
                .and_then(|()| match fs::hard_link(&draft, &path) {
                    Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
                    other => other,
                })
                .and_then(|()| sync_dir(dir));
            let _ = fs::remove_file(&draft);
            made.map_err(|e| failed("making", e))?;
        }
        let mode = fs::metadata(&path)
            .map_err(|e| failed("reading", e))?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            return Err(Error::internal(format!(
                "the sealing keys {} are open to others (mode {:o}); run: chmod 600 {}",
                path.display(),
                mode & 0o777,
                path.display()
            )));
        }
        let mut text = Zeroizing::new(String::new());
        File::open(&path)
            .and_then(|mut f| f.read_to_string(&mut text))
            .map_err(|e| failed("reading", e))?;
        Ok(Self {
            keys: parse(&text, &path)?,
            path,
        })
    }

    /// Seals a secret for a purpose. Sealing the same secret again gives a
    /// different text.
    ///
    /// # Errors
    /// Internal: the cipher or the system's randomness failed.
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> Result<String> {
        let key = self
            .keys
            .last()
            .ok_or_else(|| Error::internal("no sealing key"))?;
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
        let key = self
            .keys
            .iter()
            .find(|k| k.id == id)
            .ok_or_else(|| wrong(&format!("key {id} is not in {}", self.path.display())))?;
        let bytes = B64.decode(body).map_err(|_| wrong("broken base64"))?;
        let (nonce, data) = bytes
            .split_at_checked(NONCE_LEN)
            .ok_or_else(|| wrong("too short"))?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| wrong("a broken nonce"))?;
        let mut data = Zeroizing::new(data.to_vec());
        let length = cipher(key)?
            .open_in_place(nonce, Aad::from(aad(id, purpose)), &mut data)
            .map_err(|_| wrong("changed, or sealed for another purpose"))?
            .len();
        data.truncate(length);
        Ok(data)
    }

    /// As `unseal` for text.
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
        self.keys.first().map(check_of).unwrap_or_default()
    }

    /// Whether a `key_check` value was derived from any key of this file.
    #[must_use]
    pub fn knows(&self, key_check: &str) -> bool {
        self.keys.iter().any(|k| check_of(k) == key_check)
    }

    /// Whether the text was sealed with an older key and should be sealed again
    /// when it is next written.
    #[must_use]
    pub fn is_stale(&self, text: &str) -> bool {
        let id = text.split('.').nth(1);
        self.keys.last().map(|k| k.id.as_str()) != id
    }

    /// Adds a key that seals from now on; older keys still unseal. Other
    /// servers read it when they open the file again.
    ///
    /// # Errors
    /// Internal: the file cannot be written.
    pub fn rotate(&mut self) -> Result<()> {
        let failed =
            |e: std::io::Error| Error::internal(format!("rotating {}: {e}", self.path.display()));
        let line = new_line()?;
        let mut file = OpenOptions::new()
            .append(true)
            .open(&self.path)
            .map_err(failed)?;
        file.write_all(line.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(failed)?;
        self.keys.extend(parse(&line, &self.path)?);
        Ok(())
    }
}

fn cipher(key: &SealKey) -> Result<RandomizedNonceKey> {
    RandomizedNonceKey::new(&AES_256_GCM, &key.bytes)
        .map_err(|_| Error::internal("a sealing key has the wrong length"))
}

fn aad(id: &str, purpose: &str) -> Vec<u8> {
    format!("{VERSION}.{id}.{purpose}").into_bytes()
}

fn check_of(key: &SealKey) -> String {
    let mac = hmac::Key::new(hmac::HMAC_SHA256, &key.bytes);
    let tag = hmac::sign(&mac, b"jeroboam sealing key check");
    format!("{}:{}", key.id, hex(tag.as_ref()))
}

fn new_line() -> Result<Zeroizing<String>> {
    let random = SystemRandom::new();
    let mut id = [0u8; 4];
    let mut bytes = Zeroizing::new([0u8; KEY_LEN]);
    random
        .fill(&mut id)
        .and_then(|()| random.fill(bytes.as_mut()))
        .map_err(|_| Error::internal("no randomness for a sealing key"))?;
    Ok(Zeroizing::new(format!(
        "{} {}\n",
        hex(&id),
        B64.encode(bytes.as_ref())
    )))
}

pub(crate) fn parse(text: &str, path: &Path) -> Result<Vec<SealKey>> {
    let mut keys = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = line.split_once(' ').and_then(|(id, body)| {
            let bytes = Zeroizing::new(B64.decode(body.trim()).ok()?);
            (bytes.len() == KEY_LEN).then(|| SealKey {
                id: id.to_owned(),
                bytes,
            })
        });
        keys.push(key.ok_or_else(|| {
            Error::internal(format!(
                "{} line {}: not '<id> <key>'; restore the file from a backup, sealed secrets cannot be read without it",
                path.display(),
                number + 1
            ))
        })?);
    }
    if keys.is_empty() {
        return Err(Error::internal(format!("{} holds no key", path.display())));
    }
    Ok(keys)
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
