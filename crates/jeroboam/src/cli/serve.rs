//! `jeroboam serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use rustix::fs::Mode;

use crate::config::Config;
use crate::server;

/// Arguments of `serve`; each overrides the file.
#[derive(Args)]
pub struct ServeArgs {
    /// Database file, keys and clouds.yaml [default: ~/.local/share/jeroboam].
    #[arg(long)]
    pub state_dir: Option<PathBuf>,
    /// Address of the API [default: 127.0.0.1:9511]; port 0 picks a free one.
    #[arg(long)]
    pub listen: Option<SocketAddr>,
    /// sqlite:PATH, postgres://… or mysql://… [default: SQLite in the state directory].
    /// Others can read the arguments of a process: a URL with a password belongs
    /// into the variable JEROBOAM_DATABASE or into a file.
    #[arg(long)]
    pub database: Option<String>,
    /// File whose first line is the URL of the database.
    #[arg(long, conflicts_with = "database")]
    pub database_file: Option<PathBuf>,
    /// TOML file; see the operator guide.
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Create the project `demo` with a user who may create clusters, and so become
    /// root on the host: for a machine that only you use.
    #[arg(long)]
    pub demo_project: bool,
}

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
