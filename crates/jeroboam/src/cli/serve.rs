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
    if let Some(url) = database(&args)? {
        config.database = Some(url);
    }
    if let Some(dir) = args.state_dir {
        config.state_dir = dir;
    }
    if let Some(listen) = args.listen {
        config.listen = listen;
    }
    config.demo_project |= args.demo_project;
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

/// The URL of the database by a flag, or else by the environment.
fn database(args: &ServeArgs) -> Result<Option<String>> {
    if args.database.is_some() {
        return Ok(args.database.clone());
    }
    let Some(path) = &args.database_file else {
        let url = std::env::var("JEROBOAM_DATABASE").unwrap_or_default();
        return Ok((!url.is_empty()).then_some(url));
    };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("database-file: {} cannot be read", path.display()))?;
    let url = text.lines().next().unwrap_or_default().trim();
    if url.is_empty() {
        let path = path.display();
        bail!("database-file: {path} has no URL in its first line");
    }
    Ok(Some(url.to_owned()))
}
