//! `jeroboam image build` and `jeroboam image register`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};

use anyhow::{Context as _, Result, bail};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::client::Api;

/// A file of a recipe: its path relative to `images` and its content.
type RecipeFile = (&'static str, &'static str);

macro_rules! recipe {
    ($coe:literal: $($path:literal),+ $(,)?) => {
        &[
            ("lib.sh", include_str!("../../../../images/lib.sh")),
            $((
                concat!($coe, "/", $path),
                include_str!(concat!("../../../../images/", $coe, "/", $path)),
            )),+
        ]
    };
}

// The recipes are embedded, so that only this binary and the agent next to it
// have to be installed.
const SWARM: &[RecipeFile] = recipe!("swarm": "build.sh");
const KUBERNETES: &[RecipeFile] = recipe!(
    "kubernetes":
    "build.sh",
    "cni/go.mod",
    "cni/go.sum",
    "containerd/go.mod",
    "containerd/go.sum",
    "coredns/go.mod",
    "coredns/go.sum",
    "coredns/main.go",
    "etcd/go.mod",
    "etcd/go.sum",
    "kube/1.35.4/go.mod",
    "kube/1.35.4/go.sum",
    "kube/1.36.3/go.mod",
    "kube/1.36.3/go.sum",
    "kube/main.go",
    "metrics-server/go.mod",
    "metrics-server/go.sum",
    "pause/go.mod",
    "pause/main.go",
    "runc/go.mod",
    "runc/go.sum",
    "traefik/dns.go",
    "traefik/go.mod",
    "traefik/go.sum",
);

#[derive(clap::Args)]
pub struct BuildArgs {
    /// COE of the image.
    #[arg(value_parser = ["swarm", "kubernetes"])]
    coe: String,
    /// Build again although the image is up to date.
    #[arg(long)]
    force: bool,
    /// Kubernetes release, such as 1.36.3 or 1.36 [default: the newest known one].
    #[arg(long, value_name = "VERSION")]
    kube_version: Option<String>,
    /// Take binaries (kube-apiserver, kubelet, …) from here instead of
    /// compiling them; parts that are not there are compiled.
    #[arg(long, value_name = "DIR")]
    kube_binaries: Option<PathBuf>,
}

#[derive(clap::Args)]
pub struct RegisterArgs {
    /// Name that cluster templates use.
    name: String,
    /// Reference of the image in the engine, preferably with its digest.
    #[arg(long = "ref", value_name = "REF")]
    reference: String,
    /// How its nodes are set up: kindest, k3s, or own for an image that Jeroboam built
    /// [default: detected if REF is kindest/node or rancher/k3s].
    #[arg(long, value_name = "FLAVOUR")]
    flavour: Option<String>,
    /// Distribution that clients see [default: that of the flavour].
    #[arg(long, value_name = "DISTRO")]
    os_distro: Option<String>,
}

/// Registers an image that was not built by Jeroboam. The server does not pull it, so
/// an image that does not exist is noticed only when its first node is created.
///
/// # Errors
/// Fails with the error of the server, for example if the flavour is missing.
pub async fn register(cloud: Option<&str>, args: RegisterArgs) -> Result<ExitCode> {
    let body = json!({
        "name": args.name,
        "reference": args.reference,
        "node_flavour": args.flavour,
        "os_distro": args.os_distro,
    });
    let api = Api::connect(cloud).await?;
    let made = api.own(Method::POST, "/images", Some(body)).await?;
    let shown = |key: &str| made["image"][key].as_str().unwrap_or_default().to_owned();
    println!(
        "{} is registered: {}, flavour {}",
        shown("name"),
        shown("reference"),
        shown("node_flavour")
    );
    Ok(ExitCode::SUCCESS)
}

