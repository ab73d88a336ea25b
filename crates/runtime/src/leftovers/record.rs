//! The records of containers.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;
use serde_json::{Value, json};

/// The directory of the runtime; see `scratch`.
pub const DIRECTORY: &str = "/run/jeroboam-userns";
/// The directory of the records, which are named after the ids of containers.
const CONTAINERS: &str = "/run/jeroboam-userns/containers";

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The `cgroupsPath`.
    pub cgroup: String,
    /// runc's directory of the container.
    pub state: PathBuf,
    /// The engine's directory of all containers. The one of this container is in it as
    /// long as the engine has the container.
    pub engine: PathBuf,
    /// The process that called the runtime and that the container belongs to.
    pub shim: i32,
}

/// Whether the engine of a container has it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Existence {
    Exists,
    Gone,
    /// The engine's directory is not there.
    Unknown,
}

/// The locked record of a container that is being created.
pub struct Record {
    directory: OwnedFd,
    id: String,
    /// Others remove nothing while it is locked.
    _lock: OwnedFd,
}

/// A locked record of a container that is not being created.
pub(super) struct Stored {
    pub id: String,
    pub facts: Facts,
    /// Device and inode of the engine's directory.
    engine: (u64, u64),
    /// When the shim was started.
    shim_started: Option<u64>,
    _lock: OwnedFd,
}

impl Record {
    /// Creates the record and its directory, in place of an earlier one of this
    /// container.
    ///
    /// # Errors
    /// If they cannot be created.
    pub fn write(id: &str, facts: &Facts) -> Result<Self> {
        create_directory(Path::new(CONTAINERS), 0o700)?;
        Self::write_in(Path::new(CONTAINERS), id, facts)
    }

    pub(super) fn write_in(directory: &Path, id: &str, facts: &Facts) -> Result<Self> {
        let failed = || format!("writing the record of {id} in {}", directory.display());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::open(directory, flags, Mode::empty()).with_context(failed)?;
        // A record is complete and locked when it gets its name.
        let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let mut file = File::from(rustix::fs::open(directory, flags, mode).with_context(failed)?);
        file.write_all(facts.text().with_context(failed)?.as_bytes())
            .with_context(failed)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).with_context(failed)?;
        remove(opened.as_fd(), id).with_context(failed)?;
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
        rustix::fs::linkat(CWD, &path, &opened, id, AtFlags::SYMLINK_FOLLOW)
            .with_context(failed)?;
        Ok(Self {
            directory: opened,
            id: id.to_owned(),
            _lock: file.into(),
        })
    }

    /// Removes the record of a container that was not created. Its path may be hidden by
    /// a mount meanwhile.
    pub fn remove(self) {
        let _ = remove(self.directory.as_fd(), &self.id);
    }

    /// Removes the record of a container that runc has deleted.
    pub fn forget(id: &str) {
        let _ = fs::remove_file(Path::new(CONTAINERS).join(id));
    }
}

impl Facts {
    fn text(&self) -> Result<String> {
        let engine = fs::metadata(&self.engine)
            .with_context(|| format!("the engine's directory {}", self.engine.display()))?;
        let shim_started = Pid::from_raw(self.shim).and_then(started);
        Ok(json!({
            "cgroup": self.cgroup,
            "state": self.state,
            "engine": {"directory": self.engine, "device": engine.dev(), "inode": engine.ino()},
            "shim": {"process": self.shim, "started": shim_started},
        })
        .to_string())
    }
}

impl Stored {
    /// `None` if there is no record, or the container is being created.
    pub(super) fn lock(id: &str) -> Result<Option<Self>> {
        Self::lock_in(Path::new(CONTAINERS), id)
    }

