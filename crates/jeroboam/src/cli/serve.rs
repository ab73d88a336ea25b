//! `jeroboam serve`.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use rustix::fs::Mode;

use super::state::StateArgs;
use crate::config::Projects;
use crate::server;

/// Arguments of `serve`; each overrides the file.
#[derive(Args)]
pub struct ServeArgs {
    #[command(flatten)]
    pub state: StateArgs,
    /// Address of the API [default: 127.0.0.1:9511]; port 0 picks a free one.
    #[arg(long)]
    pub listen: Option<SocketAddr>,
    /// Create the project `demo` with a user who may create clusters: for a machine
    /// that only you use.
    #[arg(long)]
    pub demo_project: bool,
    /// Let every project create clusters of the isolation level host-root, whose
    /// users can become root on the host; as `clusters.isolation.host_root = "all"`.
    #[arg(long)]
    pub allow_host_root: bool,
}

pub async fn run(args: ServeArgs) -> Result<ExitCode> {
    // Other users of this machine must not be able to read the server's files.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let mut config = args.state.config()?;
    if let Some(listen) = args.listen {
        config.listen = listen;
    }
    config.demo_project |= args.demo_project;
    if args.allow_host_root {
        config.clusters.isolation.host_root = Projects::All;
    }
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,sqlx=warn")),
        )
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    server::run(config).await?;
    Ok(ExitCode::SUCCESS)
}
