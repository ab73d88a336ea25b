//! One firewall rule per network that keeps its traffic on this machine. The rule
//! is set by running iptables, because the engine has no API for the chain
//! `DOCKER-USER`.

use kernel::{Error, Result};
use tokio::process::Command;

fn rule(device: &str) -> [&str; 7] {
    ["-i", device, "!", "-o", device, "-j", "REJECT"]
}

/// Inserts the rule if it is missing.
pub(crate) async fn add_rule(device: &str) -> Result<()> {
    if run("-C", device).await?.is_ok() {
        return Ok(());
    }
    run("-I", device).await?.map_err(|why| failed(device, &why))
}

/// Inserts missing rules of these devices. The chain is read once, because most
/// rules exist.
pub(crate) async fn restore(devices: &[&str]) -> Result<()> {
    let Some(first) = devices.first() else {
        return Ok(());
    };
    let out = Command::new("iptables")
        .args(["-w", "-S", "DOCKER-USER"])
        .output()
        .await
        .map_err(|e| failed(first, &e.to_string()))?;
    if !out.status.success() {
        return Err(failed(first, String::from_utf8_lossy(&out.stderr).trim()));
    }
    let chain = String::from_utf8_lossy(&out.stdout).into_owned();
    for device in missing(&chain, devices) {
        add_rule(device).await?;
    }
    Ok(())
}

/// The devices without a rule in the output of iptables.
fn missing<'a>(chain: &str, devices: &[&'a str]) -> Vec<&'a str> {
    let has = |device: &str| {
        let part = format!("-i {device} ! -o {device} -j REJECT");
        // iptables prints the negation before or after the name of the option.
        let other = format!("-i {device} -o ! {device} -j REJECT");
        chain
            .lines()
            .any(|line| line.contains(&part) || line.contains(&other))
    };
    devices.iter().copied().filter(|d| !has(d)).collect()
}

/// Deletes all copies of the rule.
pub(crate) async fn remove_rule(device: &str) -> Result<()> {
    while run("-C", device).await?.is_ok() {
        run("-D", device)
            .await?
            .map_err(|why| failed(device, &why))?;
    }
    Ok(())
}

/// Runs iptables; the inner error is its output.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_inserted() {
        let chain = "-N DOCKER-USER\n\
            -A DOCKER-USER -i br-a ! -o br-a -j REJECT --reject-with icmp-port-unreachable\n\
            -A DOCKER-USER -j RETURN\n";
        assert_eq!(missing(chain, &["br-a", "br-b", "br"]), ["br-b", "br"]);
        assert_eq!(missing("", &["br-a"]), ["br-a"]);
    }
}
