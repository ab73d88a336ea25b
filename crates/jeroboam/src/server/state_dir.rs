//! The state directory: lock, keys, passwords, `clouds.yaml`.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::config::Config;

/// Passwords that bootstrap drew; only its winner has them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Passwords {
    pub admin: String,
    pub demo: String,
}

/// An open state directory. On SQLite the lock is held while this lives.
pub struct StateDir {
    path: PathBuf,
    _lock: Option<File>,
}

impl StateDir {
    /// Makes the directory (mode 0700) and takes its lock where the database
    /// is the embedded one: SQLite has one process.
    pub fn open(config: &Config) -> Result<Self> {
        let path = config.state_dir.clone();
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("state-dir: {} cannot be made", path.display()))?;
        let path = path.canonicalize()?;
        let lock = if config.database_url().starts_with("sqlite:") {
            let file = path.join("lock");
            let lock = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&file)?;
            if lock.try_lock().is_err() {
                bail!(
                    "state-dir: {} is in use by another server; SQLite has one process, use --database postgres://… for several",
                    path.display()
                );
            }
            Some(lock)
        } else {
            None
        };
        Ok(Self { path, _lock: lock })
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// For people and scripts: which label value the objects of this
    /// installation carry.
    pub fn note_installation(&self, id: &str) -> Result<()> {
        write_private(&self.join("installation"), id)
    }

    pub fn keep_passwords(&self, passwords: &Passwords) -> Result<()> {
        write_private(
            &self.join("passwords.json"),
            &serde_json::to_string(passwords)?,
        )
    }

    /// Writes `clouds.yaml` for the address that the server has now.
    pub fn write_clouds(&self, listen: SocketAddr, public: Option<&str>) -> Result<()> {
        let Ok(text) = std::fs::read_to_string(self.join("passwords.json")) else {
            // Another server of this database won the bootstrap.
            return Ok(());
        };
        let passwords: Passwords = serde_json::from_str(&text).context("passwords.json")?;
        let base = public.map_or_else(|| format!("http://{listen}"), str::to_owned);
        let cloud = |name: &str, user: &str, password: &str, project: &str| {
            format!(
                "  {name}:\n    auth:\n      auth_url: {base}/identity/v3\n      username: {user}\n      password: {password}\n      project_name: {project}\n      user_domain_name: Default\n      project_domain_name: Default\n    region_name: RegionOne\n    identity_api_version: 3\n"
            )
        };
        let text = format!(
            "# Written by jeroboam serve at each start.\nclouds:\n{}{}",
            cloud("jeroboam", "admin", &passwords.admin, "admin"),
            cloud("jeroboam-demo", "demo", &passwords.demo, "demo")
        );
        write_private(&self.join("clouds.yaml"), &text)
    }
}

/// Writes a file of mode 0600 in one step: a reader sees the old or the new.
pub fn write_private(path: &Path, text: &str) -> Result<()> {
    let draft = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .with_context(|| format!("{} cannot be written", draft.display()))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    Ok(())
}
