//! `jeroboam serve`.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use rustix::fs::Mode;

use super::ServeArgs;
use crate::config::Config;
use crate::server;

pub async fn run(args: ServeArgs) -> Result<ExitCode> {
    // Whatever the server writes, others on this machine must not read it.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let mut config = match &args.config {
        Some(path) => Config::read(path)?,
        None => Config::default(),
    };
    if let Some(dir) = args.state_dir {
        config.state_dir = dir;
    }
    if let Some(listen) = args.listen {
        config.listen = listen;
    }
    if let Some(database) = args.database {
        config.database = Some(database);
    }
    if let Some(path) = args.database_file {
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("database-file: {} cannot be read", path.display()))?;
        let url = text.lines().next().unwrap_or_default().trim();
        if url.is_empty() {
            bail!(
                "database-file: {} has no URL in its first line",
                path.display()
            );
        }
        config.database = Some(url.to_owned());
    }
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,sqlx=warn")),
        )
        .with_writer(std::io::stderr)
        .init();
    server::run(config).await?;
    Ok(ExitCode::SUCCESS)
}
