//! `jeroboam doctor`: checks the prerequisites of this machine.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

struct Check {
    name: &'static str,
    /// `Err` holds the problem and the command that fixes it.
    found: Result<String, (String, String)>,
}

pub async fn run() -> Result<ExitCode> {
    let checks = [
        engine().await,
        program("mmdebstrap", "builds node images"),
        program("iptables", "isolates cluster traffic"),
        file(
            "/bin/busybox",
            "apt-get install busybox-static",
            "test image",
        ),
        agent(),
        ipvs(),
    ];
    let mut missing = false;
    for check in &checks {
        match &check.found {
            Ok(text) => println!("ok       {:<12} {text}", check.name),
            Err((what, remedy)) => {
                missing |= check.name != "ipvs";
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

async fn engine() -> Check {
    let found = match docker::Engine::connect(None) {
        Ok(engine) => {
            use infra::ContainerHost as _;
            engine.info().await.map(|i| {
                format!(
                    "Docker Engine {} (API {}), {} CPUs",
                    i.version, i.api_version, i.cpus
                )
            })
        }
        Err(e) => Err(e),
    };
    Check {
        name: "engine",
        found: found.map_err(|e| {
            (
                e.message,
                "apt-get install docker.io; without systemd: dockerd --bridge=none &".into(),
            )
        }),
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

fn agent() -> Check {
    let found = std::env::current_exe()
        .map(|p| p.with_file_name("jeroboam-node"))
        .ok()
        .filter(|p| p.is_file());
    Check {
        name: "node agent",
        found: found.map(|p| p.display().to_string()).ok_or_else(|| {
            (
                "jeroboam-node is not in the directory of this binary".into(),
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
