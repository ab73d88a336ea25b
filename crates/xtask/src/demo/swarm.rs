//! The demo in a swarm: a service on each node.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use super::service::{PORT, WORKERS, query_nodes};
use crate::server::Server;
use crate::shell;

fn tls(server: &Server, name: &str) -> PathBuf {
    server.state.join(format!("{name}-tls"))
}

/// Runs a service on each node of the cluster and queries each node.
pub(super) fn show(server: &Server, name: &str) -> Result<()> {
    let tls = tls(server, name);
    fs::create_dir_all(&tls)?;
    let dir = tls.to_string_lossy().into_owned();
    shell::output(&mut server.cli(
        "jeroboam",
        &["cluster", "config", name, "--dir", &dir, "--force"],
    ))?;
    let shown = server.json("jeroboam", &["cluster", "show", name, "--json"])?;
    let host = shown["api_address"]
        .as_str()
        .ok_or_else(|| anyhow!("the cluster has no api_address"))?;
    let docker = |args: &[&str]| {
        let mut command = Command::new("docker");
        command
            .args(args)
            .env("DOCKER_HOST", host)
            .env("DOCKER_CERT_PATH", &tls)
            .env("DOCKER_TLS_VERIFY", "1");
        command
    };
    println!("{}", shell::output(&mut docker(&["node", "ls"]))?);
    if shell::output(&mut docker(&["service", "inspect", "hello"])).is_err() {
        let publish = format!("mode=host,published={PORT},target=80");
        shell::output(
            docker(&[
                "service", "create", "--detach", "--quiet", "--name", "hello",
            ])
            .args(["--mode", "global", "--endpoint-mode", "dnsrr"])
            .args([
                "--no-resolve-image",
                "--publish",
                &publish,
                "jeroboam/echo:1",
            ]),
        )?;
    }
    let wanted = usize::try_from(WORKERS)? + 1;
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let format = "{{.Node}} {{.CurrentState}}";
        let states = shell::output(&mut docker(&["service", "ps", "hello", "--format", format]))?;
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
    query_nodes(&shown, PORT)
}

/// Prints suggested next commands.
pub(super) fn print_next_commands(server: &Server, name: &str) {
    let tls = tls(server, name);
    println!(
        "  jeroboam cluster config {name} --dir {} --force",
        tls.display()
    );
    println!(
        "  eval $(jeroboam cluster config {name} --dir {} --force)",
        tls.display()
    );
    println!("  docker node ls");
}
