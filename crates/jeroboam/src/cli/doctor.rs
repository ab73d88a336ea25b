//! `jeroboam doctor`: checks the prerequisites of this machine.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use infra::{ContainerHost as _, HostInfo};

use crate::config::Config;

/// Checks of what only some workloads need.
const OPTIONAL: [&str; 2] = ["limits", "ipvs"];

struct Check {
    name: &'static str,
    /// `Err` holds the problem and the command that fixes it.
    found: Result<String, (String, String)>,
}

pub async fn run() -> Result<ExitCode> {
    let engine = engine().await;
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
        isolation(engine.as_ref().ok()),
        program("mmdebstrap", "builds node images"),
        program("iptables", "isolates cluster traffic"),
        file(
            "/bin/busybox",
            "apt-get install busybox-static",
            "test image",
        ),
        beside("node agent", "jeroboam-node"),
        beside("runtime", "jeroboam-runtime"),
        kernel_limits(),
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

async fn engine() -> kernel::Result<HostInfo> {
    let address = Config::default().infra.docker;
    docker::Engine::connect(address.as_deref())?.info().await
}

fn describe(engine: &HostInfo) -> String {
    format!(
        "Docker Engine {} (API {}), {} CPUs",
        engine.version, engine.api_version, engine.cpus
    )
}

fn isolation(engine: Option<&HostInfo>) -> Check {
    let missing = match engine {
        Some(engine) => engine.isolation.missing.clone(),
        None => Some("the engine does not answer".to_owned()),
    };
    Check {
        name: "isolation",
        found: match missing {
            None => Ok("user-namespace: root in a node is an unprivileged user here".into()),
            Some(why) => Err((
                format!("nodes cannot have user namespaces: {why}"),
                "jeroboam host prepare; without it, only the projects in \
                 clusters.isolation.host_root can create clusters"
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
            Ok("enough kernel keys and process ids for several nodes".into())
        } else {
            let names: Vec<_> = low.iter().map(|(name, _)| *name).collect();
            Err((
                format!(
                    "{} too low: a node has at most 198 containers, or many nodes use up the \
                     process ids of the host",
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
