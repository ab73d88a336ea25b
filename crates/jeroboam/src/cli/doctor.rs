//! `jeroboam doctor`: checks the prerequisites of this machine.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use infra::{ContainerHost as _, HostInfo};

use crate::config::Config;

/// Checks of what only some workloads need.
const OPTIONAL: [&str; 3] = ["limits", "disk", "ipvs"];

/// A disk with less free space than this percentage is nearly full.
const FREE_PERCENT: u64 = 10;

struct Check {
    name: &'static str,
    /// `Err` holds the problem and the command that fixes it.
    found: Result<String, (String, String)>,
}

pub async fn run() -> Result<ExitCode> {
    let (engine, hint) = engine().await;
    let checks = [
        Check {
            name: "engine",
            found: engine.as_ref().map(describe).map_err(|e| {
                (
                    e.message.clone(),
                    "apt-get install docker.io; without systemd: dockerd --bridge=none &".into(),
                )
            }),
        },
        isolation(engine.as_ref().ok(), hint),
        program("mmdebstrap", "builds node images"),
        firewall().await,
        file(
            "/bin/busybox",
            "apt-get install busybox-static",
            "test image",
        ),
        beside("node agent", "jeroboam-node"),
        beside("runtime", "jeroboam-runtime"),
        kernel_limits(),
        disk(data_directory().await.as_deref()),
        ipvs(),
    ];
    let mut missing = false;
    for check in &checks {
        match &check.found {
            Ok(text) => println!("ok       {:<12} {text}", check.name),
            Err((what, remedy)) => {
                missing |= !OPTIONAL.contains(&check.name);
                println!(
                    "missing  {:<12} {what}\n         {:<12} -> {remedy}",
                    check.name, ""
                );
            }
        }
    }
    Ok(if missing {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The facts of the engine, and a hint about its runtime for user namespaces.
async fn engine() -> (kernel::Result<HostInfo>, Option<String>) {
    let address = Config::default().infra.docker;
    let engine = match docker::Engine::connect(address.as_deref()) {
        Ok(engine) => engine,
        Err(e) => return (Err(e), None),
    };
    let hint = engine.runtime_hint().await.ok().flatten();
    (engine.info().await, hint)
}

async fn data_directory() -> Option<String> {
    let address = Config::default().infra.docker;
    let engine = docker::Engine::connect(address.as_deref()).ok()?;
    engine.data_directory().await.ok().flatten()
}

/// Nodes have no limit of disk, so the free space is what all of them share.
fn disk(directory: Option<&str>) -> Check {
    let found = directory.and_then(|path| Some((path, rustix::fs::statvfs(path).ok()?)));
    Check {
        name: "disk",
        found: match found {
            None => Err((
                "the directory of the engine is not on this machine".into(),
                "check there that enough of its disk is free: nodes have no limit of disk".into(),
            )),
            Some((path, space)) => {
                let free = space.f_bavail.saturating_mul(space.f_frsize) >> 30;
                let text = format!("{free} GiB free in {path}, shared by all nodes without limits");
                if space.f_bavail.saturating_mul(100) < space.f_blocks.saturating_mul(FREE_PERCENT)
                {
                    let remedy = "a full disk stops all nodes of the host: put the directory on a \
                                  larger, separate file system";
                    Err((text, remedy.into()))
                } else {
                    Ok(text)
                }
            }
        },
    }
}

fn describe(engine: &HostInfo) -> String {
    format!(
        "Docker Engine {} (API {}), {} CPUs",
        engine.version, engine.api_version, engine.cpus
    )
}

fn isolation(engine: Option<&HostInfo>, hint: Option<String>) -> Check {
    let missing = match engine {
        Some(engine) => engine.isolation.missing.clone(),
        None => Some("the engine does not answer".to_owned()),
    };
    Check {
        name: "isolation",
        found: match missing {
            None => {
                let level = "user-namespace: root in a node is an unprivileged user here";
                let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
                Ok(format!("{level}{hint}"))
            }
            Some(why) => Err((
                format!("nodes cannot have user namespaces: {why}"),
                "jeroboam host prepare; without it, only the projects in \
                 clusters.isolation.host_root can create clusters"
                    .into(),
            )),
        },
    }
}

async fn firewall() -> Check {
    let address = Config::default().infra.docker;
    let url = address.as_deref().unwrap_or(docker::DEFAULT_URL);
    Check {
        name: "firewall",
        found: match docker::missing_for_isolation(url).await {
            None => Ok("nodes are kept from the services of this host by iptables".into()),
            Some(why) => Err((
                format!("networks of clusters cannot be isolated: {why}"),
                "without it nodes reach the services of this host; \
                 docs/isolation.md lists the rules"
                    .into(),
            )),
        },
    }
}

fn kernel_limits() -> Check {
    let low = super::host::low_kernel_limits();
    let settings: Vec<_> = low.iter().map(|(name, n)| format!("{name}={n}")).collect();
    Check {
        name: "limits",
        found: if low.is_empty() {
            Ok("those of the kernel are high enough for several nodes".into())
        } else {
            let names: Vec<_> = low.iter().map(|(name, _)| *name).collect();
            Err((
                format!(
                    "{} too low: one node can use up what all nodes of the host share",
                    names.join(", ")
                ),
                format!("sysctl {}, or jeroboam host prepare", settings.join(" ")),
            ))
        },
    }
}

fn program(name: &'static str, why: &str) -> Check {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|dir| dir.join(name))
        .find(|p| p.is_file());
    Check {
        name,
        found: found.map(|p| p.display().to_string()).ok_or_else(|| {
            (
                format!("{name} is not installed ({why})"),
                format!("apt-get install {name}"),
            )
        }),
    }
}

fn file(path: &'static str, remedy: &str, why: &str) -> Check {
    let there = Path::new(path).is_file();
    Check {
        name: "busybox",
        found: if there {
            Ok(path.to_owned())
        } else {
            Err((format!("{path} is missing ({why})"), remedy.to_owned()))
        },
    }
}

/// A program that belongs into the directory of this one.
fn beside(name: &'static str, program: &str) -> Check {
    let found = std::env::current_exe()
        .map(|p| p.with_file_name(program))
        .ok()
        .filter(|p| p.is_file());
    Check {
        name,
        found: found.map(|p| p.display().to_string()).ok_or_else(|| {
            (
                format!("{program} is not in the directory of this binary"),
                "./x build".into(),
            )
        }),
    }
}

fn ipvs() -> Check {
    let there = Path::new("/proc/net/ip_vs").exists();
    Check {
        name: "ipvs",
        found: if there {
            Ok("service VIPs and ingress publishing work".into())
        } else {
            Err((
                "the kernel has no IPVS: in Swarm, VIPs and ingress publishing do not work".into(),
                "use --endpoint-mode dnsrr and --publish mode=host".into(),
            ))
        },
    }
}
