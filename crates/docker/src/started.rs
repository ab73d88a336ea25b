//! Whether a started container has the user namespace that it should have. The engine
//! only calls a program for it, which could be another one than `jeroboam-runtime`.

use std::io;
use std::time::Duration;

use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::WaitContainerOptions;
use futures_util::StreamExt as _;
use kernel::{Error, Result};
use runtime::grants::{DIRECTORY, Grants, RUNTIME, Range, VARIABLE};

use crate::Engine;

/// How often a container that restarts meanwhile is inspected.
const ATTEMPTS: usize = 3;
/// How long the engine may need to notice that a process has ended.
const END_TIMEOUT: Duration = Duration::from_secs(5);
/// `ESRCH` of Linux.
const NO_SUCH_PROCESS: i32 = 3;

/// Why the ids of a process are not those of a range.
#[derive(Debug)]
enum Fault {
    /// There is no such process: it has ended, or the engine is on another host.
    Absent(String),
    /// Its ids are others, or cannot be read.
    Wrong(String),
}

impl Engine {
    /// Checks the ids of the first process of a container in a user namespace. If they
    /// are not those of its granted range, the container is killed and removed.
    ///
    /// # Errors
    /// `Conflict` if it was removed.
    pub(crate) async fn check_started(&self, id: &str) -> Result<()> {
        let mut checked: Option<(i64, String)> = None;
        for _ in 0..ATTEMPTS {
            let found = self.docker().await?.inspect_container(id, None).await;
            let found = found.map_err(|e| self.fault(&format!("inspect container {id}"), &e))?;
            let Some(pid) = isolated_process(&found) else {
                return Ok(());
            };
            if let Some((before, why)) = &checked
                && *before == pid
            {
                self.remove_container(id).await?;
                return Err(Error::conflict(format!(
                    "container {id} was started without its user namespace and was removed: \
                     {why}; run `jeroboam host check` on the host"
                )));
            }
            let done = tokio::task::spawn_blocking(move || check(&found, pid)).await;
            match done.map_err(Error::internal)? {
                Ok(()) => return Ok(()),
                Err(Fault::Absent(_)) if self.ends(id).await? => {}
                // The process may have ended, and another one may have its id.
                Err(Fault::Absent(why) | Fault::Wrong(why)) => checked = Some((pid, why)),
            }
        }
        Err(Error::unavailable(format!(
            "container {id} restarts too often to check its user namespace; look at its log"
        )))
    }

    /// Whether the container ends soon, or has ended.
    async fn ends(&self, id: &str) -> Result<bool> {
        let docker = self.docker().await?;
        let mut ends = docker.wait_container(id, None::<WaitContainerOptions>);
        Ok(tokio::time::timeout(END_TIMEOUT, ends.next()).await.is_ok())
    }
}

/// Whether a container has the runtime for user namespaces.
pub(crate) fn is_isolated(container: &ContainerInspectResponse) -> bool {
    let config = container.host_config.as_ref();
    config.is_some_and(|config| config.runtime.as_deref() == Some(RUNTIME))
}

/// The first process of a running container in a user namespace.
fn isolated_process(container: &ContainerInspectResponse) -> Option<i64> {
    let state = container.state.as_ref()?;
    let pid = state.pid.filter(|pid| *pid > 0)?;
    (is_isolated(container) && state.running == Some(true)).then_some(pid)
}

/// Compares the ids of the process with the range that is granted to the container.
fn check(container: &ContainerInspectResponse, pid: i64) -> Result<(), Fault> {
    let name = container.name.as_deref().unwrap_or_default();
    let range = range(container).map_err(Fault::Wrong)?;
    let granted = Grants::existing(DIRECTORY).verify(&range, name.trim_start_matches('/'));
    granted.map_err(|e| Fault::Wrong(e.to_string()))?;
    check_ids(pid, &range)
}

fn check_ids(pid: i64, range: &Range) -> Result<(), Fault> {
    for file in ["uid_map", "gid_map"] {
        let path = format!("/proc/{pid}/{file}");
        let map = std::fs::read_to_string(&path).map_err(|e| unreadable(&path, &e))?;
        if !is_map_of(&map, range) {
            return Err(Fault::Wrong(format!(
                "{path} is '{}' and not '0 {} {}'",
                map.split_whitespace().collect::<Vec<_>>().join(" "),
                range.base,
                range.size
            )));
        }
    }
    Ok(())
}

fn unreadable(path: &str, e: &io::Error) -> Fault {
    let why = format!("{path}: {e}; this server must run as root on the host of its engine");
    // The second error is that of a process that ends while its file is read.
    if e.kind() == io::ErrorKind::NotFound || e.raw_os_error() == Some(NO_SUCH_PROCESS) {
        Fault::Absent(why)
    } else {
        Fault::Wrong(why)
    }
}

/// The range in the environment, which the server has set.
fn range(container: &ContainerInspectResponse) -> Result<Range, String> {
    let config = container.config.as_ref();
    let variables = config.and_then(|config| config.env.as_ref());
    let mut values = variables
        .into_iter()
        .flatten()
        .filter_map(|variable| variable.strip_prefix(VARIABLE)?.strip_prefix('='));
    let value = values
        .next()
        .ok_or_else(|| format!("it has no variable {VARIABLE}"))?;
    value.parse().map_err(|e| format!("{VARIABLE}: {e}"))
}

fn is_map_of(map: &str, range: &Range) -> bool {
    let found = map.split_whitespace().map(|n| n.parse().ok());
    found.eq([Some(0), Some(range.base), Some(range.size)])
}

#[cfg(test)]
mod tests {
    use bollard::models::{ContainerConfig, ContainerState, HostConfig};

    use super::*;

    fn container(runtime: &str, running: bool, pid: i64) -> ContainerInspectResponse {
        ContainerInspectResponse {
            name: Some("/jb-node".into()),
            state: Some(ContainerState {
                running: Some(running),
                pid: Some(pid),
                ..ContainerState::default()
            }),
            host_config: Some(HostConfig {
                runtime: Some(runtime.into()),
                ..HostConfig::default()
            }),
            config: Some(ContainerConfig {
                env: Some(vec![
                    "A=b".into(),
                    "JEROBOAM_USERNS=268435456:1048576".into(),
                ]),
                ..ContainerConfig::default()
            }),
            ..ContainerInspectResponse::default()
        }
    }

    #[test]
    fn only_running_processes_of_the_level_are_checked() {
        assert_eq!(isolated_process(&container(RUNTIME, true, 7)), Some(7));
        assert_eq!(isolated_process(&container(RUNTIME, false, 0)), None);
        assert_eq!(isolated_process(&container("runc", true, 7)), None);
    }

    /// The engine reports a process for some time after its end.
    #[test]
    fn a_process_that_has_ended_is_not_one_with_wrong_ids() {
        let range = range(&container(RUNTIME, true, 7)).unwrap();
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        let absent = check_ids(ended.id().into(), &range);
        assert!(matches!(absent, Err(Fault::Absent(_))), "{absent:?}");
        let own = check_ids(std::process::id().into(), &range);
        assert!(matches!(own, Err(Fault::Wrong(_))), "{own:?}");
    }

    #[test]
    fn the_map_must_be_that_of_the_range() {
        let range = range(&container(RUNTIME, true, 7)).unwrap();
        assert!(is_map_of("         0  268435456    1048576\n", &range));
        for other in [
            "0 0 4294967295\n",
            "0 268435456 65536\n",
            "0 269484032 1048576\n",
            "0 268435456 1048576\n1048576 0 1\n",
            "",
        ] {
            assert!(!is_map_of(other, &range), "{other}");
        }
    }
}
