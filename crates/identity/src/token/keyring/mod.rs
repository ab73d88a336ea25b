//! The key repository, in Keystone's format: numbered files, 0 staged, the highest
//! primary. The staged key decrypts already: all servers have it when it becomes
//! primary.

mod rotation;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use kernel::{Error, Result, Timestamp};
use pki::{FileStamp, KeyDirLock};
use tokio::time::Instant;

use super::fernet::{self, Key};
use super::time::TokenTime;

/// Attempts to read a directory that is being rotated.
const ATTEMPTS: u32 = 5;

/// How long the files need not be compared if the directory has not changed. A
/// rotation renames files, which changes the directory; writing into a file does
/// not.
const COMPARE_INTERVAL: Duration = Duration::from_secs(1);

/// The files of the repository, by which a change is noticed.
type Listing = BTreeMap<u32, FileStamp>;

/// The Fernet keys of a directory. They are read again when a file has changed,
/// so that servers follow a rotation without a restart.
pub struct Keyring {
    dir: PathBuf,
    loaded: RwLock<Loaded>,
}

#[derive(Default)]
struct Loaded {
    keys: BTreeMap<u32, Key>,
    /// What was read last.
    listing: Listing,
    /// What could not be read, for which the error was logged.
    unreadable: Option<Listing>,
    /// The directory, and the time, of the last comparison of the files.
    compared: Option<(FileStamp, Instant)>,
}

impl Loaded {
    fn is_recent(&self, dir: &FileStamp) -> bool {
        let compared = self.compared.as_ref();
        compared.is_some_and(|(then, at)| then == dir && at.elapsed() < COMPARE_INTERVAL)
    }
}

/// A key of the repository, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FernetKey {
    /// Name of its file.
    pub number: u32,
    /// `staged`, `primary` or `secondary`.
    pub role: &'static str,
    /// When the file got its name: for the primary key, when it
    /// became primary.
    pub since: Timestamp,
}

impl Keyring {
    /// Reads the directory; an empty one gets two new keys.
    ///
    /// # Errors
    /// `Internal` if it cannot be read or written, or a key is malformed.
    pub fn open(dir: &Path) -> Result<Self> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|e| failed(dir, e))?;
        let ring = Self {
            dir: dir.to_owned(),
            loaded: RwLock::default(),
        };
        ring.create_if_empty()?;
        ring.load()?;
        Ok(ring)
    }

    /// Several servers may start at once on a shared directory.
    fn create_if_empty(&self) -> Result<()> {
        if self.list()?.len() > 1 {
            return Ok(());
        }
        let lock = KeyDirLock::acquire(&self.dir)?;
        // One key means that a rotation was interrupted, which the next one
        // completes.
        if self.list()?.is_empty() {
            lock.replace("1", Key::generate()?.text().as_bytes())?;
            lock.replace("0", Key::generate()?.text().as_bytes())?;
        }
        Ok(())
    }

    fn list(&self) -> Result<Listing> {
        let mut found = Listing::new();
        for entry in std::fs::read_dir(&self.dir).map_err(|e| failed(&self.dir, e))? {
            let entry = entry.map_err(|e| failed(&self.dir, e))?;
            let Some(number) = entry.file_name().to_str().and_then(key_number) else {
                continue;
            };
            match FileStamp::of(&entry.path()) {
                Ok(stamp) => found.insert(number, stamp),
                // Renamed or removed meanwhile by a rotation.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) => return Err(failed(&entry.path(), e)),
            };
        }
        Ok(found)
    }

    fn read(&self) -> Result<Loaded> {
        for _ in 0..ATTEMPTS {
            let listing = self.list()?;
            let mut keys = BTreeMap::new();
            for number in listing.keys() {
                let path = self.dir.join(number.to_string());
                let text = match std::fs::read_to_string(&path) {
                    Ok(text) => text,
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                    Err(e) => return Err(failed(&path, e)),
                };
                let key = Key::parse(&text).ok_or_else(|| {
                    let path = path.display();
                    Error::internal(format!("{path}: not a Fernet key in urlsafe base64"))
                })?;
                keys.insert(*number, key);
            }
            // While the names change, a key could be read under two names.
            if self.list()? == listing {
                return match keys.is_empty() {
                    true => Err(Error::internal(format!(
                        "{} holds no Fernet key",
                        self.dir.display()
                    ))),
                    false => Ok(Loaded {
                        keys,
                        listing,
                        unreadable: None,
                        compared: None,
                    }),
                };
            }
        }
        Err(Error::unavailable("The Fernet keys are being changed."))
    }

    fn load(&self) -> Result<()> {
        let loaded = self.read()?;
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(())
    }

    /// The keys in use. Where the directory cannot be read, those in memory are
    /// still valid.
    fn current(&self) -> RwLockReadGuard<'_, Loaded> {
        let in_memory = || self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        let Ok(dir) = FileStamp::of(&self.dir) else {
            return in_memory();
        };
        let loaded = in_memory();
        if loaded.is_recent(&dir) {
            return loaded;
        }
        drop(loaded);
        let Ok(listing) = self.list() else {
            return in_memory();
        };
        let is_same = in_memory().listing == listing;
        let read = if is_same { Ok(()) } else { self.load() };
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        // Reading is repeated at the next comparison, because a repaired mode does
        // not change the listing. The error is logged once for each change.
        if let Err(e) = read
            && loaded.unreadable.as_ref() != Some(&listing)
        {
            tracing::error!(error = %e, "the Fernet keys were changed and cannot be read");
            loaded.unreadable = Some(listing);
        }
        loaded.compared = Some((dir, Instant::now()));
        drop(loaded);
        in_memory()
    }

    /// The keys without their secrets, by number.
    ///
    /// # Errors
    /// `Internal` if the directory cannot be read.
    pub fn entries(&self) -> Result<Vec<FernetKey>> {
        let listing = self.list()?;
        let primary = listing.keys().next_back().copied();
        let mut all = Vec::new();
        for number in listing.into_keys() {
            all.push(FernetKey {
                number,
                role: match number {
                    0 => "staged",
                    n if Some(n) == primary => "primary",
                    _ => "secondary",
                },
                since: self.named_at(number)?,
            });
        }
        Ok(all)
    }

    /// The change time, because a rename keeps the modification time.
    fn named_at(&self, number: u32) -> Result<Timestamp> {
        let path = self.dir.join(number.to_string());
        let found = std::fs::metadata(&path).map_err(|e| failed(&path, e))?;
        let nanos = u64::try_from(found.ctime_nsec()).unwrap_or(0);
        Ok(Timestamp::from_seconds(found.ctime()) + Duration::from_nanos(nanos))
    }

    pub(crate) fn seal(&self, issued_at: TokenTime, payload: &[u8]) -> Result<String> {
        let loaded = self.current();
        let key = loaded.keys.values().next_back();
        let key = key.ok_or_else(|| Error::internal("no fernet key"))?;
        fernet::seal(key, issued_at, payload)
    }

    /// Tries the primary key first.
    pub(crate) fn open_token(&self, token: &str) -> Option<(TokenTime, Vec<u8>)> {
        let loaded = self.current();
        let mut keys = loaded.keys.values().rev();
        keys.find_map(|k| fernet::open(k, token))
    }
}

/// The number that is the whole name of a key file.
fn key_number(name: &str) -> Option<u32> {
    let number = name.parse::<u32>().ok()?;
    (number < u32::MAX && number.to_string() == name).then_some(number)
}

fn failed(path: &Path, e: std::io::Error) -> Error {
    Error::internal(e).context(format!("fernet keys: {}", path.display()))
}
