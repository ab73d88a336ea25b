//! Conversion of container specifications to engine requests: pure.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HostConfig,
    HostConfigCgroupnsModeEnum, HostConfigLogConfig, Mount, MountType, MountVolumeOptions,
    NetworkingConfig, RestartPolicy, RestartPolicyNameEnum,
};
use infra::{ContainerSpec, Endpoint, FileSpec, Foreign, Isolation, NodeAccess, ProgramSpec};
use kernel::{Error, Result};

use crate::seccomp;

/// The body of `POST /containers/create`. It contains only the first endpoint,
/// because engines before API 1.44 accept one; the others are connected
/// afterwards.
pub(crate) fn body(spec: &ContainerSpec) -> ContainerCreateBody {
    let first = spec.endpoints.first();
    ContainerCreateBody {
        hostname: Some(spec.hostname.clone()),
        image: Some(spec.image.clone()),
        cmd: spec.command.clone(),
        entrypoint: spec.foreign.entrypoint.clone(),
        tty: spec.foreign.tty.then_some(true),
        env: Some(spec.env.iter().map(|(k, v)| format!("{k}={v}")).collect()),
        labels: Some(labels(spec)),
        stop_timeout: Some(spec.stop_timeout),
        networking_config: first.map(|end| NetworkingConfig {
            endpoints_config: Some(HashMap::from([(end.network.clone(), endpoint(end))])),
        }),
        host_config: Some(host_config(spec)),
        ..ContainerCreateBody::default()
    }
}

/// One network attachment with its fixed address.
pub(crate) fn endpoint(end: &Endpoint) -> EndpointSettings {
    EndpointSettings {
        ipam_config: end.ipv4.as_ref().map(|ip| EndpointIpamConfig {
            ipv4_address: Some(ip.to_string()),
            ..EndpointIpamConfig::default()
        }),
        mac_address: end.mac.clone(),
        aliases: (!end.aliases.is_empty()).then(|| end.aliases.clone()),
        ..EndpointSettings::default()
    }
}

