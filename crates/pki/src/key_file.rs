//! The file of the sealing keys: one `<id> <key>` per line, the last one is the
//! primary key, which seals. A staged key precedes it, marked by a comment,
//! because releases that know no staged keys skip comments: to them it is
//! another key that unseals.

use std::fs;
use std::path::{Path, PathBuf};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use kernel::{Error, Kind, Result, clock};
use zeroize::Zeroizing;

use crate::cert::hex;
use crate::private_file::{FileStamp, KeyDirLock};

/// Name of the file in the directory of the sealing keys.
pub(crate) const FILE: &str = "sealing.keys";
/// Keys that were taken out of use are kept here, for backups of the database.
const RETIRED: &str = "sealing.retired";
const KEY_LEN: usize = 32;
const STAGED: &str = "# staged ";
const MADE: &str = "# made ";

/// A key with its id.
#[derive(Clone)]
pub(crate) struct SealKey {
    pub(crate) id: String,
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    staged: bool,
    made: Option<String>,
}

impl SealKey {
    pub(crate) fn draw() -> Result<Self> {
        let random = SystemRandom::new();
        let mut id = [0u8; 4];
        let mut bytes = Zeroizing::new(vec![0u8; KEY_LEN]);
        random
            .fill(&mut id)
            .and_then(|()| random.fill(&mut bytes))
            .map_err(|_| Error::internal("no randomness for a sealing key"))?;
        Ok(Self {
            id: hex(&id),
            bytes,
            staged: false,
            made: Some(clock::now().iso_z()),
        })
    }

    /// A value that only this key produces, and that reveals nothing about it.
    pub(crate) fn check(&self) -> String {
        let mac = hmac::Key::new(hmac::HMAC_SHA256, &self.bytes);
        let tag = hmac::sign(&mac, b"jeroboam sealing key check");
        format!("{}:{}", self.id, hex(tag.as_ref()))
    }
}

/// Use of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRole {
    /// Will become the primary key; unseals already.
    Staged,
    /// Seals and unseals.
    Primary,
    /// Unseals only.
    Secondary,
}

/// A key without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyEntry {
    pub id: String,
    pub role: KeyRole,
    /// When the key was made; unknown for keys of earlier releases.
    pub made: Option<String>,
}

/// All keys of a file, in its order.
#[derive(Clone, Default)]
pub(crate) struct KeyList(pub(crate) Vec<SealKey>);

impl KeyList {
    pub(crate) fn read(path: &Path) -> Result<(Self, FileStamp)> {
        let failed = |e: std::io::Error| {
            Error::internal(format!("reading the sealing keys {}: {e}", path.display()))
        };
        // The stamp is taken first: a later change is noticed next time.
        let stamp = FileStamp::of(path).map_err(failed)?;
        let text = Zeroizing::new(fs::read_to_string(path).map_err(failed)?);
        Ok((Self::parse(&text, path)?, stamp))
    }

