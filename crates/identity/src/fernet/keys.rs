//! The key repository: a directory of files named by integers. 0 is staged,
//! the highest is primary and encrypts, all decrypt.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use kernel::{Error, Result, clock};

use super::{Key, open, seal};

/// Primary, staged and one secondary, as Keystone's default.
const MAX_ACTIVE: usize = 3;

/// How often the directory is looked at for keys of another server.
const RELOAD: Duration = Duration::from_secs(1);

/// The keys of a directory; cheap to clone.
#[derive(Clone)]
pub(crate) struct KeyRing {
    dir: Arc<PathBuf>,
    held: Arc<Mutex<Held>>,
}

struct Held {
    /// Primary first.
    keys: Arc<Vec<Key>>,
    read_at: Instant,
}

impl KeyRing {
    /// Opens the repository; makes the first keys where there are none.
    ///
    /// # Errors
    /// `Internal` where the directory cannot be used.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|e| broken(dir, e))?;
        if !dir.join("1").exists() && numbers(dir)?.iter().all(|n| *n == 0) {
            // Several servers may start at once: the link is made once.
            write_new(dir, 0)?;
            write_new(dir, 1)?;
        }
        let keys = Arc::new(load(dir)?);
        Ok(Self {
            dir: Arc::new(dir.to_owned()),
            held: Arc::new(Mutex::new(Held {
                keys,
                read_at: Instant::now(),
            })),
        })
    }

    /// Seals a payload with the primary key.
    ///
    /// # Errors
    /// `Internal` where there is no key.
    pub(crate) fn seal(&self, issued: i64, payload: &[u8]) -> Result<String> {
        let keys = self.keys();
        let key = keys
            .first()
            .ok_or_else(|| Error::internal("no fernet key"))?;
        seal(key, u64::try_from(issued).unwrap_or(0), random()?, payload)
    }

    /// Opens a token; see [`open`].
    pub(crate) fn unseal(&self, token: &str) -> Option<(i64, Vec<u8>)> {
        let (issued, payload) = open(&self.keys(), token)?;
        Some((i64::try_from(issued).ok()?, payload))
    }

    /// Promotes the staged key, stages a new one, drops the oldest. Tokens of
    /// a dropped key are void.
    ///
    /// # Errors
    /// `Internal` where the directory cannot be written.
    pub(crate) fn rotate(&self) -> Result<()> {
        let dir = self.dir.as_path();
        let next = numbers(dir)?.last().copied().unwrap_or(0) + 1;
        let fresh = temporary(dir)?;
        fs::rename(dir.join("0"), dir.join(next.to_string())).map_err(|e| broken(dir, e))?;
        fs::rename(fresh, dir.join("0")).map_err(|e| broken(dir, e))?;
        let mut secondary: Vec<_> = numbers(dir)?.into_iter().filter(|n| *n != 0).collect();
        while secondary.len() + 1 > MAX_ACTIVE {
            let oldest = secondary.remove(0);
            fs::remove_file(dir.join(oldest.to_string())).map_err(|e| broken(dir, e))?;
        }
        let keys = Arc::new(load(dir)?);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.keys = keys;
        Ok(())
    }

    fn keys(&self) -> Arc<Vec<Key>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.read_at.elapsed() > RELOAD {
            held.read_at = Instant::now();
            // Half-way through another server's rotation: keep what we have.
            if let Ok(keys) = load(&self.dir) {
                held.keys = Arc::new(keys);
            }
        }
        Arc::clone(&held.keys)
    }
}

/// Sixteen bytes from the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(Error::internal)?;
    Ok(bytes)
}

fn numbers(dir: &Path) -> Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir).map_err(|e| broken(dir, e))? {
        let entry = entry.map_err(|e| broken(dir, e))?;
        if let Some(n) = entry.file_name().to_str().and_then(|n| n.parse().ok()) {
            numbers.push(n);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// All keys, primary first.
fn load(dir: &Path) -> Result<Vec<Key>> {
    let mut keys = Vec::new();
    for n in numbers(dir)?.into_iter().rev() {
        let path = dir.join(n.to_string());
        let text = fs::read_to_string(&path).map_err(|e| broken(&path, e))?;
        let key: Key = URL_SAFE
            .decode(text.trim())
            .ok()
            .and_then(|k| k.try_into().ok())
            .ok_or_else(|| broken(&path, "not 32 bytes in URL-safe base64"))?;
        if key == [0; 32] {
            return Err(broken(&path, "the null key is refused"));
        }
        keys.push(key);
    }
    if keys.is_empty() {
        return Err(broken(dir, "no key"));
    }
    Ok(keys)
}

/// Writes a new key beside the others; answers its path.
fn temporary(dir: &Path) -> Result<PathBuf> {
    let path = dir.join(format!(
        ".new-{}-{}",
        std::process::id(),
        clock::now_micros()
    ));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(|e| broken(&path, e))?;
    let text = URL_SAFE.encode(random::<32>()?);
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|e| broken(&path, e))?;
    Ok(path)
}

fn write_new(dir: &Path, number: u32) -> Result<()> {
    let fresh = temporary(dir)?;
    let linked = fs::hard_link(&fresh, dir.join(number.to_string()));
    let _ = fs::remove_file(&fresh);
    match linked {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(broken(dir, e)),
        _ => Ok(()),
    }
}

fn broken(path: &Path, e: impl std::fmt::Display) -> Error {
    Error::internal(e).context(format!("fernet keys: {}", path.display()))
}
