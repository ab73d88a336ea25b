//! `./x up` and `./x down`: a server of one's own with a cluster in it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use serde_json::Value;

use crate::server::Server;
use crate::{blackbox, shell};

const CLUSTER: &str = "demo";
const WORKERS: u64 = 2;
/// The port that the demo service takes on each node.
const PORT: u16 = 8080;

pub fn up(args: &[String]) -> Result<()> {
    let debug = args.iter().any(|a| a == "--debug");
    if let Some(coe) = args.iter().skip_while(|a| *a != "--coe").nth(1)
        && coe != "swarm"
    {
        bail!("--coe {coe}: swarm is the one that is built");
    }
    shell::build(args)?;
    let server = Server {
        bin: shell::binary(debug),
        state: shell::state_dir(),
    };
    fs::create_dir_all(&server.state)?;
    image(&server.bin)?;
    let address = server.start()?;
    println!(
        "server: {address} (log: {})",
        server.state.join("server.log").display()
    );
    // The engine may have been away when the server looked for images.
    shell::run(&mut server.cli("jeroboam", &["image", "build", "swarm"]))?;

    let clusters = server.json("jeroboam", &["cluster", "list", "--json"])?;
    let there = clusters
        .as_array()
        .into_iter()
        .flatten()
        .find(|c| c["name"] == CLUSTER);
    match there.map(|c| c["status"].as_str().unwrap_or_default().to_owned()) {
        Some(status) if status.ends_with("_COMPLETE") => println!("cluster {CLUSTER} is there"),
        other => {
            if let Some(status) = other {
                println!("cluster {CLUSTER} is {status}: making it anew");
                shell::run(&mut server.cli("jeroboam", &["cluster", "delete", CLUSTER, "--wait"]))?;
            }
            let workers = WORKERS.to_string();
            shell::run(&mut server.cli(
                "jeroboam",
                &[
                    "cluster",
                    "create",
                    CLUSTER,
                    "--coe",
                    "swarm",
                    "--node-count",
                    &workers,
                    "--wait",
                ],
            ))?;
        }
    }
    let tls = server.state.join(format!("{CLUSTER}-tls"));
    let host = service(&server, &tls)?;
    let client = blackbox::venv();
    next(&server, &tls, &host, client.as_deref().ok());
    Ok(())
}

/// Builds the node image where it is missing or the agent is another one.
pub fn image(bin: &Path) -> Result<()> {
    let agent = bin.with_file_name("jeroboam-node");
    let sum = shell::output(Command::new("sha256sum").arg(&agent))?;
    let sum = sum.split_whitespace().next().unwrap_or_default().to_owned();
    let stamp = shell::cache_dir().join("swarm-image");
    let id = shell::output(Command::new("docker").args([
        "image",
        "inspect",
        "-f",
        "{{.Id}}",
        "jeroboam/swarm:latest",
    ]));
    if let Ok(id) = &id
        && fs::read_to_string(&stamp).is_ok_and(|t| t.trim() == format!("{id} {sum}"))
    {
        return Ok(());
    }
    shell::run(Command::new(bin).args(["image", "build", "swarm"]))?;
    let id = shell::output(Command::new("docker").args([
        "image",
        "inspect",
        "-f",
        "{{.Id}}",
        "jeroboam/swarm:latest",
    ]))?;
    fs::create_dir_all(shell::cache_dir())?;
    fs::write(stamp, format!("{id} {sum}"))?;
    Ok(())
}