fn labels(spec: &ContainerSpec) -> HashMap<String, String> {
    spec.labels
        .iter()
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

fn host_config(spec: &ContainerSpec) -> HostConfig {
    let volumes = spec.volumes.iter().map(|v| Mount {
        target: Some(v.target.clone()),
        source: Some(v.name.clone()),
        typ: Some(MountType::VOLUME),
        volume_options: Some(MountVolumeOptions {
            // Created with the container, so that they can be attributed after
            // any crash.
            labels: Some(labels(spec)),
            ..MountVolumeOptions::default()
        }),
        ..Mount::default()
    });
    let config = HostConfig {
        cpu_shares: spec.cpu_shares,
        cpu_period: spec.cpu_shares.map(|_| CPU_PERIOD),
        cpu_quota: spec.cpu_shares.map(|shares| shares * CPU_PERIOD / 1024),
        memory: spec.memory,
        // No swap in addition, which would slow the disk of all nodes down.
        memory_swap: spec.memory,
        log_config: Some(log_config()),
        pids_limit: spec.pids,
        network_mode: Some(
            spec.endpoints
                .first()
                .map_or_else(|| "none".to_owned(), |e| e.network.clone()),
        ),
        mounts: Some(volumes.collect()),
        init: spec.foreign.init,
        binds: read_only_binds(&spec.foreign.read_only_mounts),
        restart_policy: spec.restart.then_some(RestartPolicy {
            // After it was killed, an engine stops surviving containers at its
            // next start, and treats this as a stop by the user with
            // "unless-stopped".
            name: Some(RestartPolicyNameEnum::ALWAYS),
            maximum_retry_count: None,
        }),
        ..HostConfig::default()
    };
    let mut config = match spec.access {
        NodeAccess::Plain => config,
        NodeAccess::Node => {
            let devices = match spec.isolation {
                // The runtime replaces the rules.
                Isolation::UserNamespace => &[],
                Isolation::HostRoot if spec.foreign == Foreign::default() => NODE_DEVICES,
                Isolation::HostRoot => ALL_DEVICES,
            };
            let capabilities = match spec.isolation {
                Isolation::UserNamespace => [NODE_CAPABILITIES, NAMESPACED_CAPABILITIES].concat(),
                Isolation::HostRoot => NODE_CAPABILITIES.to_vec(),
            };
            let seccomp = match spec.isolation {
                Isolation::UserNamespace => seccomp::profile(),
                Isolation::HostRoot => "unconfined".to_owned(),
            };
            near_privileged(config, &capabilities, devices, &seccomp)
        }
    };
    if !spec.foreign.tmpfs.is_empty() {
        config.tmpfs = Some(tmpfs(&spec.foreign.tmpfs));
    }
    config
}

/// Period of the limit of processor time, in microseconds. With a limit, a node that uses
/// all of it leaves processors to others, which then wait much less than by weight alone.
const CPU_PERIOD: i64 = 20_000;

/// Bounds of the output of a container that the engine keeps. Without them the output of
/// one container can fill the disk of the engine.
fn log_config() -> HostConfigLogConfig {
    let options = [("max-size", "10m"), ("max-file", "3")];
    HostConfigLogConfig {
        typ: Some("json-file".into()),
        config: Some(options.map(|(k, v)| (k.into(), v.into())).into()),
    }
}

/// Mounts directories of the host read-only at the same paths in the container.
fn read_only_binds(paths: &[String]) -> Option<Vec<String>> {
    let bind = |path: &String| format!("{path}:{path}:ro");
    (!paths.is_empty()).then(|| paths.iter().map(bind).collect())
}

fn tmpfs(paths: &[impl AsRef<str>]) -> HashMap<String, String> {
    let exec = |path: &_| (AsRef::<str>::as_ref(path).to_owned(), "exec".to_owned());
    paths.iter().map(exec).collect()
}

/// Capabilities of nodes. The first 14 are those of an ordinary container, which
/// the containers inside a node have too.
const NODE_CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
    // Networks and mounts of the nested engine.
    "NET_ADMIN",
    "SYS_ADMIN",
    // The nested engine enters containers whose user is not root.
    "SYS_PTRACE",
    // The kubelet opens `/dev/kmsg`, and exits if `kernel.dmesg_restrict` forbids
    // that.
    "SYSLOG",
    // No node needs these two, but databases and secret stores request them.
    "IPC_LOCK",
    "SYS_NICE",
];

