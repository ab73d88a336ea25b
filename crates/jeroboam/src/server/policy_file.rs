//! The operator's policy file: an object of rule names and texts in YAML, read
//! at the start and whenever it changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use flow::Tasks;
use notify::{RecursiveMode, Watcher as _};
use rest::policy::Policies;
use tokio::sync::Notify;

/// Delay between the notification of a change and reading the file, because programs
/// write a file in several steps: an editor, for example, empties it first.
const SETTLE: Duration = Duration::from_millis(300);

/// Reads a file of overrides.
pub fn read(path: &Path) -> Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("policy: {} cannot be read", path.display()))?;
    if text
        .lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
    {
        return Ok(BTreeMap::new());
    }
    serde_saphyr::from_str(&text).with_context(|| {
        format!(
            "policy: {} is not an object of rules, such as \"cluster:create\": \"role:member\"",
            path.display()
        )
    })
}

/// Applies a file of overrides, but not the rules that follow from the configuration.
pub fn apply(policies: &Policies, path: &Path) -> Result<()> {
    set(policies, read(path)?).with_context(|| format!("policy: {}", path.display()))
}

fn set(policies: &Policies, overrides: BTreeMap<String, String>) -> Result<()> {
    let done = policies.set_overrides(overrides);
    done.map_err(|e| anyhow::anyhow!(e.message))
}

/// Sources of the rules that replace defaults.
#[derive(Clone)]
pub struct PolicySource {
    pub policies: Arc<Policies>,
    /// Rules that follow from the configuration; the file replaces them.
    pub configured: BTreeMap<String, String>,
    pub file: Option<PathBuf>,
}

impl PolicySource {
    /// Applies configuration and file.
    pub fn apply(&self) -> Result<()> {
        let mut overrides = self.configured.clone();
        if let Some(path) = &self.file {
            overrides.extend(read(path)?);
        }
        let done = set(&self.policies, overrides);
        match &self.file {
            Some(path) => done.with_context(|| path.display().to_string()),
            None => done,
        }
    }

    /// Applies the file again whenever it changes, until the tasks stop. A file
    /// with an error leaves the rules as they are.
    pub fn follow(self, tasks: &Tasks) -> Result<()> {
        let Some(path) = self.file.clone() else {
            return Ok(());
        };
        let (watcher, changed) = watch(&path)?;
        let token = tasks.token();
        tasks.spawn("follow the policy file", async move {
            // The watcher stops when it is dropped.
            let _watcher = watcher;
            loop {
                tokio::select! {
                    biased;
                    () = token.cancelled() => return,
                    () = changed.notified() => {}
                }
                tokio::time::sleep(SETTLE).await;
                match self.apply() {
                    Ok(()) => tracing::info!(path = %path.display(), "policies were read again"),
                    Err(e) => {
                        let error = format!("{e:#}");
                        tracing::error!(
                            error,
                            "the policy file has an error; the current rules stay in effect"
                        );
                    }
                }
            }
        });
        Ok(())
    }
}

/// Watches the folder of a file. The notifier is signalled when the file may have
/// changed.
fn watch(path: &Path) -> Result<(notify::RecommendedWatcher, Arc<Notify>)> {
    let changed = Arc::new(Notify::new());
    let (signal, name) = (changed.clone(), path.file_name().map(ToOwned::to_owned));
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Files that are mounted into containers are links below `..data`, which
        // is exchanged as a whole.
        let is_relevant = |p: &PathBuf| {
            p.file_name() == name.as_deref() || p.file_name().is_some_and(|n| n == "..data")
        };
        let relevant = event.is_ok_and(|e| !e.kind.is_access() && e.paths.iter().any(is_relevant));
        if relevant {
            signal.notify_one();
        }
    })?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    watcher
        .watch(folder, RecursiveMode::NonRecursive)
        .with_context(|| format!("policy: {} cannot be watched", folder.display()))?;
    Ok((watcher, changed))
}
