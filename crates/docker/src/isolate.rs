//! One firewall rule per network that keeps its traffic on this machine. The
//! one place that runs a program: the engine has no call for `DOCKER-USER`.

use kernel::{Error, Result};
use tokio::process::Command;

fn rule(device: &str) -> [&str; 7] {
    ["-i", device, "!", "-o", device, "-j", "REJECT"]
}

/// Inserts the rule unless it is there.
pub(crate) async fn on(device: &str) -> Result<()> {
    if run("-C", device).await?.is_ok() {
        return Ok(());
    }
    run("-I", device).await?.map_err(|why| failed(device, &why))
}

/// Deletes the rule, however often it is there.
pub(crate) async fn off(device: &str) -> Result<()> {
    while run("-C", device).await?.is_ok() {
        run("-D", device)
            .await?
            .map_err(|why| failed(device, &why))?;
    }
    Ok(())
}

/// Runs iptables; the inner error is what it says.
async fn run(verb: &str, device: &str) -> Result<std::result::Result<(), String>> {
    let out = Command::new("iptables")
        .args(["-w", verb, "DOCKER-USER"])
        .args(rule(device))
        .output()
        .await
        .map_err(|e| failed(device, &e.to_string()))?;
    if out.status.success() {
        return Ok(Ok(()));
    }
    Ok(Err(String::from_utf8_lossy(&out.stderr).trim().to_owned()))
}

fn failed(device: &str, why: &str) -> Error {
    Error::new(
        kernel::Kind::Internal,
        format!(
            "network device {device} could not be isolated: iptables: {why}; \
             install iptables and run as root, or switch isolation off"
        ),
    )
}
