//! The key repository, in Keystone's format: numbered files, 0 staged, the highest
//! primary. The staged key decrypts already: all servers have it when it becomes
//! primary.

use std::collections::BTreeMap;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use kernel::{Error, Result, clock};
use pki::{FileStamp, KeyDirLock};

use super::fernet::{self, Key};
use super::time::{self, LIFETIME};

/// Number of keys; tokens of older keys cannot be decrypted any more.
const MAX_ACTIVE: usize = 3;
/// A rotation writes the next staged key to this file first.
const DRAFT: &str = "0.tmp";
/// Attempts to read a directory that is being rotated.
const ATTEMPTS: u32 = 5;

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
    /// What was read last, even if a file was malformed.
    listing: Listing,
}

/// A key of the repository, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FernetKey {
    /// Name of its file.
    pub number: u32,
    /// `staged`, `primary` or `secondary`.
    pub role: &'static str,
    /// When the file got its name, microseconds: for the primary key, when it
    /// became primary.
    pub since: i64,
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
        for _ in 0..ATTEMPTS * 10 {
            if self.list()?.len() > 1 {
                return Ok(());
            }
            match KeyDirLock::acquire(&self.dir) {
                Ok(lock) if self.list()?.is_empty() => {
                    lock.replace("1", Key::generate()?.text().as_bytes())?;
                    return lock.replace("0", Key::generate()?.text().as_bytes());
                }
                // A rotation was interrupted, and the next one completes it.
                Ok(_) => return Ok(()),
                Err(e) if e.kind == kernel::Kind::Conflict => {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                Err(e) => return Err(e),
            }
        }
        Err(Error::unavailable("Another server is making the keys."))
    }

    fn list(&self) -> Result<Listing> {
        let mut found = Listing::new();
        for entry in std::fs::read_dir(&self.dir).map_err(|e| failed(&self.dir, e))? {
            let entry = entry.map_err(|e| failed(&self.dir, e))?;
            let Some(number) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
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
                    false => Ok(Loaded { keys, listing }),
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
        let Ok(listing) = self.list() else {
            return in_memory();
        };
        if in_memory().listing != listing
            && let Err(e) = self.load()
        {
            tracing::error!(error = %e, "the Fernet keys were changed and cannot be read");
            let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
            // Logged once for each change.
            loaded.listing = listing;
        }
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
    fn named_at(&self, number: u32) -> Result<i64> {
        let path = self.dir.join(number.to_string());
        let found = std::fs::metadata(&path).map_err(|e| failed(&path, e))?;
        Ok(time::micros(found.ctime()) + found.ctime_nsec() / 1_000)
    }

    /// Makes the staged key primary, stages a new one, and deletes the oldest
    /// keys beyond the limit. After a rotation that was interrupted it only does
    /// what that one has not done.
    ///
    /// # Errors
    /// `Precondition` without `force` if tokens of a key to be deleted may be
    /// valid; `Conflict` if another rotation runs; `Internal` if the directory
    /// cannot be written.
    pub fn rotate(&self, force: bool) -> Result<()> {
        let lock = KeyDirLock::acquire(&self.dir)?;
        let files = self.list()?;
        let staged = files.contains_key(&0);
        // Each key keeps its number, so the promoted one gets the next.
        let next = files.keys().next_back().copied().unwrap_or(0) + u32::from(staged);
        let mut active: Vec<u32> = files.into_keys().filter(|n| *n != 0).collect();
        if staged {
            active.push(next);
        }
        // The staged key counts, too.
        let surplus = (active.len() + 1).saturating_sub(MAX_ACTIVE);
        if !force {
            self.check_expired(&active, surplus, staged.then_some(next))?;
        }
        let path = |name: &str| self.dir.join(name);
        let io = |e: std::io::Error| failed(&self.dir, e);
        let draft = path(DRAFT);
        lock.draft(&draft, Key::generate()?.text().as_bytes())
            .map_err(io)?;
        if staged {
            std::fs::rename(path("0"), path(&next.to_string())).map_err(io)?;
        }
        std::fs::rename(&draft, path("0")).map_err(io)?;
        lock.sync().map_err(io)?;
        for number in active.iter().take(surplus) {
            std::fs::remove_file(path(&number.to_string())).map_err(io)?;
        }
        lock.sync().map_err(io)?;
        self.load()
    }

    /// A key has issued tokens until the next one became primary.
    fn check_expired(&self, active: &[u32], surplus: usize, promoted: Option<u32>) -> Result<()> {
        for (number, successor) in active.iter().zip(active.iter().skip(1)).take(surplus) {
            let until = if promoted == Some(*successor) {
                clock::now_micros()
            } else {
                self.named_at(*successor)?
            };
            let end = until + time::micros(LIFETIME);
            if end > clock::now_micros() {
                return Err(Error::new(
                    kernel::Kind::Precondition,
                    format!(
                        "Tokens of key {number}, which this rotation would delete, are valid until {}; \
                         repeat the command then, or give --force to invalidate them.",
                        clock::iso_z(end)
                    ),
                ));
            }
        }
        Ok(())
    }

    pub(crate) fn seal(&self, issued_at: i64, payload: &[u8]) -> Result<String> {
        let loaded = self.current();
        let key = loaded.keys.values().next_back();
        let key = key.ok_or_else(|| Error::internal("no fernet key"))?;
        fernet::seal(key, issued_at, payload)
    }

    /// Tries the primary key first.
    pub(crate) fn open_token(&self, token: &str) -> Option<(i64, Vec<u8>)> {
        let loaded = self.current();
        let mut keys = loaded.keys.values().rev();
        keys.find_map(|k| fernet::open(k, token))
    }
}

fn failed(path: &Path, e: std::io::Error) -> Error {
    Error::internal(e).context(format!("fernet keys: {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(ring: &Keyring) -> Vec<u32> {
        let all = ring.entries().unwrap();
        all.into_iter().map(|k| k.number).collect()
    }

    #[test]
    fn tokens_survive_a_rotation_and_not_three() {
        let dir = tempfile::TempDir::new().unwrap();
        let ring = Keyring::open(dir.path()).unwrap();
        let other = Keyring::open(dir.path()).unwrap();
        let token = ring.seal(1, &[7; 90]).unwrap();
        ring.rotate(false).unwrap();
        assert!(ring.open_token(&token).is_some());
        let newer = ring.seal(2, &[7; 90]).unwrap();
        assert!(
            other.open_token(&newer).is_some(),
            "another server has the staged key"
        );
        for _ in 0..3 {
            ring.rotate(true).unwrap();
        }
        assert!(ring.open_token(&token).is_none());
        assert!(other.open_token(&token).is_none(), "it follows at once");
        let of_other = other.seal(3, &[7; 90]).unwrap();
        assert!(ring.open_token(&of_other).is_some());
        assert_eq!(numbers(&ring), [0, 4, 5]);
    }

    #[test]
    fn a_copy_that_is_one_rotation_behind_reads_the_new_primary() {
        let (dir, copy) = (
            tempfile::TempDir::new().unwrap(),
            tempfile::TempDir::new().unwrap(),
        );
        let ring = Keyring::open(dir.path()).unwrap();
        for number in ["0", "1"] {
            std::fs::copy(dir.path().join(number), copy.path().join(number)).unwrap();
        }
        let behind = Keyring::open(copy.path()).unwrap();
        ring.rotate(false).unwrap();
        let token = ring.seal(1, &[7; 90]).unwrap();
        assert!(behind.open_token(&token).is_some());
        let token = behind.seal(1, &[7; 90]).unwrap();
        assert!(ring.open_token(&token).is_some());
    }

    #[test]
    fn a_rotation_that_would_invalidate_tokens_is_refused() {
        let dir = tempfile::TempDir::new().unwrap();
        let ring = Keyring::open(dir.path()).unwrap();
        ring.rotate(false).unwrap();
        assert_eq!(numbers(&ring), [0, 1, 2]);
        let e = ring.rotate(false).unwrap_err();
        assert_eq!(e.kind, kernel::Kind::Precondition);
        assert!(e.message.contains("key 1"), "{e}");
        assert_eq!(numbers(&ring), [0, 1, 2]);
        ring.rotate(true).unwrap();
        assert_eq!(numbers(&ring), [0, 2, 3]);
        let roles: Vec<_> = ring.entries().unwrap().iter().map(|k| k.role).collect();
        assert_eq!(roles, ["staged", "secondary", "primary"]);
    }

    #[test]
    fn an_interrupted_rotation_is_completed_and_not_doubled() {
        let dir = tempfile::TempDir::new().unwrap();
        let ring = Keyring::open(dir.path()).unwrap();
        let path = |name: &str| dir.path().join(name);
        let before = ring.seal(1, &[7; 90]).unwrap();
        // Killed before anything was renamed: the draft is not a key.
        std::fs::write(path(DRAFT), "half").unwrap();
        assert!(Keyring::open(dir.path()).is_ok());
        // Killed between the two renames.
        std::fs::rename(path("0"), path("2")).unwrap();
        let started = Keyring::open(dir.path()).unwrap();
        let token = started.seal(1, &[7; 90]).unwrap();
        assert!(ring.open_token(&token).is_some());
        ring.rotate(false).unwrap();
        assert_eq!(numbers(&ring), [0, 1, 2]);
        assert!(ring.open_token(&before).is_some() && ring.open_token(&token).is_some());
        // Killed before the oldest key was deleted.
        std::fs::copy(path("1"), path("3")).unwrap();
        std::fs::copy(path("2"), path("4")).unwrap();
        ring.rotate(true).unwrap();
        assert_eq!(numbers(&ring), [0, 4, 5]);
    }

    #[test]
    fn servers_that_start_together_make_one_repository() {
        let dir = tempfile::TempDir::new().unwrap();
        let tokens: Vec<String> = std::thread::scope(|s| {
            let start = || {
                let ring = Keyring::open(dir.path()).unwrap();
                ring.seal(1, &[7; 90]).unwrap()
            };
            let starts: Vec<_> = (0..8).map(|_| s.spawn(start)).collect();
            starts.into_iter().map(|t| t.join().unwrap()).collect()
        });
        let ring = Keyring::open(dir.path()).unwrap();
        assert!(tokens.iter().all(|t| ring.open_token(t).is_some()));
        assert_eq!(numbers(&ring), [0, 1]);
    }

    #[test]
    fn a_malformed_key_is_named_at_the_start_and_harmless_later() {
        let dir = tempfile::TempDir::new().unwrap();
        let ring = Keyring::open(dir.path()).unwrap();
        let token = ring.seal(1, &[7; 90]).unwrap();
        std::fs::write(dir.path().join("9"), "no key").unwrap();
        assert!(ring.open_token(&token).is_some());
        let e = Keyring::open(dir.path()).err().unwrap();
        assert!(e.to_string().contains("/9"), "{e}");
    }
}
