//! `./x up` and `./x down`: a private server with a demo cluster.

mod kubernetes;
mod service;
mod swarm;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;

use self::service::WORKERS;
use crate::server::Server;
use crate::{blackbox, node_image, shell};

/// The COE of a demo cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coe {
    Kubernetes,
    Swarm,
}

impl Coe {
    fn as_str(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::Swarm => "swarm",
        }
    }

    /// The name of the demo cluster.
    fn cluster(self) -> String {
        format!("demo-{}", self.as_str())
    }
}

/// The requested COE, or else the preferred one that this machine supports. Prints the
/// choice and the reason.
fn choose(args: &[String]) -> Result<Coe> {
    let (coe, why) = match args.iter().skip_while(|a| *a != "--coe").nth(1) {
        Some(word) => match word.as_str() {
            "kubernetes" => return Ok(Coe::Kubernetes),
            "swarm" => return Ok(Coe::Swarm),
            other => bail!("--coe {other}: kubernetes or swarm"),
        },
        None if kubernetes::binaries().is_some() => {
            (Coe::Kubernetes, "its binaries are in the cache")
        }
        None if shell::output(&mut shell::command("go", &["version"])).is_ok() => (
            Coe::Kubernetes,
            "it can be compiled here; the first time takes minutes",
        ),
        None => (
            Coe::Swarm,
            "there are neither Kubernetes binaries in the cache nor Go to compile them",
        ),
    };
    println!(
        "cluster engine: {} ({why}); choose with --coe kubernetes|swarm",
        coe.as_str()
    );
    Ok(coe)
}

pub fn up(args: &[String]) -> Result<()> {
    let debug = args.iter().any(|a| a == "--debug");
    let coe = choose(args)?;
    shell::build(args)?;
    let bin = shell::binary(debug);
    let server = Server {
        host_root: !prepare_host(&bin),
        bin,
        state: shell::state_dir(),
    };
    fs::create_dir_all(&server.state)?;
    node_image::build_if_changed(&server.bin, coe.as_str())?;
    let address = server.start()?;
    println!(
        "server: {address} (log: {})",
        server.state.join("server.log").display()
    );
    // The engine may have been unavailable when the server registered images.
    shell::run(&mut server.cli("jeroboam", &["image", "build", coe.as_str()]))?;
    let name = coe.cluster();
    create(&server, coe, &name)?;
    match coe {
        Coe::Kubernetes => kubernetes::show(&server, &name)?,
        Coe::Swarm => swarm::show(&server, &name)?,
    }
    print_next_commands(&server, coe, &name, blackbox::venv().as_deref().ok());
    Ok(())
}

/// Prepares an engine that `./x` has started for nodes in user namespaces; the
/// configuration of another one is changed by its operator only. Returns whether
/// nodes can have user namespaces.
fn prepare_host(bin: &Path) -> bool {
    let arguments: &[&str] = if std::env::var_os("JEROBOAM_OWN_ENGINE").is_some() {
        &["host", "prepare"]
    } else {
        &["host", "check"]
    };
    let prepared = shell::run(Command::new(bin).args(arguments)).is_ok();
    if !prepared {
        println!(
            "nodes are near-privileged containers: users of the cluster can become root on \
             this machine. `{} host prepare` and ./x up again change that for new clusters.",
            bin.display()
        );
    }
    prepared
}

/// Creates the cluster unless it exists and is healthy.
fn create(server: &Server, coe: Coe, name: &str) -> Result<()> {
    let clusters = server.json("jeroboam", &["cluster", "list", "--json"])?;
    let existing = clusters
        .as_array()
        .into_iter()
        .flatten()
        .find(|c| c["name"] == name);
    match existing.map(|c| c["status"].as_str().unwrap_or_default().to_owned()) {
        Some(status) if status.ends_with("_COMPLETE") => {
            println!("cluster {name} exists");
            return Ok(());
        }
        Some(status) => {
            println!("cluster {name} is {status}: creating it again");
            shell::run(&mut server.cli("jeroboam", &["cluster", "delete", name, "--wait"]))?;
        }
        None => {}
    }
    let workers = WORKERS.to_string();
    let args = [
        "cluster",
        "create",
        name,
        "--coe",
        coe.as_str(),
        "--node-count",
        &workers,
        "--wait",
    ];
    shell::run(&mut server.cli("jeroboam", &args))
}

