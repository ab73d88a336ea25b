//! The files of the grants.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::grant::{Grant, MAX_TEXT};
use crate::range::Range;

const LOCK: &CStr = c".lock";
/// A grant that is being written. Only the holder of the lock writes it.
const UNFINISHED: &CStr = c".unfinished";
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(5);
/// The open directory of the grants, whose owner and mode have been checked.
pub(super) struct Directory {
    file: OwnedFd,
    path: PathBuf,
    owner: u32,
}

/// The lock of the directory, until it is dropped.
pub(super) struct Lock(#[expect(dead_code, reason = "closing it releases the lock")] OwnedFd);

impl Directory {
    /// Opens the directory.
    pub(super) fn open(path: &Path, owner: u32) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file =
            rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|e| explain(path, e))?;
        let stat = rustix::fs::fstat(&file).map_err(|e| explain(path, e))?;
        check_owner(path, &stat, owner)?;
        Ok(Self {
            file,
            path: path.to_owned(),
            owner,
        })
    }

    /// Waits for the lock.
    pub(super) fn lock(&self) -> io::Result<Lock> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.file, LOCK, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|e| self.failed("opening the lock of", e))?;
        let deadline = Instant::now() + LOCK_TIMEOUT;
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Lock(file)),
                Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < deadline => {
                    std::thread::sleep(LOCK_POLL_INTERVAL);
                }
                Err(e) => return Err(self.failed("waiting for the lock of", e)),
            }
        }
    }

    /// The ranges in the names of all files, also of those that are not valid grants.
    pub(super) fn ranges(&self) -> io::Result<Vec<Range>> {
        let mut found = Vec::new();
        for entry in Dir::read_from(&self.file)? {
            let entry = entry?;
            let name = entry.file_name().to_str().ok();
            found.extend(name.and_then(Range::from_file_name));
        }
        Ok(found)
    }

    /// The path of a grant.
    pub(super) fn path(&self, range: &Range) -> PathBuf {
        self.path.join(range.file_name())
    }

    /// Reads the grant of a range.
    pub(super) fn read(&self, range: &Range) -> io::Result<Grant> {
        let path = self.path(range);
        // Without NONBLOCK a FIFO would block.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.file, range.file_name(), flags, Mode::empty())
            .map_err(|e| explain(&path, e))?;
        let stat = rustix::fs::fstat(&file).map_err(|e| explain(&path, e))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(refused(format!("{} is not a regular file", path.display())));
        }
        check_owner(&path, &stat, self.owner)?;
        let mut text = Vec::new();
        File::from(file).take(MAX_TEXT + 1).read_to_end(&mut text)?;
        let is_short = text.len() as u64 <= MAX_TEXT;
        let text = String::from_utf8(text).ok().filter(|_| is_short);
        let text = text.unwrap_or_default();
        Grant::parse(range, &text).ok_or_else(|| {
            refused(format!(
                "{} does not contain the name of a container in a line, and lines that this release knows",
                path.display()
            ))
        })
    }

    /// Writes a complete grant, in place of an earlier one of the range. The caller holds
    /// the lock.
    pub(super) fn write(&self, grant: &Grant) -> io::Result<()> {
        let failed = |e: Errno| self.failed("writing a grant in", e);
        // It may be left from a process that was killed.
        match rustix::fs::unlinkat(&self.file, UNFINISHED, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(e) => return Err(failed(e)),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = rustix::fs::openat(&self.file, UNFINISHED, flags, mode).map_err(failed)?;
        let mut file = File::from(file);
        file.write_all(grant.text().as_bytes())?;
        file.sync_all()?;
        rustix::fs::renameat(&self.file, UNFINISHED, &self.file, grant.range.file_name())
            .map_err(failed)?;
        self.sync()
    }

    /// Removes a grant. The caller holds the lock.
    pub(super) fn remove(&self, range: &Range) -> io::Result<()> {
        rustix::fs::unlinkat(&self.file, range.file_name(), AtFlags::empty())
            .map_err(|e| self.failed("removing a grant from", e))
    }

    /// Writes changes of the directory to disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.file)?)
    }

    fn failed(&self, what: &str, error: Errno) -> io::Error {
        let text = format!("{what} {}: {error}", self.path.display());
        io::Error::new(io::Error::from(error).kind(), text)
    }
}

fn check_owner(path: &Path, stat: &Stat, owner: u32) -> io::Result<()> {
    let path = path.display();
    if stat.st_uid != owner {
        return Err(refused(format!(
            "{path} is owned by user {}, not by {owner}; check who changed it, then chown it",
            stat.st_uid
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

pub(super) fn refused(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}

/// An error with the path and its meaning for a grant.
pub(super) fn explain(path: &Path, error: Errno) -> io::Error {
    let path = path.display();
    let text = match error {
        Errno::NOENT => format!("{path} does not exist"),
        Errno::LOOP => format!("{path} is a symbolic link"),
        Errno::NOTDIR => format!("{path} is not a directory"),
        _ => format!("{path}: {error}"),
    };
    io::Error::new(io::Error::from(error).kind(), text)
}
