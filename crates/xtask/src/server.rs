//! Controls the server of a state directory.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::shell;

/// A server; its state directory shows whether it runs.
pub struct Server {
    pub bin: PathBuf,
    pub state: PathBuf,
    /// Whether users of clusters may become root on this machine, which is only
    /// necessary if nodes cannot have user namespaces.
    pub host_root: bool,
}

impl Server {
    /// The id of its process, if it runs.
    pub fn pid(&self) -> Option<u32> {
        let pid: u32 = fs::read_to_string(self.state.join("server.pid"))
            .ok()?
            .trim()
            .parse()
            .ok()?;
        let cmdline = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        // The id may have been reused by a process that is not a server.
        let is_server = cmdline.split(|b| *b == 0).any(|a| a == b"serve");
        is_server.then_some(pid)
    }

    /// Starts the server unless it runs; returns its address.
    pub fn start(&self) -> Result<String> {
        let out = self.state.join("server.out");
        if self.pid().is_some()
            && let Some(address) = ready(&out)
        {
            return Ok(address);
        }
        fs::create_dir_all(&self.state)?;
        let log = self.state.join("server.log");
        let mut command = Command::new(&self.bin);
        // `./x up` is meant for a machine whose users trust each other.
        command
            .args(["serve", "--demo-project", "--state-dir"])
            .arg(&self.state);
        if self.host_root {
            command.arg("--allow-host-root");
        }
        if let Some(listen) = std::env::var_os("JEROBOAM_LISTEN") {
            command.arg("--listen").arg(listen);
        }
        let errors = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(fs::File::create(&out)?)
            .stderr(errors)
            // A separate process group, so that an interrupt at the terminal
            // does not stop it.
            .process_group(0)
            .spawn()
            .with_context(|| {
                format!("{} does not start; ./x build builds it", self.bin.display())
            })?;
        fs::write(self.state.join("server.pid"), child.id().to_string())?;
        let end = Instant::now() + Duration::from_secs(30);
        while Instant::now() < end {
            if let Some(address) = ready(&out) {
                return Ok(address);
            }
            if let Some(status) = child.try_wait()? {
                bail!("the server ended ({status}):\n{}", tail(&log));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the server is not ready after 30 s:\n{}", tail(&log))
    }

    /// Sends TERM, and KILL if it does not exit within 20 s.
    pub fn stop(&self) -> Result<()> {
        let Some(pid) = self.pid() else { return Ok(()) };
        let id = pid.to_string();
        shell::output(Command::new("kill").args(["-TERM", &id]))?;
        let end = Instant::now() + Duration::from_secs(20);
        while self.pid() == Some(pid) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(50));
        }
        if self.pid() == Some(pid) {
            println!("the server does not stop, killing it");
            shell::output(Command::new("kill").args(["-KILL", &id]))?;
        }
        fs::remove_file(self.state.join("server.pid")).ok();
        Ok(())
    }

    /// Whether its `clouds.yaml` has this cloud.
    pub fn has_cloud(&self, cloud: &str) -> bool {
        let text = fs::read_to_string(self.state.join("clouds.yaml")).unwrap_or_default();
        text.lines().any(|line| line.trim() == format!("{cloud}:"))
    }

    /// A command of the command line client for this server.
    pub fn cli(&self, cloud: &str, args: &[&str]) -> Command {
        let mut command = Command::new(&self.bin);
        command
            .args(args)
            .env("OS_CLIENT_CONFIG_FILE", self.state.join("clouds.yaml"))
            .env("OS_CLOUD", cloud);
        command
    }

    /// The output of a command with `--json`.
    pub fn json(&self, cloud: &str, args: &[&str]) -> Result<Value> {
        let text = shell::output(&mut self.cli(cloud, args))?;
        serde_json::from_str(&text).with_context(|| format!("{args:?} printed no JSON"))
    }
}

/// The address in the line that the server prints when it is ready.
fn ready(out: &Path) -> Option<String> {
    let text = fs::read_to_string(out).ok()?;
    text.lines()
        .find_map(|l| l.strip_prefix("ready: "))
        .map(|a| a.trim().to_owned())
}

/// The end of a log.
fn tail(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
