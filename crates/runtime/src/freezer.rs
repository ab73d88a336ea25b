//! Frozen processes. In cgroup v1 the root of a container can freeze its processes, and
//! a frozen process does not end when it is killed, so that the engine could never remove
//! the container.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::runc;

/// Time until the first process of a killed container ends.
const END_TIMEOUT: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// A deeper cgroup is not looked for.
const MAX_DEPTH: usize = 64;

/// What runc knows about a container.
#[derive(Debug, PartialEq, Eq)]
struct State {
    first_process: i64,
    /// The cgroup in the hierarchy `freezer`; `None` with cgroup v2.
    freezer: Option<PathBuf>,
}

/// Runs `runc kill` with the signal KILL, and thaws what the container has frozen until
/// its first process has ended.
pub(crate) fn kill(root: &Path, id: &str, runc: &Path, args: &[OsString]) -> Result<i32> {
    let path = root.join(id).join("state.json");
    let state = fs::read_to_string(&path)
        .ok()
        .and_then(|text| parse(&text, id));
    let status = runc::run(runc, args)?;
    if let Some(state) = state {
        let until = Instant::now() + END_TIMEOUT;
        while is_running(state.first_process) && Instant::now() < until {
            if let Some(freezer) = &state.freezer {
                thaw_below(freezer, MAX_DEPTH);
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }
    status.exit_status().context("runc kill was killed")
}

fn parse(state: &str, id: &str) -> Option<State> {
    let state: Value = serde_json::from_str(state).ok()?;
    let freezer = state["cgroup_paths"]["freezer"].as_str().map(PathBuf::from);
    Some(State {
        first_process: state["init_process_pid"].as_i64()?,
        // Never the engine's own cgroup.
        freezer: freezer.filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            path.is_absolute()
                && name.is_some_and(|name| name == id || name.ends_with(&format!("-{id}.scope")))
        }),
    })
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

/// Thaws the cgroups below this one, which itself is frozen by the engine only. A cgroup
/// that cannot be read or thawed may just have been removed.
fn thaw_below(cgroup: &Path, depth: usize) {
    let entries = fs::read_dir(cgroup).into_iter().flatten().flatten();
    for entry in entries {
        if depth > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let path = entry.path();
            // Root of the container owns the directory, but can create only cgroups in
            // it, no links.
            let _ = fs::write(path.join("freezer.state"), "THAWED");
            thaw_below(&path, depth - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_cgroup_of_the_container_is_thawed() {
        let state = |freezer: &str| {
            let text =
                format!(r#"{{"init_process_pid": 7, "cgroup_paths": {{"freezer": "{freezer}"}}}}"#);
            parse(&text, "abc").unwrap().freezer
        };
        let own = "/sys/fs/cgroup/freezer/docker/abc";
        assert_eq!(state(own).as_deref(), Some(Path::new(own)));
        let scope = "/sys/fs/cgroup/freezer/system.slice/docker-abc.scope";
        assert_eq!(state(scope).as_deref(), Some(Path::new(scope)));
        for other in [
            "/sys/fs/cgroup/freezer",
            "/sys/fs/cgroup/freezer/docker/abd",
            "abc",
            "",
        ] {
            assert_eq!(state(other), None, "{other}");
        }
        let unified = r#"{"init_process_pid": 7, "cgroup_paths": {"": "/sys/fs/cgroup/abc"}}"#;
        assert_eq!(parse(unified, "abc").unwrap().freezer, None);
        for text in ["", "{}", "[]", r#"{"init_process_pid": "7"}"#] {
            assert_eq!(parse(text, "abc"), None, "{text}");
        }
    }

    #[test]
    fn processes_run_until_they_have_ended() {
        assert!(is_running(i64::from(std::process::id())));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert!(!is_running(i64::from(child.id())));
        assert!(!is_running(-1));
    }

    #[test]
    fn all_cgroups_below_are_thawed_but_not_the_cgroup_itself() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        thaw_below(dir.path(), MAX_DEPTH);
        for path in [dir.path().join("a"), deep] {
            let written = fs::read_to_string(path.join("freezer.state")).unwrap();
            assert_eq!(written, "THAWED");
        }
        assert!(!dir.path().join("freezer.state").exists());
    }
}
