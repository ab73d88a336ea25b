//! What containers leave when their engine was killed: an engine that is killed while it
//! creates a container forgets it, and never asks runc to delete it. Each container
//! has a record from the beginning of its creation until runc has deleted it.

mod record;

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

pub use self::record::{DIRECTORY, Facts, Record, create_directory};
use self::record::{Existence, Stored};
use crate::cgroups::{self, Processes};
use crate::mountinfo;

const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Removes what the containers have left that their engines do not have any more: their
/// shims, processes, cgroups, and runc's states. Each removal takes at most this time.
///
/// # Errors
/// Those of all removals. They are repeated by the next call.
pub fn remove(timeout: Duration) -> Result<()> {
    let mut failed = Vec::new();
    for id in record::ids()? {
        if let Err(e) = remove_of(&id, timeout) {
            failed.push(format!("{e:#}"));
        }
    }
    ensure!(failed.is_empty(), "{}", failed.join("; "));
    Ok(())
}

/// Removes what a killed `create` of this container has left, if runc has no state of it
/// by which it can do that. The record must stay if this fails.
///
/// # Errors
/// If the record stays locked, or a cgroup cannot be removed, in this time.
pub fn remove_unfinished(id: &str, timeout: Duration) -> Result<()> {
    let deadline = Instant::now() + timeout;
    let stored = loop {
        if let Some(stored) = Stored::lock(id)? {
            break stored;
        }
        if !record::exists(id) {
            return Ok(());
        }
        // Child processes of the killed `create` hold the lock until they have ended, too.
        ensure!(Instant::now() < deadline, "the record of {id} is locked");
        std::thread::sleep(POLL_INTERVAL);
    };
    if !stored.facts.state.join("state.json").exists() {
        remove_cgroups(&stored, (Processes::Kill, timeout))?;
    }
    Ok(())
}

fn remove_of(id: &str, timeout: Duration) -> Result<()> {
    let Some(stored) = Stored::lock(id)? else {
        return Ok(());
    };
    match stored.existence() {
        Existence::Exists => return Ok(()),
        Existence::Gone => {
            // containerd then forgets the container, too.
            if let Some(shim) = stored.shim() {
                let _ = rustix::process::kill_process(shim, Signal::KILL);
            }
            remove_cgroups(&stored, (Processes::Kill, timeout))?;
        }
        // Its engine may have another mount namespace. A container without processes is
        // not harmed.
        Existence::Unknown => {
            if remove_cgroups(&stored, (Processes::Keep, timeout)).is_err() {
                return Ok(());
            }
        }
    }
    remove_state(&stored.facts.state)?;
    stored.remove()
}

fn remove_cgroups(stored: &Stored, how: (Processes, Duration)) -> Result<()> {
    let mounts = mountinfo::own()?;
    cgroups::remove(&stored.facts.cgroup, &stored.id, &mounts, how)
}

fn remove_state(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("removing {}", directory.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
