//! `jeroboam host prepare`: registers the runtime for nodes in user namespaces in
//! the Docker Engine of this machine.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use docker::Engine;
use infra::{ContainerHost as _, Isolation, OfferedIsolation};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::config::{Config, Driver};

/// Maximum time until a reloaded engine lists the runtime.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(10);

/// File with the sysctls, read at every boot.
const SYSCTL_FILE: &str = "/etc/sysctl.d/60-jeroboam.conf";

/// Limits of the kernel that a host of several nodes needs.
pub const KERNEL_LIMITS: [(&str, u64); 6] = [
    // Nodes of earlier releases need a key for each container. Keys are counted by user
    // id, which all containers of a node share.
    ("kernel.keys.maxkeys", 20_000),
    ("kernel.keys.maxbytes", 500_000),
    // The process ids are those of the whole host; a node may have two for each MiB of
    // memory.
    ("kernel.pid_max", 1_000_000),
    // The number of open files of the whole host. Files count for the memory of the node
    // that opens them, so no other limit is needed. It is the value that systemd sets.
    ("fs.file-max", i64::MAX.unsigned_abs()),
    // Addresses of Ethernet neighbours of the whole host, in all network namespaces. If
    // the second is reached, no node can reach a new address.
    ("net.ipv4.neigh.default.gc_thresh3", 1_048_576),
    ("net.ipv6.neigh.default.gc_thresh3", 1_048_576),
];

#[derive(clap::Args)]
pub struct PrepareArgs {
    /// Runtime to install; the jeroboam-runtime beside this program by default.
    #[arg(long, value_name = "FILE")]
    runtime: Option<PathBuf>,
    /// Where the runtime is installed.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/usr/local/bin/jeroboam-runtime"
    )]
    install: PathBuf,
    /// Configuration file of the engine.
    #[arg(long, value_name = "FILE", default_value = "/etc/docker/daemon.json")]
    daemon_config: PathBuf,
    /// File with the process id of the engine.
    #[arg(long, value_name = "FILE", default_value = "/var/run/docker.pid")]
    pid_file: PathBuf,
}

/// Prepares the host. The code is 0 if nodes can run in user namespaces, or will
/// once the engine runs; 1 if the host lacks something else.
pub async fn prepare(args: PrepareArgs) -> Result<ExitCode> {
    if !rustix::process::geteuid().is_root() {
        bail!("host prepare changes the configuration of the engine; run it as root");
    }
    let source = match args.runtime {
        Some(path) => path,
        None => std::env::current_exe()?.with_file_name("jeroboam-runtime"),
    };
    let target = std::path::absolute(args.install)?;
    report(install(&source, &target)?, "installed", &target);
    report(
        register(&args.daemon_config, &target)?,
        "changed",
        &args.daemon_config,
    );
    raise_kernel_limits()?;
    let Some(pid) = engine_process(&args.pid_file)? else {
        println!(
            "The engine does not run ({} names no dockerd); it reads its configuration when it \
             starts.",
            args.pid_file.display()
        );
        return Ok(ExitCode::SUCCESS);
    };
    kill_process(pid, Signal::HUP)
        .with_context(|| format!("reloading the engine (process {})", pid.as_raw_nonzero()))?;
    let engine = engine(&Config::default())?;
    show(&engine, &offered(&engine, RELOAD_TIMEOUT).await?).await
}