/// Further capabilities of nodes in user namespaces, where the kernel limits them
/// to what belongs to the namespace. Privileged containers in the node expect
/// them.
const NAMESPACED_CAPABILITIES: &[&str] = &[
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "BLOCK_SUSPEND",
    "DAC_READ_SEARCH",
    "IPC_OWNER",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "NET_BROADCAST",
    "SYS_BOOT",
    "SYS_MODULE",
    "SYS_PACCT",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// Devices of nodes in addition to those of an ordinary container: the kernel's
/// log, `/dev/fuse`, `/dev/net/tun`.
const NODE_DEVICES: &[&str] = &["c 1:11 r", "c 10:229 rwm", "c 10:200 rwm"];

/// The containerd of an image that was not built by Jeroboam gives all devices
/// to a privileged pod, and kind's proxy is one; the kernel refuses this where
/// the node does not have them itself.
const ALL_DEVICES: &[&str] = &["a *:* rwm"];

/// The part of `Privileged` that the nested engine needs. `Privileged` itself would also
/// fail on machines whose bounding set lacks a capability.
fn near_privileged(
    config: HostConfig,
    capabilities: &[&str],
    devices: &[&str],
    seccomp: &str,
) -> HostConfig {
    let seccomp = format!("seccomp={seccomp}");
    let list = |items: &[&str]| Some(items.iter().map(|s| (*s).to_owned()).collect());
    HostConfig {
        cap_add: list(capabilities),
        cap_drop: list(&["ALL"]),
        security_opt: list(&[&seccomp, "apparmor=unconfined"]),
        // Present and empty, because absent means the default list of the
        // engine.
        masked_paths: Some(vec![]),
        readonly_paths: Some(vec![]),
        device_cgroup_rules: list(devices),
        cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
        privileged: Some(false),
        tmpfs: Some(tmpfs(&["/run", "/tmp"])),
        ..config
    }
}

/// The files as a tar archive to be unpacked at `/`. Only our directories are
/// included, so that no directory of the image changes its mode.
///
/// # Errors
/// `Invalid` for a path that a tar archive cannot hold.
pub(crate) fn archive(files: &[FileSpec]) -> Result<Vec<u8>> {
    let mut out = tar::Builder::new(Vec::new());
    let mut seen = std::collections::BTreeSet::new();
    for file in files {
        let path = file.path.trim_start_matches('/');
        let bad = |e: std::io::Error| {
            Error::invalid(
                "path",
                format!("file {}: not fit for an archive: {e}", file.path),
            )
        };
        for (i, _) in path.match_indices('/') {
            let dir = &path[..i];
            if dir.contains("jeroboam") && seen.insert(dir.to_owned()) {
                let mut head = header(0o700, 0, tar::EntryType::Directory);
                out.append_data(&mut head, format!("{dir}/"), std::io::empty())
                    .map_err(bad)?;
            }
        }
        let size = u64::try_from(file.content.len()).unwrap_or(u64::MAX);
        let mut head = header(file.mode, size, tar::EntryType::Regular);
        out.append_data(&mut head, path, file.content.as_slice())
            .map_err(bad)?;
    }
    out.into_inner().map_err(Error::internal)
}

/// A program of this machine as an archive to be unpacked at `/`.
///
/// # Errors
/// Invalid `program`: it cannot be read, or its target is not a path.
pub(crate) fn program(spec: &ProgramSpec) -> Result<Vec<u8>> {
    let bad = |e: std::io::Error| {
        Error::invalid(
            "program",
            format!(
                "program {} cannot be put into a container: {e}",
                spec.source
            ),
        )
    };
    let content = std::fs::read(&spec.source).map_err(bad)?;
    if wants_loader(&content) {
        return Err(Error::invalid(
            "program",
            format!(
                "program {} is linked dynamically and would not run in an image of others; build \
                 it with `cargo rustc --release -p node --bin jeroboam-node -- -C \
                 target-feature=+crt-static` and put it in this place",
                spec.source
            ),
        ));
    }
    let mut out = tar::Builder::new(Vec::with_capacity(content.len() + 4096));
    let size = u64::try_from(content.len()).unwrap_or(u64::MAX);
    let mut head = header(0o755, size, tar::EntryType::Regular);
    let target = spec.target.trim_start_matches('/');
    out.append_data(&mut head, target, content.as_slice())
        .map_err(bad)?;
    out.into_inner().map_err(Error::internal)
}

/// Whether a 64-bit ELF program requires a loader: it has a program header of
/// type `PT_INTERP`.
fn wants_loader(elf: &[u8]) -> bool {
    const PT_INTERP: u64 = 3;
    let number = |at: usize, bytes: usize| -> Option<u64> {
        let part = elf.get(at..at.checked_add(bytes)?)?;
        Some(part.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)))
    };
    let find = || -> Option<bool> {
        // 64-bit, little-endian.
        if !elf.starts_with(b"\x7fELF\x02\x01") {
            return None;
        }
        let first = usize::try_from(number(0x20, 8)?).ok()?;
        let size = usize::try_from(number(0x36, 2)?).ok()?;
        let count = usize::try_from(number(0x38, 2)?).ok()?;
        let mut kinds = (0..count).filter_map(|i| number(first + i * size, 4));
        Some(kinds.any(|kind| kind == PT_INTERP))
    };
    find().unwrap_or(false)
}

fn header(mode: u32, size: u64, kind: tar::EntryType) -> tar::Header {
    let mut head = tar::Header::new_gnu();
    head.set_entry_type(kind);
    head.set_mode(mode);
    head.set_size(size);
    head.set_uid(0);
    head.set_gid(0);
    head.set_mtime(0);
    head
}
