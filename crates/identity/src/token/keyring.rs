//! The key repository: numbered files, 0 staged, the highest primary.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::RwLock;

use kernel::{Error, Result};

use super::fernet::{self, Key};

/// Number of keys; tokens of older keys cannot be decrypted any more.
const MAX_ACTIVE: usize = 3;

/// The Fernet keys of a directory.
pub struct Keyring {
    dir: PathBuf,
    keys: RwLock<BTreeMap<u32, Key>>,
}

impl Keyring {
    /// Reads the directory; an empty one gets two new keys.
    ///
    /// # Errors
    /// `Internal` if it cannot be read or written.
    pub fn open(dir: &Path) -> Result<Self> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|e| Error::internal(e).context("fernet keys"))?;
        let ring = Self {
            dir: dir.to_owned(),
            keys: RwLock::default(),
        };
        ring.reload()?;
        if ring.count() == 0 {
            ring.write(0, &Key::generate()?)?;
            ring.rotate()?;
        }
        Ok(ring)
    }

    fn count(&self) -> usize {
        self.keys.read().map_or(0, |k| k.len())
    }

    fn write(&self, number: u32, key: &Key) -> Result<()> {
        let draft = self.dir.join("0.tmp");
        let written = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)
            .and_then(|mut f| {
                f.write_all(key.text().as_bytes())
                    .and_then(|()| f.sync_all())
            })
            .and_then(|()| std::fs::rename(&draft, self.dir.join(number.to_string())));
        written.map_err(|e| Error::internal(e).context("fernet keys"))
    }

    fn reload(&self) -> Result<()> {
        let mut found = BTreeMap::new();
        let entries = std::fs::read_dir(&self.dir).map_err(Error::internal)?;
        for entry in entries.flatten() {
            let Some(number) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
                continue;
            };
            let text = std::fs::read_to_string(entry.path()).map_err(Error::internal)?;
            if let Some(key) = Key::parse(&text) {
                found.insert(number, key);
            }
        }
        if let Ok(mut keys) = self.keys.write() {
            *keys = found;
        }
        Ok(())
    }

    /// Makes the staged key primary, stages a new one, and deletes the oldest
    /// keys beyond the limit.
    ///
    /// # Errors
    /// `Internal` where the directory cannot be written.
    pub fn rotate(&self) -> Result<()> {
        self.reload()?;
        let numbers: Vec<u32> = self
            .keys
            .read()
            .map(|k| k.keys().copied().collect())
            .unwrap_or_default();
        let next = numbers.last().copied().unwrap_or(0) + 1;
        let path = |n: u32| self.dir.join(n.to_string());
        std::fs::rename(path(0), path(next))
            .map_err(|e| Error::internal(e).context("fernet keys"))?;
        self.write(0, &Key::generate()?)?;
        let old: Vec<u32> = numbers.into_iter().filter(|n| *n != 0).collect();
        // One staged and one new primary key are kept in addition.
        let surplus = (old.len() + 2).saturating_sub(MAX_ACTIVE);
        for number in old.iter().take(surplus) {
            std::fs::remove_file(path(*number)).map_err(Error::internal)?;
        }
        self.reload()
    }

    pub(crate) fn seal(&self, issued_at: i64, payload: &[u8]) -> Result<String> {
        let key = self
            .keys
            .read()
            .ok()
            .and_then(|k| k.values().next_back().cloned());
        let key = key.ok_or_else(|| Error::internal("no fernet key"))?;
        fernet::seal(&key, issued_at, payload)
    }

    /// Tries the primary key first. Keys that another server has added are
    /// found by reading the directory again.
    pub(crate) fn open_token(&self, token: &str) -> Option<(i64, Vec<u8>)> {
        let attempt = || {
            let keys = self.keys.read().ok()?;
            keys.values().rev().find_map(|k| fernet::open(k, token))
        };
        attempt().or_else(|| {
            // Read the directory only for texts that look like tokens.
            if token.starts_with("gAAAAA") && token.len() > 100 && self.changed() {
                self.reload().ok()?;
                return attempt();
            }
            None
        })
    }

    fn changed(&self) -> bool {
        let on_disk = std::fs::read_dir(&self.dir)
            .map(|d| {
                d.flatten()
                    .filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok())
                    .max()
            })
            .ok()
            .flatten();
        let here = self
            .keys
            .read()
            .ok()
            .and_then(|k| k.keys().next_back().copied());
        on_disk != here
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_a_rotation_and_not_three() {
        let dir = tempfile::TempDir::new().unwrap();
        let ring = Keyring::open(dir.path()).unwrap();
        let other = Keyring::open(dir.path()).unwrap();
        let token = ring.seal(1, b"a payload that is long enough to look like a token of a user in a project, with all").unwrap();
        ring.rotate().unwrap();
        assert!(ring.open_token(&token).is_some());
        let newer = ring.seal(2, &[7; 90]).unwrap();
        assert!(
            other.open_token(&newer).is_some(),
            "another server reads the new key"
        );
        for _ in 0..3 {
            ring.rotate().unwrap();
        }
        assert!(ring.open_token(&token).is_none());
        let names = std::fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(names, MAX_ACTIVE);
    }
}
