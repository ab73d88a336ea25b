//! Delegates the cgroups of a container to its root.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Pid;

use runtime::cgroups::is_own;
use runtime::mountinfo::Mount;

/// Files that are delegated with the directory. Those with limits are not, so that a
/// container cannot raise its own.
const V1_FILES: &[&str] = &["cgroup.procs", "tasks"];
const V2_FILES: &[&str] = &["cgroup.procs", "cgroup.threads", "cgroup.subtree_control"];

/// A cgroup in one hierarchy.
#[derive(Debug, PartialEq, Eq)]
struct Group {
    directory: PathBuf,
    files: &'static [&'static str],
}

/// Lets the container's root create cgroups below those of the container, and move its
/// processes there.
pub(crate) fn delegate(pid: Pid, id: &str, user: u32, mounts: &[Mount]) -> Result<()> {
    let path = format!("/proc/{}/cgroup", pid.as_raw_nonzero());
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let groups = groups(&text, id, mounts);
    ensure!(
        !groups.is_empty(),
        "no cgroup of the container {id} among those of its process: {text:?}"
    );
    for group in groups {
        let files = group.files.iter().map(|file| group.directory.join(file));
        for path in std::iter::once(group.directory.clone()).chain(files) {
            chown(&path, Some(user), Some(user))
                .with_context(|| format!("delegating {}", path.display()))?;
        }
    }
    Ok(())
}

/// The cgroups in `/proc/PID/cgroup` that belong to the container only. Where runc has
/// created none, the process is in a cgroup of the engine, which must not be delegated.
fn groups(text: &str, id: &str, mounts: &[Mount]) -> Vec<Group> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, Path::new(fields.next()?));
            if !is_own(path, id) {
                return None;
            }
            let unified = controllers.is_empty();
            let mount = mounts.iter().find(|mount| {
                let below = path.starts_with(&mount.root);
                below
                    && if unified {
                        mount.kind == "cgroup2"
                    } else {
                        has_all(mount, controllers)
                    }
            })?;
            Some(Group {
                directory: mount.target.join(path.strip_prefix(&mount.root).ok()?),
                files: if unified { V2_FILES } else { V1_FILES },
            })
        })
        .collect()
}

/// Whether it is the hierarchy of all these controllers (`cpu,cpuacct`, `name=systemd`).
fn has_all(mount: &Mount, controllers: &str) -> bool {
    let options = String::from_utf8_lossy(&mount.options);
    let mut wanted = controllers.split(',');
    mount.kind == "cgroup" && wanted.all(|c| options.split(',').any(|option| option == c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::mountinfo;

    const ID: &str = "0123abc";

    fn mounts() -> Vec<Mount> {
        mountinfo::parse(
            b"1 0 0:1 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n\
            2 1 0:2 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
            3 1 0:3 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n\
            4 1 0:4 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
            5 1 0:5 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
        )
    }

    fn found(text: &str) -> Vec<String> {
        let groups = groups(text, ID, &mounts());
        groups
            .iter()
            .map(|g| g.directory.display().to_string())
            .collect()
    }

    #[test]
    fn cgroups_of_the_container_are_found_in_each_hierarchy() {
        let text = format!(
            "9:name=systemd:/docker/{ID}\n3:cpuset:/system.slice/docker-{ID}.scope\n2:cpu,cpuacct:/a/{ID}\n"
        );
        assert_eq!(
            found(&text),
            [
                format!("/sys/fs/cgroup/systemd/docker/{ID}"),
                format!("/sys/fs/cgroup/cpuset/system.slice/docker-{ID}.scope"),
                format!("/sys/fs/cgroup/cpu,cpuacct/a/{ID}"),
            ]
        );
        assert_eq!(
            found(&format!("0::/docker/{ID}\n")),
            [format!("/sys/fs/cgroup/unified/docker/{ID}")]
        );
    }

    #[test]
    fn cgroups_that_are_not_only_of_the_container_are_not_delegated() {
        for path in [
            "/".to_owned(),
            "/system.slice/docker.service".to_owned(),
            format!("/docker/{ID}/child"),
            format!("/docker/x{ID}"),
            format!("/docker/{ID}.scope"),
            "/docker/0123".to_owned(),
        ] {
            assert!(
                found(&format!("0::{path}\n3:cpuset:{path}\n")).is_empty(),
                "{path}"
            );
        }
        assert!(found("").is_empty());
        assert!(found("3\n3:cpuset\n").is_empty());
        // Without a mounted hierarchy.
        assert!(found(&format!("7:blkio:/docker/{ID}\n")).is_empty());
    }
}
