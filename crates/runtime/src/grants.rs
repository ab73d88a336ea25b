//! Which container has which range of ids, as files of the host. Servers with
//! different databases share the directory, so a lock protects it and not a
//! transaction.

use std::ffi::CStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;

pub use crate::range::{InvalidRange, Pool, Range};

/// The directory of the grants on each host.
pub const DIRECTORY: &str = "/var/lib/jeroboam-userns";
/// The environment variable of a container with its range.
pub const VARIABLE: &str = "JEROBOAM_USERNS";
/// The name under which `jeroboam-runtime` is registered in the engine.
pub const RUNTIME: &str = "jeroboam-userns";

const LOCK: &CStr = c".lock";
/// A grant that is being written. Only the holder of the lock writes it.
const UNFINISHED: &CStr = c".unfinished";
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(5);
/// Longer names are not names of containers.
const MAX_NAME: usize = 255;

/// The directory with the grants. Its methods block, for up to 10 s if another process
/// holds the lock.
#[derive(Debug, Clone)]
pub struct Grants {
    directory: PathBuf,
    /// The user that must own the directory and the grants. It is root except in tests.
    owner: u32,
}

/// Why no range was granted.
#[derive(Debug)]
pub enum ClaimError {
    /// Each range of the pool overlaps a grant.
    Exhausted {
        /// Number of ranges in the pool.
        size: usize,
        /// Number of grants that overlap the pool.
        used: usize,
    },
    /// The pool has no ranges, or ranges that are not permitted.
    InvalidPool(InvalidRange),
    /// The directory cannot be used; the text names it and the reason.
    Io(io::Error),
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exhausted { size, used } => write!(
                f,
                "no range of ids is free on this host: {used} grants are in use and the pool has {size} ranges; delete clusters or enlarge the pool in the setting `[infra] ranges`"
            ),
            Self::InvalidPool(error) => {
                write!(f, "{error}; correct the setting `[infra] ranges`")
            }
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ClaimError {}

impl From<io::Error> for ClaimError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Grants {
    /// Creates the directory with mode 0700 if it is missing, and checks it.
    ///
    /// # Errors
    /// If it cannot be created, is not a directory, is not owned by root, or is writable
    /// by others.
    pub fn open(directory: impl Into<PathBuf>) -> io::Result<Self> {
        Self::open_as(directory.into(), 0)
    }

    fn open_as(directory: PathBuf, owner: u32) -> io::Result<Self> {
        match rustix::fs::mkdir(&directory, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(explain(&directory, e)),
        }
        let grants = Self { directory, owner };
        grants.directory()?;
        Ok(grants)
    }

    /// The directory, which has to exist when a method is called.
    #[must_use]
    pub fn existing(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            owner: 0,
        }
    }

    /// Returns the range of the pool that the container already has, or grants it the
    /// first range of the pool that overlaps no grant of any size. The grant is on disk
    /// when this returns.
    ///
    /// # Errors
    /// [`ClaimError::Exhausted`] if no range is free. [`ClaimError::Io`] if the directory
    /// cannot be used, another process holds the lock for 10 s, or the name is not one
    /// of a container.
    pub fn claim(&self, pool: &Pool, container: &str) -> Result<Range, ClaimError> {
        check_name(container)?;
        pool.check().map_err(ClaimError::InvalidPool)?;
        let directory = self.directory()?;
        let _lock = self.lock(&directory)?;
        let granted = ranges(&directory)?;
        for range in granted.iter().filter(|r| pool.contains(r)) {
            // A grant that is not valid does not belong to a container, but its range
            // is not free.
            if self.read(&directory, range).is_ok_and(|c| c == container) {
                return Ok(*range);
            }
        }
        let free = pool
            .ranges()
            .find(|range| !granted.iter().any(|other| other.overlaps(range)));
        let Some(range) = free else {
            return Err(ClaimError::Exhausted {
                size: pool.len(),
                used: granted
                    .iter()
                    .filter(|g| pool.ranges().any(|r| r.overlaps(g)))
                    .count(),
            });
        };
        write(&directory, &range, container).map_err(|e| self.failed("writing a grant in", e))?;
        Ok(range)
    }

    /// Removes the grants of the container. Returns whether there was one.
    ///
    /// # Errors
    /// If the directory cannot be used, or another process holds the lock for 10 s.
    pub fn release(&self, container: &str) -> io::Result<bool> {
        let directory = self.directory()?;
        let _lock = self.lock(&directory)?;
        let mut removed = false;
        for range in ranges(&directory)? {
            if self.read(&directory, &range).is_ok_and(|c| c == container) {
                rustix::fs::unlinkat(&directory, range.file_name(), AtFlags::empty())?;
                removed = true;
            }
        }
        rustix::fs::fsync(&directory)?;
        Ok(removed)
    }