fn print_next_commands(server: &Server, coe: Coe, name: &str, venv: Option<&Path>) {
    let title = match coe {
        Coe::Kubernetes => "Kubernetes",
        Coe::Swarm => "Swarm",
    };
    println!(
        "\nA {title} cluster '{name}' with 1 master and {WORKERS} workers runs. Next, in a shell:\n"
    );
    println!(
        "  export OS_CLIENT_CONFIG_FILE={} OS_CLOUD=jeroboam",
        server.state.join("clouds.yaml").display()
    );
    println!(
        "  export PATH={}:$PATH",
        server.bin.parent().unwrap_or(Path::new(".")).display()
    );
    println!("  jeroboam cluster list");
    if let Some(venv) = venv {
        for command in ["show", "resize"] {
            let count = if command == "resize" { " 3" } else { "" };
            println!(
                "  {}/bin/openstack coe cluster {command} {name}{count}",
                venv.display()
            );
        }
    }
    match coe {
        Coe::Kubernetes => kubernetes::print_next_commands(server, name),
        Coe::Swarm => swarm::print_next_commands(server, name),
    }
    println!("\n./x down removes everything again.");
}

pub fn down(_args: &[String]) -> Result<()> {
    let state = shell::state_dir();
    // The newest build is used, because an older one may not support the arguments or
    // the database of `./x up`.
    let modified = |bin: &PathBuf| bin.metadata().and_then(|m| m.modified()).ok();
    let both = [false, true].map(shell::binary).into_iter();
    let bin = both.filter(|b| b.is_file()).max_by_key(modified);
    let mut errors = Vec::new();
    if let Some(bin) = bin {
        let server = Server {
            bin,
            state: state.clone(),
            host_root: false,
        };
        // Clusters may exist even if no server runs. Only a server can delete them
        // properly, so it is started.
        if (server.pid().is_some() || state.join("clouds.yaml").is_file())
            && let Err(e) = clear(&server)
        {
            errors.push(format!("{e:#}"));
        }
        server.stop()?;
    }
    let left = remove_leftovers(&state)?;
    if !left.is_empty() {
        println!("removed by force: {}", left.join(", "));
    }
    if !errors.is_empty() {
        bail!("{}", errors.join("\n"));
    }
    println!(
        "down: no server, container, network or volume of {} is left",
        state.display()
    );
    Ok(())
}

/// Deletes every cluster through the API and checks for leaks.
fn clear(server: &Server) -> Result<()> {
    server.start()?;
    for cloud in ["jeroboam", "jeroboam-demo"] {
        if !server.has_cloud(cloud) {
            continue;
        }
        let clusters = server.json(cloud, &["cluster", "list", "--json"])?;
        let ids: Vec<&str> = clusters
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|c| c["uuid"].as_str())
            .collect();
        for id in &ids {
            if let Err(e) = shell::run(&mut server.cli(cloud, &["cluster", "delete", id]))
                // A concurrent deletion is the desired result.
                && server.json(cloud, &["cluster", "show", id, "--json"]).is_ok()
            {
                return Err(e);
            }
        }
        wait_until_deleted(server, cloud)?;
    }
    shell::run(&mut server.cli("jeroboam", &["leaks"]))
}

/// Waits until a cloud has no cluster.
fn wait_until_deleted(server: &Server, cloud: &str) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(600);
    loop {
        let clusters = server.json(cloud, &["cluster", "list", "--json"])?;
        let left: Vec<&Value> = clusters.as_array().into_iter().flatten().collect();
        if left.is_empty() {
            return Ok(());
        }
        if let Some(failed) = left.iter().find(|c| c["status"] == "DELETE_FAILED") {
            let id = failed["uuid"].as_str().unwrap_or_default();
            let shown = server.json(cloud, &["cluster", "show", id, "--json"])?;
            bail!("cluster {id} cannot be deleted: {}", shown["status_reason"]);
        }
        if Instant::now() > end {
            bail!("{} clusters are not deleted after 10 minutes", left.len());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Removes objects with the label of this installation; returns their names.
fn remove_leftovers(state: &Path) -> Result<Vec<String>> {
    let Ok(id) = fs::read_to_string(state.join("installation")) else {
        return Ok(Vec::new());
    };
    let engine = Command::new("docker")
        .arg("info")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !engine.is_ok_and(|s| s.success()) {
        return Ok(Vec::new());
    }
    let filter = format!("label=io.jeroboam.installation={}", id.trim());
    let kinds: [(&str, &[&str], &[&str]); 3] = [
        ("container", &["ps", "-aq"], &["rm", "-fv"]),
        ("network", &["network", "ls", "-q"], &["network", "rm"]),
        ("volume", &["volume", "ls", "-q"], &["volume", "rm", "-f"]),
    ];
    let mut removed = Vec::new();
    for (kind, list, remove) in kinds {
        let found = shell::output(
            Command::new("docker")
                .args(list)
                .args(["--filter", &filter]),
        )?;
        for name in found.lines() {
            shell::output(Command::new("docker").args(remove).arg(name))?;
            removed.push(format!("{kind} {name}"));
        }
    }
    Ok(removed)
}
