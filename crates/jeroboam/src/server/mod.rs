//! The server process: state directory, wiring, listeners, graceful stop.

mod bootstrap;
mod connections;
pub mod database;
mod descriptors;
mod images;
pub mod installation;
pub mod native;
pub mod policy_file;
pub mod reseal;
mod sealing;
pub mod state_dir;
mod wiring;

use std::time::Duration;

use anyhow::{Context as _, Result};
use flow::Tasks;

use crate::config::Config;
use state_dir::StateDir;

/// Runs until SIGTERM or SIGINT.
pub async fn run(mut config: Config) -> Result<()> {
    let state = StateDir::open(&config)?;
    let listener = rest::bind(config.listen, false).with_context(|| {
        format!(
            "listen: {} cannot be bound; is another server running? Choose one with --listen",
            config.listen
        )
    })?;
    config.listen = listener.local_addr()?;
    let tasks = Tasks::default();
    let server = wiring::wire(&config, &state, &tasks).await?;
    let api = {
        let token = tasks.token();
        let (connections, router) = (server.connections, server.router);
        #[expect(clippy::disallowed_methods, reason = "the handle is awaited")]
        tokio::spawn(async move { connections.serve(listener, router, token).await })
    };
    server.driver.start(&tasks);
    // All services are started: authenticated lists are answered from now on.
    println!("ready: http://{}", config.listen);
    stop_signal().await?;
    tracing::info!("stopping");
    tasks.stop(Duration::from_secs(10)).await;
    let _ = tokio::time::timeout(Duration::from_secs(5), api).await;
    Ok(())
}

async fn stop_signal() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    tokio::select! {
        biased;
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}
