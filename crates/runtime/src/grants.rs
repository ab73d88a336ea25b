//! Which container has which range of ids, as files of the host. Servers with
//! different databases share the directory, so a lock protects it and not a
//! transaction.

mod directory;
mod grant;
mod processes;

use std::fmt;
use std::io;
use std::path::PathBuf;

use rustix::fs::Mode;
use rustix::io::Errno;

use self::directory::{Directory, explain, refused};
pub use self::grant::Grant;
use self::grant::check_name;
pub use crate::devices::{Devices, InvalidDevices};
pub use crate::range::{InvalidRange, Pool, Range};

/// The directory of the grants on each host.
pub const DIRECTORY: &str = "/var/lib/jeroboam-userns";
/// The environment variable of a container with its range.
pub const VARIABLE: &str = "JEROBOAM_USERNS";
/// The name under which `jeroboam-runtime` is registered in the engine.
pub const RUNTIME: &str = "jeroboam-userns";

/// The directory with the grants. Its methods block, for up to 10 s if another process
/// holds the lock.
#[derive(Debug, Clone)]
pub struct Grants {
    directory: PathBuf,
    /// The user that must own the directory and the grants. It is root except in tests.
    owner: u32,
    /// The ranges of the processes of the host. Tests have their own.
    running: fn() -> io::Result<Vec<Range>>,
}

/// What a container gets.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The name of the container.
    pub container: &'a str,
    /// The id of its installation.
    pub installation: Option<&'a str>,
    pub devices: &'a Devices,
}

impl Claim<'_> {
    fn grant(&self, range: Range) -> Grant {
        Grant {
            range,
            container: self.container.to_owned(),
            installation: self.installation.map(str::to_owned),
            devices: self.devices.clone(),
        }
    }
}

/// The files of the directory that are named after a range.
#[derive(Debug, Default)]
pub struct Listing {
    pub valid: Vec<Grant>,
    pub invalid: Vec<InvalidGrant>,
}

/// A file whose range is neither free nor granted.
#[derive(Debug)]
pub struct InvalidGrant {
    pub path: PathBuf,
    /// What is wrong and what to do; it names the file.
    pub why: String,
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
                "no range of ids is free on this host: {used} grants are in use and the pool has {size} ranges; delete clusters or enlarge the pool in the setting `[infra.user_ids]`"
            ),
            Self::InvalidPool(error) => {
                write!(f, "{error}; correct the setting `[infra.user_ids]`")
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
        let grants = Self {
            directory,
            owner,
            running: processes::ranges,
        };
        grants.directory()?;
        Ok(grants)
    }

    /// The directory, which has to exist when a method is called.
    #[must_use]
    pub fn existing(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            owner: 0,
            running: processes::ranges,
        }
    }

    /// Returns the range of the pool that the container already has, or grants it the
    /// first range of the pool that overlaps no grant of any size. The grant is on disk
    /// when this returns. It names the installation, so that its server finds it again,
    /// and the devices, which a repeated claim may change.
    ///
    /// # Errors
    /// [`ClaimError::Exhausted`] if no range is free. [`ClaimError::Io`] if the directory
    /// cannot be used, another process holds the lock for 10 s, or the name is not one
    /// of a container.
    pub fn claim(&self, pool: &Pool, claim: &Claim<'_>) -> Result<Range, ClaimError> {
        check_name(claim.container)?;
        claim.installation.map(check_name).transpose()?;
        pool.check().map_err(ClaimError::InvalidPool)?;
        let directory = self.directory()?;
        let _lock = directory.lock()?;
        let granted = directory.ranges()?;
        for range in granted.iter().filter(|range| pool.contains(range)) {
            // A grant that is not valid does not belong to a container, but its range
            // is not free.
            let found = directory.read(range).ok();
            if let Some(grant) = found.filter(|grant| grant.container == claim.container) {
                if grant.devices != *claim.devices {
                    directory.write(&claim.grant(*range))?;
                }
                return Ok(*range);
            }
        }
        let running = (self.running)()?;
        let taken = |range: &Range| {
            let all = granted.iter().chain(&running);
            all.into_iter().any(|other| other.overlaps(range))
        };
        let free = pool.ranges().find(|range| !taken(range));
        let Some(range) = free else {
            let used = granted
                .iter()
                .filter(|g| pool.ranges().any(|r| r.overlaps(g)));
            return Err(ClaimError::Exhausted {
                size: pool.len(),
                used: used.count(),
            });
        };
        directory.write(&claim.grant(range))?;
        Ok(range)
    }

    /// Removes the grants of the container unless `exists` finds the container. The
    /// lock is held meanwhile, so that no range is claimed for it. Returns whether
    /// there was a grant.
    ///
    /// # Errors
    /// That of `exists`, or if processes of the host still have ids of the range, if the
    /// directory cannot be used, or another process holds the lock for 10 s.
    pub fn release(
        &self,
        container: &str,
        exists: impl FnOnce() -> io::Result<bool>,
    ) -> io::Result<bool> {
        let directory = self.directory()?;
        let _lock = directory.lock()?;
        if exists()? {
            return Ok(false);
        }
        let running = (self.running)()?;
        let mut removed = false;
        for range in directory.ranges()? {
            if directory
                .read(&range)
                .is_ok_and(|grant| grant.container == container)
            {
                if running.iter().any(|other| other.overlaps(&range)) {
                    return Err(io::Error::other(format!(
                        "processes with ids of the range {range} still run"
                    )));
                }
                directory.remove(&range)?;
                removed = true;
            }
        }
        if removed {
            directory.sync()?;
        }
        Ok(removed)
    }

    /// All grants in ascending order. Files that are not named after a range are ignored.
    ///
    /// # Errors
    /// If the directory cannot be used.
    pub fn list(&self) -> io::Result<Listing> {
        let directory = self.directory()?;
        let mut ranges = directory.ranges()?;
        ranges.sort_unstable();
        let mut listing = Listing::default();
        for range in ranges {
            match directory.read(&range) {
                Ok(grant) => listing.valid.push(grant),
                // It was released meanwhile.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => listing.invalid.push(InvalidGrant {
                    path: directory.path(&range),
                    why: format!(
                        "{e}; no node gets its range until it is removed, which is safe if no \
                         container of this host has the variable {VARIABLE}={range}"
                    ),
                }),
            }
        }
        Ok(listing)
    }

    /// Finds the grant of the range, which must be for the container.
    ///
    /// # Errors
    /// If it is not, or the grant or the directory is not valid, or another process holds
    /// the lock for 10 s; the text names both and the reason.
    pub fn verify(&self, range: &Range, container: &str) -> io::Result<Grant> {
        let directory = self.directory()?;
        // A server that is about to release the grant has seen no container.
        let _lock = directory.lock()?;
        let grant = directory.read(range)?;
        if grant.container == container {
            return Ok(grant);
        }
        Err(refused(format!(
            "{} grants the range {range} to the container {}, not to {container}",
            directory.path(range).display(),
            grant.container
        )))
    }

    fn directory(&self) -> io::Result<Directory> {
        Directory::open(&self.directory, self.owner)
    }
}

#[cfg(test)]
mod tests;