    /// All valid grants with the names of their containers, in ascending order. Other
    /// files are ignored.
    ///
    /// # Errors
    /// If the directory cannot be used.
    pub fn list(&self) -> io::Result<Vec<(Range, String)>> {
        let directory = self.directory()?;
        let mut granted = ranges(&directory)?;
        granted.sort_unstable();
        Ok(granted
            .into_iter()
            .filter_map(|range| Some((range, self.read(&directory, &range).ok()?)))
            .collect())
    }

    /// Checks that the range is granted to the container.
    ///
    /// # Errors
    /// If it is not, or the grant or the directory is not valid; the text names both and
    /// the reason.
    pub fn verify(&self, range: &Range, container: &str) -> io::Result<()> {
        let directory = self.directory()?;
        let granted_to = self.read(&directory, range)?;
        if granted_to == container {
            return Ok(());
        }
        Err(refused(format!(
            "{} grants the range {range} to the container {granted_to}, not to {container}",
            self.directory.join(range.file_name()).display()
        )))
    }

    /// Opens the directory and checks it.
    fn directory(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(CWD, &self.directory, flags, Mode::empty())
            .map_err(|e| explain(&self.directory, e))?;
        let stat = rustix::fs::fstat(&directory).map_err(|e| explain(&self.directory, e))?;
        self.check_owner(&self.directory, &stat)?;
        Ok(directory)
    }

    fn check_owner(&self, path: &Path, stat: &Stat) -> io::Result<()> {
        let path = path.display();
        if stat.st_uid != self.owner {
            return Err(refused(format!(
                "{path} is owned by user {}, not by {}; remove it, only the server creates it",
                stat.st_uid, self.owner
            )));
        }
        if stat.st_mode & 0o022 != 0 {
            return Err(refused(format!(
                "{path} is writable by its group or others (mode {:o}); check who wrote it, then chmod go-w it",
                stat.st_mode & 0o7777
            )));
        }
        Ok(())
    }

    /// Returns the container of a grant.
    fn read(&self, directory: &OwnedFd, range: &Range) -> io::Result<String> {
        let name = range.file_name();
        let path = self.directory.join(&name);
        // Without NONBLOCK a FIFO would block.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(directory, &name, flags, Mode::empty())
            .map_err(|e| explain(&path, e))?;
        let stat = rustix::fs::fstat(&file).map_err(|e| explain(&path, e))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(refused(format!("{} is not a regular file", path.display())));
        }
        self.check_owner(&path, &stat)?;
        let mut text = String::new();
        File::from(file)
            .take(MAX_NAME as u64 + 2)
            .read_to_string(&mut text)?;
        match text.strip_suffix('\n') {
            Some(container) if check_name(container).is_ok() => Ok(container.to_owned()),
            _ => Err(refused(format!(
                "{} does not contain the name of a container and a newline",
                path.display()
            ))),
        }
    }

    /// Waits for the lock; it is released when the returned file is closed.
    fn lock(&self, directory: &OwnedFd) -> io::Result<OwnedFd> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(directory, LOCK, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|e| self.failed("opening the lock of", e.into()))?;
        let deadline = Instant::now() + LOCK_TIMEOUT;
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(file),
                Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < deadline => {
                    std::thread::sleep(LOCK_POLL_INTERVAL);
                }
                Err(e) => return Err(self.failed("waiting for the lock of", e.into())),
            }
        }
    }

    fn failed(&self, what: &str, error: io::Error) -> io::Error {
        let text = format!("{what} {}: {error}", self.directory.display());
        io::Error::new(error.kind(), text)
    }
}

/// Writes a complete grant that replaces nothing.
fn write(directory: &OwnedFd, range: &Range, container: &str) -> io::Result<()> {
    let flags =
        OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    // It may be left from a process that was killed.
    match rustix::fs::unlinkat(directory, UNFINISHED, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(e) => return Err(e.into()),
    }
    let mut file = File::from(rustix::fs::openat(directory, UNFINISHED, flags, mode)?);
    file.write_all(format!("{container}\n").as_bytes())?;
    file.sync_all()?;
    rustix::fs::renameat(directory, UNFINISHED, directory, range.file_name())?;
    Ok(rustix::fs::fsync(directory)?)
}

/// The ranges in the names of all files, also of those that are not valid grants.
fn ranges(directory: &OwnedFd) -> io::Result<Vec<Range>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_str().ok();
        found.extend(name.and_then(Range::from_file_name));
    }
    Ok(found)
}

/// Checks that a name is one that the engine permits for containers.
fn check_name(name: &str) -> io::Result<()> {
    let valid = name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    if valid {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("{name:?} is not the name of a container"),
    ))
}

fn refused(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}

fn explain(path: &Path, error: Errno) -> io::Error {
    let text = match error {
        Errno::NOENT => "does not exist",
        Errno::LOOP => "is a symbolic link",
        Errno::NOTDIR => "is not a directory",
        _ => return io::Error::new(io::Error::from(error).kind(), format!("{}: {error}", path.display())),
    };
    io::Error::new(io::Error::from(error).kind(), format!("{} {text}", path.display()))
}

#[cfg(test)]
mod tests;