/// Builds the image and makes a running server register it.
///
/// # Errors
/// Fails if the agent is missing, an option is not valid for this COE, or the
/// recipe fails (which prints its error).
pub async fn build(cloud: Option<&str>, args: BuildArgs) -> Result<ExitCode> {
    let coe = args.coe.as_str();
    if coe != "kubernetes" && (args.kube_version.is_some() || args.kube_binaries.is_some()) {
        bail!("--kube-version and --kube-binaries are for kubernetes; leave them out for {coe}");
    }
    let agent = agent()?;
    let tag = format!("jeroboam/{coe}:latest");
    println!(
        "building the {coe} image with the node agent {}",
        agent.display()
    );
    let recipe = tempfile::tempdir().context("no temporary directory for the recipe")?;
    unpack(
        if coe == "swarm" { SWARM } else { KUBERNETES },
        recipe.path(),
    )?;
    let mut command = tokio::process::Command::new("sh");
    command
        .arg(recipe.path().join(coe).join("build.sh"))
        .env("AGENT", &agent)
        .env("TAG", &tag)
        .env("FORCE", if args.force { "1" } else { "" });
    if let Some(version) = &args.kube_version {
        command.env("KUBE_VERSION", version);
    }
    if let Some(dir) = &args.kube_binaries {
        command.env("KUBE_BINARIES", dir);
    }
    let status = run_recipe(command).await?;
    if !status.success() {
        bail!(
            "the {coe} image is not built, because its recipe failed ({status}) with the error \
             above; `jeroboam doctor` checks the prerequisites"
        );
    }
    // A running server refreshes its images; a server that starts later does so
    // by itself.
    match Api::connect(cloud).await {
        Ok(api) => {
            let shown = api.own(Method::POST, "/images/refresh", None).await?;
            let names: Vec<&str> = shown["images"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(serde_json::Value::as_str)
                .collect();
            println!(
                "the {coe} image is built; the server has registered: {}",
                names.join(", ")
            );
        }
        Err(e) => println!(
            "the {coe} image is built; a server registers it when it starts (not registered now: {e:#})"
        ),
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a recipe and prints its stderr without the notice of [`LegacyBuilderNotice`].
async fn run_recipe(mut command: tokio::process::Command) -> Result<ExitStatus> {
    let mut child = command
        .stderr(Stdio::piped())
        .spawn()
        .context("the program `sh` cannot be started")?;
    if let Some(stderr) = child.stderr.take() {
        let mut lines = BufReader::new(stderr).split(b'\n');
        let mut notice = LegacyBuilderNotice::default();
        while let Some(line) = lines.next_segment().await? {
            let line = String::from_utf8_lossy(&line);
            if !notice.contains(&line) {
                eprintln!("{line}");
            }
        }
    }
    Ok(child.wait().await?)
}

/// Recognises the lines of the notice that newer docker clients print for their legacy
/// builder. Users can do nothing about it: the recipes use this builder because
/// Debian's docker.io contains no other.
#[derive(Default)]
struct LegacyBuilderNotice {
    is_open: bool,
}

impl LegacyBuilderNotice {
    /// Whether the next line belongs to the notice. Its first line is followed by
    /// indented lines and an empty one.
    fn contains(&mut self, line: &str) -> bool {
        let is_first = line.starts_with("DEPRECATED: The legacy builder");
        let is_continuation = line.is_empty() || line.starts_with(' ');
        self.is_open = is_first || (self.is_open && is_continuation);
        self.is_open
    }
}

/// Writes the files of a recipe below `dir`.
fn unpack(recipe: &[RecipeFile], dir: &Path) -> Result<()> {
    for (path, content) in recipe {
        let path = dir.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, content).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// The node agent is next to this binary.
fn agent() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let agent = here.with_file_name("jeroboam-node");
    if !agent.is_file() {
        bail!(
            "the node agent {} is missing; build it with `./x build`",
            agent.display()
        );
    }
    Ok(agent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notice_of_the_legacy_builder_is_left_out() {
        let text = "swarm image: adding the agent\n\
            DEPRECATED: The legacy builder is deprecated and will be removed in a future release.\n    \
            BuildKit is currently disabled; enable it by removing the DOCKER_BUILDKIT=0\n    \
            environment-variable.\n\nswarm image: ready\n  indented\n";
        let mut notice = LegacyBuilderNotice::default();
        let kept: Vec<&str> = text.lines().filter(|l| !notice.contains(l)).collect();
        assert_eq!(
            kept,
            [
                "swarm image: adding the agent",
                "swarm image: ready",
                "  indented"
            ]
        );
    }

    /// A release added to images/kubernetes must be added here too.
    #[test]
    fn every_module_is_embedded_in_the_binary() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../images/kubernetes");
        let mut missing = Vec::new();
        let mut dirs = vec![root.clone()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(&dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    dirs.push(path);
                    continue;
                }
                let name = path.strip_prefix(root.parent().unwrap()).unwrap();
                let wanted = path.parent() != Some(&root) || name.ends_with("build.sh");
                if wanted && !KUBERNETES.iter().any(|(known, _)| name == Path::new(known)) {
                    missing.push(name.to_owned());
                }
            }
        }
        assert!(missing.is_empty(), "{missing:?}");
    }
}