#[derive(clap::Args)]
pub struct CheckArgs {
    /// Configuration file of the server, whose engine is checked; that of DOCKER_HOST by
    /// default.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Prints the isolation level that the host offers. The code is 0 for
/// `user-namespace`.
pub async fn check(args: CheckArgs) -> Result<ExitCode> {
    let config = match &args.config {
        Some(path) => Config::read(path)?,
        None => Config::default(),
    };
    if config.infra.driver == Driver::Simulator {
        bail!("infra.driver is simulator; a simulated host needs no preparation");
    }
    let engine = engine(&config)?;
    show(&engine, &offered(&engine, Duration::ZERO).await?).await
}

fn engine(config: &Config) -> Result<Engine> {
    Ok(Engine::connect(config.infra.docker.as_deref())?)
}

/// Prints what the host offers, and what an operator should repair.
async fn show(engine: &Engine, offered: &OfferedIsolation) -> Result<ExitCode> {
    let code = match &offered.missing {
        None => {
            println!("ready      nodes of new clusters get user namespaces");
            ExitCode::SUCCESS
        }
        Some(missing) => {
            println!("missing    {missing}");
            ExitCode::FAILURE
        }
    };
    if let Some(hint) = engine.runtime_hint().await? {
        println!("older      {hint}");
    }
    for invalid in docker::invalid_grants()? {
        println!("invalid    {invalid}");
    }
    Ok(code)
}

fn report(is_changed: bool, action: &str, path: &Path) {
    let word = if is_changed { action } else { "unchanged" };
    println!("{word:<10} {}", path.display());
}

/// Copies the program unless the same one is installed; returns whether it did.
fn install(source: &Path, target: &Path) -> Result<bool> {
    let program = fs::read(source).with_context(|| {
        format!(
            "the runtime {} cannot be read; build it with `./x build`",
            source.display()
        )
    })?;
    if fs::read(target).is_ok_and(|installed| installed == program) {
        return Ok(false);
    }
    // The engine may execute the old one at any time.
    replace(target, &program, 0o755)?;
    Ok(true)
}

/// Adds the runtime to the configuration of the engine; returns whether the file
/// has changed.
fn register(path: &Path, runtime: &Path) -> Result<bool> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => String::new(),
        Err(e) => return Err(e).with_context(|| format!("{} cannot be read", path.display())),
    };
    let Some(changed) = with_runtime(&text, runtime)
        .with_context(|| format!("{} is not a configuration of Docker", path.display()))?
    else {
        return Ok(false);
    };
    let mode = fs::metadata(path).map_or(0o644, |m| m.permissions().mode() & 0o777);
    replace(path, changed.as_bytes(), mode)?;
    Ok(true)
}

/// The configuration with the runtime; `None` if it has it already.
fn with_runtime(text: &str, runtime: &Path) -> Result<Option<String>> {
    let mut config: Map<String, Value> = if text.trim().is_empty() {
        Map::new()
    } else {
        serde_json::from_str(text)?
    };
    let runtimes = config.entry("runtimes").or_insert_with(|| json!({}));
    let Value::Object(runtimes) = runtimes else {
        bail!("\"runtimes\" is not an object");
    };
    let wanted = json!({ "path": runtime });
    if runtimes.get(docker::RUNTIME) == Some(&wanted) {
        return Ok(None);
    }
    runtimes.insert(docker::RUNTIME.into(), wanted);
    Ok(Some(format!("{:#}\n", Value::Object(config))))
}

/// Replaces a file at once, so that no reader sees a part of it.
fn replace(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let failed = || format!("{} cannot be written", path.display());
    // The file that a symbolic link names is replaced, not the link.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = path.parent().with_context(failed)?;
    fs::create_dir_all(directory).with_context(failed)?;
    let file = tempfile::NamedTempFile::new_in(directory).with_context(failed)?;
    fs::write(file.path(), content).with_context(failed)?;
    fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).with_context(failed)?;
    file.as_file().sync_all().with_context(failed)?;
    file.persist(&path).with_context(failed)?;
    Ok(())
}

/// Raises limits that are lower than a full node needs, now and at every boot.
fn raise_kernel_limits() -> Result<()> {
    let low = low_kernel_limits();
    if low.is_empty() {
        return Ok(());
    }
    let lines: String = KERNEL_LIMITS
        .iter()
        .map(|(name, least)| format!("{name} = {}\n", current(name).unwrap_or(0).max(*least)))
        .collect();
    replace(Path::new(SYSCTL_FILE), lines.as_bytes(), 0o644)?;
    println!("{:<10} {SYSCTL_FILE}", "changed");
    for (name, value) in low {
        if let Err(e) = fs::write(sysctl_path(name), value.to_string()) {
            println!(
                "{:<10} {name}: {e}; it takes effect at the next boot",
                "kept"
            );
        }
    }
    Ok(())
}

