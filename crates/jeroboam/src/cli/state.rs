//! Where the state of a server is: arguments that `serve` and `key` share.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args as ClapArgs;

use crate::config::{Config, has_password};
use crate::secret_file::private;

/// Each argument overrides the file.
#[derive(ClapArgs)]
pub struct StateArgs {
    /// Database file, keys and clouds.yaml [default: ~/.local/share/jeroboam].
    #[arg(long)]
    pub state_dir: Option<PathBuf>,
    /// sqlite:PATH, postgres://… or mysql://… [default: SQLite in the state directory].
    /// Others can read the arguments of a process: put a URL with a password into the
    /// variable JEROBOAM_DATABASE or into a file.
    #[arg(long)]
    pub database: Option<String>,
    /// File whose first line is the URL of the database; a URL with a password
    /// needs a file that only its owner can read.
    #[arg(long, conflicts_with = "database")]
    pub database_file: Option<PathBuf>,
    /// TOML file; see the operator guide.
    #[arg(long)]
    pub config: Option<PathBuf>,
}

impl StateArgs {
    /// The configuration by the file and these arguments.
    pub fn config(&self) -> Result<Config> {
        let mut config = match &self.config {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        if let Some(url) = self.database()? {
            config.database = Some(url);
        }
        if let Some(dir) = &self.state_dir {
            config.state_dir.clone_from(dir);
        }
        Ok(config)
    }

    /// The URL of the database by a flag, or else by the environment.
    fn database(&self) -> Result<Option<String>> {
        if self.database.is_some() {
            return Ok(self.database.clone());
        }
        let Some(path) = &self.database_file else {
            let url = std::env::var("JEROBOAM_DATABASE").unwrap_or_default();
            return Ok((!url.is_empty()).then_some(url));
        };
        read_url(path).map(Some)
    }
}

fn read_url(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("database-file: {} cannot be read", path.display()))?;
    let url = text.lines().next().unwrap_or_default().trim();
    if url.is_empty() {
        let path = path.display();
        bail!("database-file: {path} has no URL in its first line");
    }
    if has_password(url) {
        private("database-file", path)?;
    }
    Ok(url.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_with_a_password_is_private() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let path = dir.path().join("url");
        for (url, mode, accepted) in [
            ("postgres://db/j", 0o644, true),
            ("postgres://a:b@db/j", 0o600, true),
            ("postgres://a:b@db/j", 0o640, false),
        ] {
            std::fs::write(&path, url).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(read_url(&path).is_ok(), accepted, "{url} {mode:o}");
        }
        let e = read_url(&path).unwrap_err().to_string();
        assert!(e.starts_with("database-file: others can read"), "{e}");
    }
}
