//! Frozen processes. In cgroup v1 the root of a container can freeze its processes, and
//! a frozen process does not end when it is killed, so that the engine could never remove
//! the container.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::state::State;
use runtime::mountinfo;

use crate::runc;

/// Time until the first process of a killed container ends.
const END_TIMEOUT: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Runs `runc kill` with the signal KILL, and thaws what the container has frozen until
/// its first process has ended.
pub(crate) fn kill(root: &Path, id: &str, runc: &Path, args: &[OsString]) -> Result<i32> {
    let state = State::read(root, id);
    let status = runc::run(runc, args)?;
    if let Some(state) = state {
        let until = Instant::now() + END_TIMEOUT;
        let mounts = mountinfo::own()?;
        let freezer = state.freezer().and_then(|path| {
            let mount = mounts
                .iter()
                .find(|m| m.kind == "cgroup" && path.starts_with(&m.target))?;
            let inside = mount.root.join(path.strip_prefix(&mount.target).ok()?);
            Some((path, inside))
        });
        while is_running(state.first_process) && Instant::now() < until {
            if let Some((freezer, inside)) = &freezer {
                thaw(freezer, inside);
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }
    status.exit_status().context("runc kill was killed")
}

/// Whether the process exists and has not ended.
fn is_running(pid: i64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name of the program, in parentheses, may contain anything.
    let state = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.split_whitespace().next());
    state.is_some_and(|state| !matches!(state, "Z" | "X" | "x"))
}

/// Moves all processes in cgroups below this one into it, which thaws them, however deep
/// they are. `inside` is the path of the cgroup in its hierarchy. A process may end
/// meanwhile.
fn thaw(cgroup: &Path, inside: &Path) {
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name
            .to_str()
            .filter(|n| n.bytes().all(|b| b.is_ascii_digit()))
        else {
            continue;
        };
        let groups = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        if freezer(&groups).is_some_and(|path| path != inside && path.starts_with(inside)) {
            let _ = fs::write(cgroup.join("cgroup.procs"), pid);
        }
    }
}

/// The path of the cgroup in the hierarchy `freezer` in a `/proc/PID/cgroup`.
fn freezer(groups: &str) -> Option<&Path> {
    groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let is_freezer = fields.next()?.split(',').any(|name| name == "freezer");
        is_freezer.then(|| fields.next().map(Path::new)).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_run_until_they_have_ended() {
        assert!(is_running(i64::from(std::process::id())));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert!(!is_running(i64::from(child.id())));
        assert!(!is_running(-1));
    }

    #[test]
    fn the_hierarchy_of_the_freezer_is_found() {
        let groups = "5:freezer:/docker/abc/x\n4:cpu,cpuacct:/docker/abc\n0::/\n";
        assert_eq!(freezer(groups), Some(Path::new("/docker/abc/x")));
        assert_eq!(freezer("0::/docker/abc\n"), None);
        assert_eq!(freezer(""), None);
    }
}
