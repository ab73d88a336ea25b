//! `jeroboam serve`.

use std::process::ExitCode;

use anyhow::Result;

use super::ServeArgs;
use crate::config::Config;
use crate::server;

pub async fn run(args: ServeArgs) -> Result<ExitCode> {
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
