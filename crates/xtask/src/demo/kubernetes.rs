//! The demo in Kubernetes: a Deployment behind a NodePort.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::service::query_nodes;
use crate::server::Server;
use crate::shell;

/// The port of the service on each node.
const NODE_PORT: u16 = 30080;

const MANIFEST: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: { name: hello }
spec:
  replicas: 4
  selector: { matchLabels: { app: hello } }
  template:
    metadata: { labels: { app: hello } }
    spec:
      containers:
        - name: echo
          image: docker.io/jeroboam/echo:1
          imagePullPolicy: IfNotPresent
          ports: [{ containerPort: 80 }]
---
apiVersion: v1
kind: Service
metadata: { name: hello }
spec:
  type: NodePort
  selector: { app: hello }
  ports: [{ port: 80, nodePort: 30080 }]
"#;

/// The newest multi-call binary in the cache, which acts as kubectl under that
/// name.
pub(super) fn binaries() -> Option<PathBuf> {
    let dir = fs::read_dir(shell::cache_dir().join("kubernetes")).ok()?;
    let mut found: Vec<PathBuf> = dir
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().starts_with("kube-"))
        .map(|e| e.path().join("kube"))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found.pop()
}

fn kubeconfig(server: &Server, name: &str) -> PathBuf {
    server.state.join(format!("{name}.kubeconfig"))
}

/// A link in the state directory to a `kubectl` of the clusters' release, or the
/// machine's `kubectl` if no release was compiled here.
fn kubectl(server: &Server) -> Result<PathBuf> {
    let Some(cached) = binaries() else {
        return shell::output(Command::new("sh").args(["-c", "command -v kubectl"]))
            .map(PathBuf::from)
            .context("kubectl is neither in the cache nor on the path");
    };
    let own = server.state.join("bin/kubectl");
    fs::create_dir_all(server.state.join("bin"))?;
    fs::remove_file(&own).ok();
    std::os::unix::fs::symlink(cached, &own)?;
    Ok(own)
}

/// Runs a Deployment, waits for it, and queries each node.
pub(super) fn show(server: &Server, name: &str) -> Result<()> {
    let config = kubeconfig(server, name);
    let text = shell::output(&mut server.cli("jeroboam", &["cluster", "kubeconfig", name]))?;
    fs::write(&config, text)?;
    let kubectl = kubectl(server)?;
    let run = |args: &[&str]| {
        let mut command = Command::new(&kubectl);
        command.arg("--kubeconfig").arg(&config).args(args);
        command
    };
    println!(
        "{}",
        shell::output(&mut run(&["get", "nodes", "-o", "wide"]))?
    );
    let mut apply = run(&["apply", "-f", "-"]).stdin(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = apply.stdin.take() {
        stdin.write_all(MANIFEST.as_bytes())?;
    }
    if !apply.wait()?.success() {
        bail!("kubectl apply failed");
    }
    shell::run(&mut run(&[
        "rollout",
        "status",
        "deployment/hello",
        "--timeout=90s",
    ]))?;
    println!(
        "{}",
        shell::output(&mut run(&["get", "pods", "-o", "wide"]))?
    );
    let shown = server.json("jeroboam", &["cluster", "show", name, "--json"])?;
    query_nodes(&shown, NODE_PORT)
}

/// Prints suggested next commands.
pub(super) fn print_next_commands(server: &Server, name: &str) {
    println!("  export KUBECONFIG={}", kubeconfig(server, name).display());
    if let Ok(kubectl) = kubectl(server) {
        println!("  {} get pods -A -o wide", kubectl.display());
    }
}
