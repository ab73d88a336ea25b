//! What runc has stored about a container.

use std::fs;
use std::path::{Path, PathBuf};

use runtime::cgroups::is_own;
use serde_json::Value;

/// The parts of runc's `state.json` that this program needs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub first_process: i64,
    /// The cgroups of the container by controller; one with an empty name in cgroup v2.
    pub cgroups: Vec<(String, PathBuf)>,
}

impl State {
    /// `None` if runc has stored nothing yet, or does not know the container.
    pub(crate) fn read(root: &Path, id: &str) -> Option<Self> {
        let text = fs::read_to_string(root.join(id).join("state.json")).ok()?;
        Self::parse(&text, id)
    }

    fn parse(text: &str, id: &str) -> Option<Self> {
        let state: Value = serde_json::from_str(text).ok()?;
        let paths = state["cgroup_paths"].as_object();
        let cgroups = paths
            .into_iter()
            .flatten()
            .filter_map(|(controller, path)| {
                let path = PathBuf::from(path.as_str()?);
                is_own(&path, id).then(|| (controller.clone(), path))
            });
        Some(Self {
            first_process: state["init_process_pid"].as_i64()?,
            cgroups: cgroups.collect(),
        })
    }

    /// The cgroup in the hierarchy `freezer`; `None` with cgroup v2.
    pub(crate) fn freezer(&self) -> Option<&Path> {
        let found = self.cgroups.iter().find(|(name, _)| name == "freezer");
        found.map(|(_, path)| path.as_path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_cgroups_of_the_container_are_read() {
        let state = |path: &str| {
            let text =
                format!(r#"{{"init_process_pid": 7, "cgroup_paths": {{"freezer": "{path}"}}}}"#);
            State::parse(&text, "abc").unwrap()
        };
        let own = "/sys/fs/cgroup/freezer/docker/abc";
        assert_eq!(state(own).freezer(), Some(Path::new(own)));
        assert_eq!(state(own).first_process, 7);
        let scope = "/sys/fs/cgroup/freezer/system.slice/docker-abc.scope";
        assert_eq!(state(scope).freezer(), Some(Path::new(scope)));
        for other in [
            "/sys/fs/cgroup/freezer",
            "/sys/fs/cgroup/freezer/docker/abd",
            "abc",
            "",
        ] {
            assert_eq!(state(other).cgroups, [], "{other}");
        }
        let unified = r#"{"init_process_pid": 7, "cgroup_paths": {"": "/sys/fs/cgroup/abc"}}"#;
        let unified = State::parse(unified, "abc").unwrap();
        assert_eq!((unified.freezer(), unified.cgroups.len()), (None, 1));
        for text in ["", "{}", "[]", r#"{"init_process_pid": "7"}"#] {
            assert_eq!(State::parse(text, "abc"), None, "{text}");
        }
    }
}
