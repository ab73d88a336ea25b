//! The runc that this program calls.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use rustix::process::{Signal, WaitStatus, getpid, getppid};

use crate::sys;

const DIRECTORIES: &[&str] = &[
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    "/usr/local/sbin",
    "/usr/local/bin",
];

/// Finds runc in the directories of `path` (the variable PATH) and in the usual ones,
/// but never this program.
pub(crate) fn find(path: Option<&OsStr>) -> Result<PathBuf> {
    let own = Path::new("/proc/self/exe").metadata()?;
    let listed = path.map(std::env::split_paths).into_iter().flatten();
    let mut candidates = listed
        .chain(DIRECTORIES.iter().map(PathBuf::from))
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join("runc"));
    let found = candidates.find(|candidate| {
        candidate.metadata().is_ok_and(|m| {
            let is_own = (m.dev(), m.ino()) == (own.dev(), own.ino());
            m.is_file() && m.mode() & 0o111 != 0 && !is_own
        })
    });
    found.with_context(|| format!("runc is neither in PATH nor in {}", DIRECTORIES.join(", ")))
}

/// Replaces this program by runc; returns only the error if that fails.
pub(crate) fn exec(runc: &Path, args: &[OsString]) -> io::Error {
    Command::new(runc).args(args).exec()
}

/// Runs runc with our file descriptors. It is killed when this process ends.
pub(crate) fn run(runc: &Path, args: &[OsString]) -> Result<WaitStatus> {
    let parent = getpid();
    let child = sys::fork(|| {
        let watched = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
        // The parent may have ended before the signal was requested.
        if watched.is_err() || getppid() != Some(parent) {
            return 1;
        }
        let error = exec(runc, args);
        let _ = writeln!(
            io::stderr(),
            "jeroboam-runtime: {}: {error}",
            runc.display()
        );
        127
    })
    .context("fork")?;
    child.wait().context("waiting for runc")
}

/// Removes a container in any state.
pub(crate) fn delete(runc: &Path, global: &[OsString], id: &str) -> Result<WaitStatus> {
    let mut args = global.to_vec();
    args.extend(["delete", "--force", id].map(OsString::from));
    run(runc, &args)
}