/// The limits that are too low, with the values that they should have.
pub fn low_kernel_limits() -> Vec<(&'static str, u64)> {
    let is_low = |(name, least): &(&str, u64)| current(name).is_some_and(|now| now < *least);
    KERNEL_LIMITS.into_iter().filter(is_low).collect()
}

/// The value of a limit; `None` if this kernel does not have it.
fn current(name: &str) -> Option<u64> {
    let text = fs::read_to_string(sysctl_path(name)).ok()?;
    text.trim().parse().ok()
}

fn sysctl_path(name: &str) -> String {
    format!("/proc/sys/{}", name.replace('.', "/"))
}

/// The process that the file names, if it is an engine.
fn engine_process(pid_file: &Path) -> Result<Option<Pid>> {
    let text = match fs::read_to_string(pid_file) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).with_context(|| format!("{} cannot be read", pid_file.display())),
    };
    let Some(pid) = text.trim().parse().ok().and_then(Pid::from_raw) else {
        return Ok(None);
    };
    // A file from before the last boot may name any process.
    let name = fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero()));
    Ok(name
        .is_ok_and(|name| name.trim() == "dockerd")
        .then_some(pid))
}

/// The level of the host, awaiting for some time that it becomes the strongest.
async fn offered(engine: &Engine, timeout: Duration) -> Result<OfferedIsolation> {
    let until = Instant::now() + timeout;
    loop {
        let offered = engine.info().await?.isolation;
        if offered.level == Isolation::UserNamespace || Instant::now() >= until {
            return Ok(offered);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/usr/local/bin/jeroboam-runtime";

    fn change(text: &str) -> Result<Option<String>> {
        with_runtime(text, Path::new(PATH))
    }

    #[test]
    fn the_runtime_is_added_to_what_is_configured() {
        let text = r#"{"live-restore": true, "runtimes": {"other": {"path": "/bin/other"}}}"#;
        let changed = change(text).unwrap().unwrap();
        let config: Value = serde_json::from_str(&changed).unwrap();
        assert_eq!(config["live-restore"], true);
        assert_eq!(config["runtimes"]["other"]["path"], "/bin/other");
        assert_eq!(config["runtimes"]["jeroboam-userns"]["path"], PATH);
        assert_eq!(change(&changed).unwrap(), None);
    }

    #[test]
    fn an_absent_or_empty_file_is_an_empty_configuration() {
        for text in ["", " \n", "{}"] {
            assert!(change(text).unwrap().unwrap().contains(PATH));
        }
    }

    #[test]
    fn a_file_that_is_not_a_configuration_is_not_changed() {
        for text in ["[]", "{", r#"{"runtimes": []}"#, "live-restore = true"] {
            assert!(change(text).is_err(), "{text}");
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("daemon.json");
        fs::write(&file, "{ broken").unwrap();
        let e = register(&file, Path::new(PATH)).unwrap_err();
        assert!(
            format!("{e:#}").contains("daemon.json is not a configuration of Docker"),
            "{e:#}"
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), "{ broken");
    }

    #[test]
    fn files_keep_their_mode_and_links() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("real.json"), dir.path().join("daemon.json"));
        fs::write(&file, "{}").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(register(&link, Path::new(PATH)).unwrap());
        assert!(!register(&link, Path::new(PATH)).unwrap());
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn only_an_engine_is_reloaded() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("docker.pid");
        assert!(engine_process(&file).unwrap().is_none());
        fs::write(&file, std::process::id().to_string()).unwrap();
        assert!(engine_process(&file).unwrap().is_none());
        fs::write(&file, "text").unwrap();
        assert!(engine_process(&file).unwrap().is_none());
    }
}
