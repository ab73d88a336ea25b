//! Prepares a near-privileged container for a nested engine, as Docker's
//! `--privileged` would do, which the host may not permit.

use std::fs;
use std::path::Path;

use kernel::{Error, Result};
use rustix::fs::{CWD, FileType, Mode, StatVfsMountFlags, makedev, mknodat, statvfs};
use rustix::mount::{MountFlags, MountPropagationFlags, mount_change, mount_remount};

const CGROUP: &str = "/sys/fs/cgroup";

/// Prepares mounts, cgroups, devices and the host name. A repetition changes
/// nothing.
///
/// # Errors
/// Internal, naming the step that the kernel refused and its requirements.
pub(crate) fn prepare(node: &str) -> Result<()> {
    writable()?;
    if is_cgroup2() {
        delegate_cgroup2()
            .map_err(|e| Error::internal(format!("delegating cgroup2 controllers: {e}")))?;
    }
    set_host_name(node);
    // After an earlier run of this container the engine would refuse to start,
    // because other processes now have the ids in these files.
    for stale in [
        "/var/run/docker.pid",
        "/var/run/docker/containerd/containerd.pid",
        "/var/run/docker.sock",
    ] {
        let _ = fs::remove_file(stale);
    }
    Ok(())
}

fn is_cgroup2() -> bool {
    Path::new(CGROUP).join("cgroup.controllers").exists()
}

/// Prepares only mounts and devices, for images whose own init prepares cgroups
/// and the host name.
///
/// # Errors
/// Same errors as [`prepare`].
pub(crate) fn writable() -> Result<()> {
    let careful = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    // In a user namespace the runtime has mounted both writable, and the kernel
    // would refuse to remount them.
    if is_read_only("/sys") {
        step(
            "remounting /sys writable",
            mount_remount("/sys", careful, ""),
        )?;
    }
    if !is_cgroup2() {
        for target in mounts_below(CGROUP) {
            // The controllers are read-only bind mounts. Without BIND the kernel
            // reports that the mount point is busy.
            let flags = careful | MountFlags::BIND;
            step(
                &format!("remounting {target} writable"),
                mount_remount(&target, flags, ""),
            )?;
        }
    } else if is_read_only(CGROUP) {
        step(
            "remounting cgroup2 writable",
            mount_remount(CGROUP, careful, ""),
        )?;
    }
    let shared = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
    step(
        "sharing mounts with inner containers",
        mount_change("/", shared),
    )?;
    device("/dev/kmsg", 1, 11);
    device("/dev/fuse", 10, 229);
    let _ = fs::create_dir_all("/dev/net");
    device("/dev/net/tun", 10, 200);
    Ok(())
}

fn is_read_only(path: &str) -> bool {
    let read_only = StatVfsMountFlags::RDONLY;
    statvfs(path).is_ok_and(|found| found.f_flag.contains(read_only))
}

/// Whether this process is in a user namespace other than the first one of the
/// machine, in which every id is mapped to itself.
pub(crate) fn in_user_namespace() -> bool {
    is_mapped(&fs::read_to_string("/proc/self/uid_map").unwrap_or_default())
}

/// Whether the first line of a `uid_map` (id inside, id outside, count) maps id 0
/// to another one.
fn is_mapped(uid_map: &str) -> bool {
    let outside = uid_map.split_whitespace().nth(1);
    outside.is_some_and(|id| id != "0")
}

fn step(what: &str, done: rustix::io::Result<()>) -> Result<()> {
    done.map_err(|e| {
        Error::internal(format!(
            "{what}: {e}; the container needs CAP_SYS_ADMIN, no seccomp or AppArmor profile and no masked paths"
        ))
    })
}

fn mounts_below(prefix: &str) -> Vec<String> {
    targets_below(
        &fs::read_to_string("/proc/self/mountinfo").unwrap_or_default(),
        prefix,
    )
}

/// Mount points strictly below a directory; field 5 of each line.
fn targets_below(mountinfo: &str, prefix: &str) -> Vec<String> {
    mountinfo
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .filter(|target| {
            target
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.starts_with('/'))
        })
        .map(str::to_owned)
        .collect()
}

/// Delegates all controllers. A group that delegates controllers must not contain
/// processes, so our processes are moved to a child first.
fn delegate_cgroup2() -> std::io::Result<()> {
    let root = Path::new(CGROUP);
    let own = root.join("init");
    fs::create_dir_all(&own)?;
    for pid in fs::read_to_string(root.join("cgroup.procs"))?.lines() {
        // A process may exit between the listing and the move.
        let _ = fs::write(own.join("cgroup.procs"), pid);
    }
    let all = fs::read_to_string(root.join("cgroup.controllers"))?;
    let wanted: Vec<String> = all.split_whitespace().map(|c| format!("+{c}")).collect();
    fs::write(root.join("cgroup.subtree_control"), wanted.join(" "))
}

/// Creates a device. A refusal is ignored, because only some workloads need these
/// devices.
fn device(path: &str, major: u32, minor: u32) {
    if !Path::new(path).exists() {
        let mode = Mode::from_raw_mode(0o660);
        let _ = mknodat(
            CWD,
            path,
            FileType::CharacterDevice,
            mode,
            makedev(major, minor),
        );
    }
}

/// Sets the host name, which the engine uses as its name in the swarm.
fn set_host_name(node: &str) {
    let current = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if current.trim() != node {
        let _ = rustix::system::sethostname(node.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_other_ids_are_a_user_namespace() {
        assert!(!is_mapped("         0          0 4294967295\n"));
        assert!(is_mapped("         0  268435456    1048576\n"));
        assert!(!is_mapped(""));
    }

    #[test]
    fn only_mounts_below_are_found() {
        let text = "36 35 0:31 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n\
                    37 36 0:32 /docker/x /sys/fs/cgroup/cpu ro master:9 - cgroup cgroup rw,cpu\n\
                    38 36 0:33 / /sys/fs/cgroupish ro - cgroup cgroup rw\n";
        assert_eq!(
            targets_below(text, "/sys/fs/cgroup"),
            ["/sys/fs/cgroup/cpu"]
        );
    }
}