/// Runs a service on each node of the cluster and asks each; the API address.
fn service(server: &Server, tls: &Path) -> Result<String> {
    fs::create_dir_all(tls)?;
    let dir = tls.to_string_lossy().into_owned();
    shell::output(&mut server.cli(
        "jeroboam",
        &["cluster", "config", CLUSTER, "--dir", &dir, "--force"],
    ))?;
    let shown = server.json("jeroboam", &["cluster", "show", CLUSTER, "--json"])?;
    let host = shown["api_address"]
        .as_str()
        .ok_or_else(|| anyhow!("the cluster has no api_address"))?
        .to_owned();
    let docker = |args: &[&str]| {
        let mut command = Command::new("docker");
        command
            .args(args)
            .env("DOCKER_HOST", &host)
            .env("DOCKER_CERT_PATH", tls)
            .env("DOCKER_TLS_VERIFY", "1");
        command
    };
    println!("{}", shell::output(&mut docker(&["node", "ls"]))?);
    if shell::output(&mut docker(&["service", "inspect", "hello"])).is_err() {
        let publish = format!("mode=host,published={PORT},target=80");
        shell::output(&mut docker(&[
            "service",
            "create",
            "--detach",
            "--quiet",
            "--name",
            "hello",
            "--mode",
            "global",
            "--endpoint-mode",
            "dnsrr",
            "--no-resolve-image",
            "--publish",
            &publish,
            "jeroboam/echo:1",
        ]))?;
    }
    let wanted = usize::try_from(WORKERS)? + 1;
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let states = shell::output(&mut docker(&[
            "service",
            "ps",
            "hello",
            "--format",
            "{{.Node}} {{.CurrentState}}",
        ]))?;
        if states.lines().filter(|l| l.contains(" Running ")).count() >= wanted {
            break;
        }
        if Instant::now() > end {
            bail!("the service does not run on {wanted} nodes after 60 s:\n{states}");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    println!(
        "{}",
        shell::output(&mut docker(&["service", "ps", "hello"]))?
    );
    let nodes = ["master_addresses", "node_addresses"];
    for address in nodes
        .iter()
        .flat_map(|k| shown[k].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
    {
        let url = format!("http://{address}:{PORT}/");
        let said = shell::output(Command::new("curl").args([
            "-sS",
            "--retry",
            "20",
            "--retry-connrefused",
            "--retry-delay",
            "1",
            "-m",
            "5",
            &url,
        ]))?;
        println!("{url} -> {said}");
    }
    Ok(host)
}

fn next(server: &Server, tls: &Path, host: &str, venv: Option<&Path>) {
    println!(
        "\nA Swarm cluster '{CLUSTER}' with 1 manager and {WORKERS} workers runs. Next, in a shell:\n"
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
        println!(
            "  {}/bin/openstack coe cluster show {CLUSTER}",
            venv.display()
        );
        println!(
            "  {}/bin/openstack coe cluster resize {CLUSTER} 3",
            venv.display()
        );
    }
    println!(
        "  export DOCKER_HOST={host} DOCKER_CERT_PATH={} DOCKER_TLS_VERIFY=1",
        tls.display()
    );
    println!("  docker node ls");
    println!("\n./x down takes everything away again.");
}

pub fn down(_args: &[String]) -> Result<()> {
    let state = shell::state_dir();
    let bin = [false, true]
        .map(shell::binary)
        .into_iter()
        .find(|b| b.is_file());
    let mut trouble = Vec::new();
    if let Some(bin) = bin {
        let server = Server {
            bin,
            state: state.clone(),
        };
        // Rows without a server: only a server takes them away as they came.
        if (server.pid().is_some() || state.join("clouds.yaml").is_file())
            && let Err(e) = clear(&server)
        {
            trouble.push(format!("{e:#}"));
        }
        server.stop()?;
    }
    let left = leftovers(&state)?;
    if !left.is_empty() {
        println!("removed by force: {}", left.join(", "));
    }
    if !trouble.is_empty() {
        bail!("{}", trouble.join("\n"));
    }
    println!(
        "down: no server, container, network or volume of {} is left",
        state.display()
    );
    Ok(())
}

/// Deletes every cluster through the API and asks for leaks.
fn clear(server: &Server) -> Result<()> {
    server.start()?;
    for cloud in ["jeroboam", "jeroboam-demo"] {
        let clusters = server.json(cloud, &["cluster", "list", "--json"])?;
        let ids: Vec<&str> = clusters
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|c| c["uuid"].as_str())
            .collect();
        for id in &ids {
            shell::run(&mut server.cli(cloud, &["cluster", "delete", id]))?;
        }
        for id in &ids {
            // Gone already is what is wanted.
            let shown = server.json(cloud, &["cluster", "show", id, "--json"]);
            if shown.is_ok() {
                shell::run(&mut server.cli(cloud, &["cluster", "delete", id, "--wait"]))?;
            }
        }
    }
    shell::run(&mut server.cli("jeroboam", &["leaks"]))
}

/// Removes what still carries the label of this installation; what it was.
fn leftovers(state: &Path) -> Result<Vec<String>> {
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
