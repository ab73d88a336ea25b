//! Preparation of a container for a Kubernetes node beyond that of every node:
//! kernel settings as the kubelet expects them, and a machine id.

use std::fs;
use std::path::Path;

use kernel::{Error, Result, ids};
use rustix::mount::{MountFlags, mount, mount_bind};

use crate::prepare::in_user_namespace;

/// Settings that the kubelet requires and would otherwise write to the host. A
/// file with the required value is mounted over each of them, so that the kubelet
/// has nothing to write.
const SYSCTLS: [(&str, &str); 3] = [
    ("vm/overcommit_memory", "1"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
];
const RUNTIME_DIR: &str = "/run/jeroboam";
/// A mount of proc without files mounted over it. The kernel permits a user namespace
/// to mount proc only if such a mount exists, and `SYSCTLS` covers files of `/proc`.
const PROC: &str = "/run/jeroboam/proc";

/// Prepares the container; a repetition changes nothing.
///
/// # Errors
/// Internal, naming the failed step.
pub(crate) fn prepare(home: &Path) -> Result<()> {
    for dir in [
        RUNTIME_DIR,
        "/etc/cni/net.d",
        "/etc/containerd",
        "/var/lib/kubelet",
    ] {
        fs::create_dir_all(dir).map_err(|e| Error::internal(format!("{dir}: {e}")))?;
    }
    // It contains sockets and state files of an earlier run of this container,
    // with process ids that other processes may have now.
    let _ = fs::remove_dir_all("/run/containerd");
    for (knob, value) in SYSCTLS {
        let target = format!("/proc/sys/{knob}");
        let current = fs::read_to_string(&target).unwrap_or_default();
        if current.trim() != value {
            bind_mount_file(&target, &format!("{value}\n"))?;
        }
    }
    if !in_user_namespace() {
        mount_proc()?;
    }
    let id = machine_id(home)?;
    let _ = fs::write("/etc/machine-id", format!("{id}\n"));
    let uuid = "/sys/class/dmi/id/product_uuid";
    if Path::new(uuid).exists() {
        bind_mount_file(uuid, &format!("{}\n", dashed(&id)))?;
    }
    Ok(())
}

/// Makes pods with `hostUsers: false` possible. In a node with a user namespace they
/// are not, see `addons::pod_users`.
fn mount_proc() -> Result<()> {
    let failed = |e: std::io::Error| Error::internal(format!("{PROC}: {e}"));
    fs::create_dir_all(PROC).map_err(failed)?;
    if Path::new(PROC).join("self").exists() {
        return Ok(());
    }
    let careful = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("proc", PROC, "proc", careful, None).map_err(|e| failed(e.into()))
}

/// Bind-mounts a file with this content over another one, in this container
/// only.
fn bind_mount_file(target: &str, content: &str) -> Result<()> {
    let source = format!("{RUNTIME_DIR}/{}", target.replace('/', "_"));
    fs::write(&source, content).map_err(|e| Error::internal(format!("{source}: {e}")))?;
    mount_bind(&source, target).map_err(|e| Error::internal(format!("covering {target}: {e}")))
}

fn machine_id(home: &Path) -> Result<String> {
    let path = home.join("machine-id");
    if let Ok(kept) = fs::read_to_string(&path)
        && kept.trim().len() == 32
    {
        return Ok(kept.trim().to_owned());
    }
    let fresh = ids::hex();
    fs::write(&path, &fresh).map_err(|e| Error::internal(format!("{}: {e}", path.display())))?;
    Ok(fresh)
}

/// Formats 32 hex digits as a UUID.
fn dashed(id: &str) -> String {
    let part = |from, to| id.get(from..to).unwrap_or_default();
    [
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32),
    ]
    .join("-")
}

/// The memory limit of the container and the memory of the host, bytes; `None`:
/// no limit.
pub(crate) fn memory() -> Option<(u64, u64)> {
    let limit = [
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory.max",
    ]
    .iter()
    .find_map(|path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok())?;
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let total = total(&info)?;
    // Version 1 of cgroups reports a huge number if there is no limit.
    (limit < total).then_some((limit, total))
}

fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find(|l| l.starts_with("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_stays() {
        let dir = tempfile::tempdir().unwrap();
        let first = machine_id(dir.path()).unwrap();
        assert_eq!(machine_id(dir.path()).unwrap(), first);
        assert_eq!(dashed(&first).len(), 36);
        let text = "MemFree: 1 kB\nMemTotal:       2048 kB\n";
        assert_eq!(
            total(&text.replace("MemFree: 1 kB\n", "")),
            Some(2048 * 1024)
        );
    }
}