    pub(crate) fn parse(text: &str, path: &Path) -> Result<Self> {
        let mut keys: Vec<SealKey> = Vec::new();
        let (mut staged, mut made) = (false, None);
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            staged |= line.starts_with(STAGED);
            if let Some(at) = line.strip_prefix(MADE) {
                made = Some(at.to_owned());
            }
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = line.split_once(' ').and_then(|(id, body)| {
                let bytes = Zeroizing::new(B64.decode(body.trim()).ok()?);
                (bytes.len() == KEY_LEN).then(|| SealKey {
                    id: id.to_owned(),
                    bytes,
                    staged: std::mem::take(&mut staged),
                    made: made.take(),
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
        match keys.last_mut() {
            // The last key seals, whatever a comment says.
            Some(last) => last.staged = false,
            None => return Err(Error::internal(format!("{} holds no key", path.display()))),
        }
        Ok(Self(keys))
    }

    pub(crate) fn text(&self) -> Zeroizing<String> {
        let mut out = Zeroizing::new(String::new());
        for key in &self.0 {
            if key.staged {
                out.push_str(&format!("{STAGED}{}\n", key.id));
            }
            if let Some(made) = &key.made {
                out.push_str(&format!("{MADE}{made}\n"));
            }
            let body = Zeroizing::new(B64.encode(&key.bytes));
            out.push_str(&format!("{} {}\n", key.id, body.as_str()));
        }
        out
    }

    pub(crate) fn primary(&self) -> Option<&SealKey> {
        self.0.last()
    }

    /// The key that was in use first.
    pub(crate) fn oldest(&self) -> Option<&SealKey> {
        self.0.iter().find(|k| !k.staged)
    }

    pub(crate) fn find(&self, id: &str) -> Option<&SealKey> {
        self.0.iter().find(|k| k.id == id)
    }

    fn role(&self, at: usize) -> KeyRole {
        match self.0.get(at) {
            Some(_) if at + 1 == self.0.len() => KeyRole::Primary,
            Some(key) if key.staged => KeyRole::Staged,
            _ => KeyRole::Secondary,
        }
    }
}

/// The sealing keys as a command changes them while servers run; each change
/// is one atomic replacement of the file.
pub struct SealingKeys {
    lock: KeyDirLock,
    path: PathBuf,
    keys: KeyList,
}

impl SealingKeys {
    /// Opens the existing keys of a directory for changes.
    ///
    /// # Errors
    /// Conflict: another command changes them. Precondition: others can read
    /// them. Internal: there are none, or they are malformed.
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        check_key_file(&path)?;
        let lock = KeyDirLock::acquire(dir)?;
        let (keys, _) = KeyList::read(&path)?;
        Ok(Self { lock, path, keys })
    }

    #[must_use]
    pub fn entries(&self) -> Vec<KeyEntry> {
        let entry = |(at, key): (usize, &SealKey)| KeyEntry {
            id: key.id.clone(),
            role: self.keys.role(at),
            made: key.made.clone(),
        };
        self.keys.0.iter().enumerate().map(entry).collect()
    }

    /// Adds a key that unseals and does not seal yet, unless there is one: to be
    /// distributed to servers that do not share the directory. Returns its id.
    ///
    /// # Errors
    /// Internal: the file cannot be written.
    pub fn stage(&mut self) -> Result<String> {
        if let Some(staged) = self.keys.0.iter().find(|k| k.staged) {
            return Ok(staged.id.clone());
        }
        let mut key = SealKey::draw()?;
        key.staged = true;
        let id = key.id.clone();
        let mut next = self.keys.clone();
        next.0.insert(next.0.len().saturating_sub(1), key);
        self.write(next)?;
        Ok(id)
    }

    /// Makes the staged key, or else a new one, the primary key. Returns its id.
    ///
    /// # Errors
    /// Internal: the file cannot be written.
    pub fn promote(&mut self) -> Result<String> {
        let mut next = self.keys.clone();
        let mut key = match next.0.iter().position(|k| k.staged) {
            Some(at) => next.0.remove(at),
            None => SealKey::draw()?,
        };
        key.staged = false;
        let id = key.id.clone();
        next.0.push(key);
        self.write(next)?;
        Ok(id)
    }

    /// Moves a secondary key to the file of retired keys. The caller has made
    /// sure that nothing is sealed with it.
    ///
    /// # Errors
    /// Invalid: the key is not a secondary one. Internal: a file cannot be
    /// written.
    pub fn retire(&mut self, id: &str) -> Result<PathBuf> {
        let at = self.keys.0.iter().position(|k| k.id == id);
        let at = at.filter(|at| self.keys.role(*at) == KeyRole::Secondary);
        let Some(at) = at else {
            return Err(Error::invalid(
                "id",
                format!(
                    "id: '{id}' is not a secondary key of {}.",
                    self.path.display()
                ),
            ));
        };
        let kept = self.path.with_file_name(RETIRED);
        let mut retired = match KeyList::read(&kept) {
            Ok((retired, _)) => retired,
            Err(_) if !kept.exists() => KeyList::default(),
            Err(e) => return Err(e),
        };
        let mut next = self.keys.clone();
        let key = next.0.remove(at);
        // After a crash in between the key is in both files.
        if retired.find(id).is_none() {
            retired.0.push(key);
            self.lock.replace(RETIRED, retired.text().as_bytes())?;
        }
        self.write(next)?;
        Ok(kept)
    }

    fn write(&mut self, next: KeyList) -> Result<()> {
        self.lock.replace(FILE, next.text().as_bytes())?;
        self.keys = next;
        Ok(())
    }
}

/// Refuses a file of sealing keys that others can read, whatever the mode of
/// its directory.
pub(crate) fn check_key_file(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path)
        .map_err(|e| Error::internal(format!("the sealing keys {}: {e}", path.display())))?
        .permissions()
        .mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let (path, mode) = (path.display(), mode & 0o777);
    Err(Error::new(
        Kind::Precondition,
        format!(
            "the sealing keys {path} are open to others (mode {mode:o}); run: chmod 600 {path}"
        ),
    ))
}
