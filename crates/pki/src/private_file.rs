//! Files with secrets: replaced atomically, readable by their owner only, and
//! changed by one process at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kernel::{Error, Kind, Result};

/// Name of the lock file in a directory of keys.
const LOCK: &str = ".lock";
/// How long another process may hold the lock before the caller is refused.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// Pause between two attempts to lock; the kernel's call has no time limit.
const LOCK_RETRY: Duration = Duration::from_millis(20);
/// Permission bits of the group and of others.
const GROUP_AND_OTHERS: u32 = 0o077;
/// The bits of a directory that allow the group and others to access its files.
const DIRECTORY_SEARCH: u32 = 0o011;

/// Refuses a file or directory with secrets that others can read: its own mode
/// permits it, and the mode of its parent directory does not prevent it. The
/// directories above are not examined. An absent file is accepted.
///
/// # Errors
/// Precondition, naming the file, its mode and the command that repairs it.
pub fn check_private(path: &Path) -> Result<()> {
    let mode = |path: &Path| fs::metadata(path).map(|m| m.permissions().mode());
    let parent = path.parent().map(|parent| match parent.as_os_str() {
        empty if empty.is_empty() => Path::new("."),
        _ => parent,
    });
    let (Ok(own), Some(Ok(above))) = (mode(path), parent.map(mode)) else {
        return Ok(());
    };
    if own & GROUP_AND_OTHERS == 0 || above & DIRECTORY_SEARCH == 0 {
        return Ok(());
    }
    let (path, own) = (path.display(), own & 0o777);
    Err(Error::new(
        Kind::Precondition,
        format!("others can read {path} (mode {own:04o}); run: chmod -R go= {path}"),
    ))
}

/// What changes whenever a file is replaced or written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileStamp {
    inode: u64,
    modified: (i64, i64),
    /// Of the contents, the owner or the mode.
    changed: (i64, i64),
    length: u64,
}

impl FileStamp {
    /// # Errors
    /// The error of the operating system.
    pub fn of(path: &Path) -> std::io::Result<Self> {
        let found = fs::metadata(path)?;
        Ok(Self {
            inode: found.ino(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
            length: found.len(),
        })
    }
}

/// Locks the file exclusively, waiting for another holder. The kernel releases a
/// lock only when nothing refers to the open file any more: a process that lists
/// the open files of all others can keep it for a moment after its holder closed
/// it.
///
/// # Errors
/// The error of the operating system. `Ok(false)`: it is held for longer.
pub fn lock_within(file: &File, wait: Duration) -> std::io::Result<bool> {
    let end = Instant::now() + wait;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(e)) if e.kind() != ErrorKind::Interrupted => return Err(e),
            Err(_) if Instant::now() >= end => return Ok(false),
            Err(_) => std::thread::sleep(LOCK_RETRY),
        }
    }
}

/// The right to change the keys of a directory, until dropped.
#[derive(Debug)]
pub struct KeyDirLock {
    dir: PathBuf,
    _file: File,
}

impl KeyDirLock {
    /// Waits up to five seconds for another process; changing keys takes
    /// milliseconds.
    ///
    /// # Errors
    /// Conflict: another process still changes the keys. Internal: the directory
    /// cannot be written.
    pub fn acquire(dir: &Path) -> Result<Self> {
        let path = dir.join(LOCK);
        let failed = |e: std::io::Error| Error::internal(format!("{}: {e}", path.display()));
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        // A server that runs as another user has to be able to lock, too.
        give_to_owner_of(dir, &path).map_err(failed)?;
        if !lock_within(&file, LOCK_WAIT).map_err(failed)? {
            let dir = dir.display();
            return Err(Error::conflict(format!(
                "Another process is changing the keys in {dir}; repeat the command when it has ended."
            )));
        }
        Ok(Self {
            dir: dir.to_owned(),
            _file: file,
        })
    }

    /// Writes a file of mode 0600 beside its target, which is then renamed, so
    /// that readers see the old or the new file as a whole.
    ///
    /// # Errors
    /// Internal: the file cannot be written.
    pub fn replace(&self, name: &str, content: &[u8]) -> Result<()> {
        let draft = self.dir.join(format!("{name}.tmp"));
        let path = self.dir.join(name);
        let failed = |e: std::io::Error| Error::internal(format!("{}: {e}", path.display()));
        self.draft(&draft, content).map_err(failed)?;
        fs::rename(&draft, &path).map_err(failed)?;
        self.sync().map_err(failed)
    }

    /// Writes a file of mode 0600 and flushes it to the disk.
    ///
    /// # Errors
    /// The error of the operating system.
    pub fn draft(&self, path: &Path, content: &[u8]) -> std::io::Result<()> {
        // What an interrupted rotation left; a link is removed, never followed.
        match fs::remove_file(path) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(content)?;
        give_to_owner_of(&self.dir, path)?;
        file.sync_all()
    }

    /// Flushes the names of the directory to the disk.
    ///
    /// # Errors
    /// The error of the operating system.
    pub fn sync(&self) -> std::io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }
}

/// A command of root must not leave files that the server cannot read.
fn give_to_owner_of(dir: &Path, path: &Path) -> std::io::Result<()> {
    let (owner, own) = (fs::metadata(dir)?, fs::metadata(path)?);
    if owner.uid() == own.uid() {
        return Ok(());
    }
    chown(path, Some(owner.uid()), Some(owner.gid()))
}
