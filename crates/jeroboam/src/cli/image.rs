//! `jeroboam image build`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use reqwest::Method;
use tokio::io::AsyncWriteExt as _;

use super::client::Api;

/// The recipe travels in the binary: nothing but the binary and the agent
/// beside it has to be installed.
const SWARM_RECIPE: &str = include_str!("../../../../images/swarm/build.sh");

pub async fn build(cloud: Option<&str>, coe: &str, force: bool) -> Result<ExitCode> {
    let agent = agent()?;
    let tag = format!("jeroboam/{coe}:latest");
    println!("building {tag} with {}", agent.display());
    let mut child = tokio::process::Command::new("sh")
        .args(["-s"])
        .env("AGENT", &agent)
        .env("TAG", &tag)
        .env("FORCE", if force { "1" } else { "" })
        .stdin(Stdio::piped())
        .spawn()
        .context("sh does not start")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(SWARM_RECIPE.as_bytes()).await?;
    }
    let status = child.wait().await?;
    if !status.success() {
        bail!("the image was not built ({status}); `jeroboam doctor` says what is missing");
    }
    // A running server looks again; one that starts later looks by itself.
    match Api::connect(cloud).await {
        Ok(api) => {
            api.own(Method::POST, "/images/refresh", None).await?;
            println!("{tag} is built and registered as image '{coe}'");
        }
        Err(_) => println!("{tag} is built; a server registers it as image '{coe}' when it starts"),
    }
    Ok(ExitCode::SUCCESS)
}

/// The node agent lies beside this binary.
fn agent() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let agent = here.with_file_name("jeroboam-node");
    if !agent.is_file() {
        bail!(
            "the node agent {} is missing; build it with `./x build`",
            agent.display()
        );
    }
    Ok(agent)
}