    pub(super) fn lock_in(directory: &Path, id: &str) -> Result<Option<Self>> {
        let path = directory.join(id);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::open(&path, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            opened => opened.with_context(|| format!("opening {}", path.display()))?,
        };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Ok(None),
            locked => locked.with_context(|| format!("locking {}", path.display()))?,
        }
        let mut file = File::from(file);
        let mut text = String::new();
        file.read_to_string(&mut text)
            .with_context(|| format!("reading {}", path.display()))?;
        let stored = Self::parse(id, &text, file.into());
        stored
            .with_context(|| format!("{} is not a record; remove it", path.display()))
            .map(Some)
    }

    fn parse(id: &str, text: &str, lock: OwnedFd) -> Result<Self> {
        let value: Value = serde_json::from_str(text)?;
        let text = |value: &Value| value.as_str().map(str::to_owned).context("no text");
        let facts = Facts {
            cgroup: text(&value["cgroup"])?,
            state: text(&value["state"])?.into(),
            engine: text(&value["engine"]["directory"])?.into(),
            shim: i32::try_from(value["shim"]["process"].as_i64().unwrap_or(0))?,
        };
        let number = |name: &str| value["engine"][name].as_u64().context("no number");
        // Only this directory is removed.
        ensure!(
            facts.state.is_absolute() && facts.state.file_name().is_some_and(|name| name == id),
            "the state is not that of {id}"
        );
        Ok(Self {
            id: id.to_owned(),
            facts,
            engine: (number("device")?, number("inode")?),
            shim_started: value["shim"]["started"].as_u64(),
            _lock: lock,
        })
    }

    pub(super) fn existence(&self) -> Existence {
        let found = fs::metadata(&self.facts.engine);
        if !found.is_ok_and(|m| (m.dev(), m.ino()) == self.engine) {
            return Existence::Unknown;
        }
        match fs::symlink_metadata(self.facts.engine.join(&self.id)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Existence::Gone,
            _ => Existence::Exists,
        }
    }

    /// The shim, if it runs.
    pub(super) fn shim(&self) -> Option<Pid> {
        let pid = Pid::from_raw(self.facts.shim)?;
        let path = format!("/proc/{}/cmdline", self.facts.shim);
        let command = fs::read(path).unwrap_or_default();
        let has_id = command
            .split(|b| *b == 0)
            .any(|word| word == self.id.as_bytes());
        let is_same = started(pid).is_some_and(|at| Some(at) == self.shim_started);
        (has_id && is_same).then_some(pid)
    }

    pub(super) fn remove(self) -> Result<()> {
        match fs::remove_file(Path::new(CONTAINERS).join(&self.id)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(e).with_context(|| format!("removing the record of {}", self.id))
            }
            _ => Ok(()),
        }
    }
}

/// Whether there is a record of this container.
pub(super) fn exists(id: &str) -> bool {
    Path::new(CONTAINERS).join(id).exists()
}

/// The ids of all containers with records.
pub(super) fn ids() -> Result<Vec<String>> {
    let entries = match fs::read_dir(CONTAINERS) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        found => found.with_context(|| format!("reading {CONTAINERS}"))?,
    };
    entries
        .map(|entry| Ok(entry?.file_name().into_string().ok()))
        .filter_map(Result::transpose)
        .collect()
}

fn remove(directory: impl AsFd, id: &str) -> Result<(), Errno> {
    match rustix::fs::unlinkat(directory, id, AtFlags::empty()) {
        Err(e) if e != Errno::NOENT => Err(e),
        _ => Ok(()),
    }
}

/// When a process was started, by the kernel's clock.
fn started(pid: Pid) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The name of the program, in parentheses, may contain anything.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

/// Creates a directory with this mode, or gives it this mode.
///
/// # Errors
/// As the file system.
pub fn create_directory(path: &Path, mode: u32) -> Result<()> {
    let created = fs::DirBuilder::new().mode(mode).create(path);
    match created {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
            return Err(e).with_context(|| format!("creating {}", path.display()));
        }
        _ => {}
    }
    // The umask may have removed bits.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("changing the mode of {}", path.display()))
}
