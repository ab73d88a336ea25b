//! `jeroboam serve`.

use std::process::ExitCode;

use anyhow::Result;
use rustix::fs::Mode;

use super::ServeArgs;
use crate::server;

pub async fn run(args: ServeArgs) -> Result<ExitCode> {
    // Whatever the server writes, others on this machine must not read it.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let mut config = args.state.config()?;
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
