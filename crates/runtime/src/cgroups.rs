//! The cgroups of a container: which are its own, and how they are removed.

mod nested;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};

pub use self::nested::remove_below;
use crate::mountinfo::Mount;

const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Whether the path is that of a cgroup of the container, and not of one of the engine.
/// The engine's cgroup driver names it after the id, systemd's after a scope.
#[must_use]
pub fn is_own(path: &Path, id: &str) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    path.is_absolute()
        && name.is_some_and(|name| name == id || name.ends_with(&format!("-{id}.scope")))
}

/// Whether processes in the cgroups of a container are killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Processes {
    Kill,
    Keep,
}

/// Removes the cgroups of a container. `path` is its `cgroupsPath`; one of systemd's
/// driver is left to systemd, which removes a scope without processes.
///
/// # Errors
/// If a cgroup is still in use after this time, or at once if its processes are kept.
pub fn remove(
    path: &str,
    id: &str,
    mounts: &[Mount],
    (processes, timeout): (Processes, Duration),
) -> Result<()> {
    let Some(relative) = relative(path, id) else {
        return Ok(());
    };
    let deadline = Instant::now() + timeout;
    for directory in directories(relative, mounts) {
        while let Err(e) = remove_directory(&directory) {
            if processes == Processes::Keep || Instant::now() >= deadline {
                return Err(e).with_context(|| format!("removing {}", directory.display()));
            }
            kill_below(Path::new(path));
            std::thread::sleep(POLL_INTERVAL);
        }
    }
    Ok(())
}

/// The directories of a cgroup in all hierarchies.
fn directories(relative: &str, mounts: &[Mount]) -> impl Iterator<Item = PathBuf> {
    mounts
        .iter()
        .filter(|m| (m.kind == "cgroup" || m.kind == "cgroup2") && m.root == Path::new("/"))
        .map(move |mount| mount.target.join(relative))
}

/// The path below a hierarchy, if it is absolute and ends with the container's id.
fn relative<'a>(path: &'a str, id: &str) -> Option<&'a str> {
    let relative = path.strip_prefix('/')?;
    let mut parts = relative.split('/');
    let is_own = parts.next_back() == Some(id);
    let is_plain = !relative
        .split('/')
        .any(|part| matches!(part, "" | "." | ".."));
    (is_own && is_plain && !path.contains(':')).then_some(relative)
}

fn remove_directory(directory: &Path) -> Result<(), Errno> {
    remove_below(directory)?;
    match rustix::fs::rmdir(directory) {
        Err(e) if e != Errno::NOENT => Err(e),
        _ => Ok(()),
    }
}

/// Kills the processes in this cgroup and below it, in any hierarchy.
fn kill_below(cgroup: &Path) {
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name
            .to_str()
            .and_then(|name| Pid::from_raw(name.parse().ok()?))
        else {
            continue;
        };
        let groups = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        let mut paths = groups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
        if paths.any(|path| Path::new(path).starts_with(cgroup)) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cgroups_of_the_container_are_its_own() {
        for own in ["/docker/abc", "/abc", "/system.slice/docker-abc.scope"] {
            assert!(is_own(Path::new(own), "abc"), "{own}");
        }
        for other in [
            "/",
            "",
            "abc",
            "/docker/abd",
            "/docker/abc/x",
            "/docker/xabc",
            "/docker/abc.scope",
        ] {
            assert!(!is_own(Path::new(other), "abc"), "{other}");
        }
    }

    #[test]
    fn only_cgroups_of_the_container_are_removed() {
        assert_eq!(relative("/docker/abc", "abc"), Some("docker/abc"));
        for path in [
            "abc",
            "/docker",
            "/docker/abc/x",
            "/../abc",
            "//abc",
            "system.slice:docker:abc",
            "/a:b/abc",
            "",
            "/",
        ] {
            assert_eq!(relative(path, "abc"), None, "{path}");
        }
    }
}
