//! Firewall rules of this node, by which only the agent connects to the bootstrap
//! listener: pods and inner containers have no use for it. The agent's connections have a
//! mark, which processes without `CAP_NET_ADMIN` and `CAP_NET_RAW` in the node's network
//! namespace cannot set. Packets from other network namespaces lose their marks. Root in the node can
//! remove the rules.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;

use kernel::{Error, Result};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::http::MARK;
use crate::kube::network::run;

const CHAIN: &str = "JEROBOAM-SERVER";

/// Installs the rules, unless they exist. A network namespace lasts as long as its
/// container runs, so every start of a container needs them again.
///
/// # Errors
/// Internal: iptables refuses, or the agent may not mark its packets, in which case the
/// rules would affect it as well.
pub(crate) async fn install(server: SocketAddr) -> Result<()> {
    let SocketAddr::V4(server) = server else {
        return Ok(());
    };
    let probe = tokio::net::TcpSocket::new_v4().map_err(Error::internal)?;
    socket2::SockRef::from(&probe)
        .set_mark(MARK)
        .map_err(|e| Error::internal(format!("marking packets: {e}")))?;
    let jump = ["-w", "-t", "mangle", "-C", "POSTROUTING", "-j", CHAIN];
    if run("iptables", &jump).await.is_ok() {
        return Ok(());
    }
    restore(&script(*server.ip(), server.port())).await
}

/// The script for iptables-restore. The rule in `mangle` decides: it sees each packet that
/// leaves the node, after the translation of service addresses, and no rule of another
/// program accepts packets before it. Those in `filter` only answer the sender, which
/// would wait otherwise. Only the first packet of a connection has to have the mark,
/// because the kernel sends resets without one.
fn script(server: Ipv4Addr, port: u16) -> String {
    let server = format!("-d {server}/32 -p tcp -m tcp --dport {port}");
    let others = format!("{server} --syn -m mark ! --mark {MARK:#x}");
    let reject = "-j REJECT --reject-with tcp-reset";
    format!(
        "*mangle\n\
         :{CHAIN} - [0:0]\n\
         -A {CHAIN} {others} -j DROP\n\
         -I POSTROUTING 1 -j {CHAIN}\n\
         COMMIT\n\
         *filter\n\
         -I FORWARD 1 {server} {reject}\n\
         -I OUTPUT 1 {others} {reject}\n\
         COMMIT\n"
    )
}

async fn restore(script: &str) -> Result<()> {
    let failed = |why: String| Error::internal(format!("iptables-restore: {why}"));
    let mut child = Command::new("iptables-restore")
        .args(["-w", "--noflush"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| failed(e.to_string()))?;
    if let Some(mut input) = child.stdin.take() {
        // If the program has ended already, its output says why.
        let _ = input.write_all(script.as_bytes()).await;
    }
    let done = child.wait_with_output().await;
    let done = done.map_err(|e| failed(e.to_string()))?;
    if !done.status.success() {
        let stderr = String::from_utf8_lossy(&done.stderr);
        return Err(failed(format!("{}: {}", done.status, stderr.trim())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_marked_packets_leave_to_the_server() {
        assert_eq!(
            script(Ipv4Addr::new(172, 30, 0, 1), 9512),
            "*mangle\n\
             :JEROBOAM-SERVER - [0:0]\n\
             -A JEROBOAM-SERVER -d 172.30.0.1/32 -p tcp -m tcp --dport 9512 --syn \
             -m mark ! --mark 0x4a420000 -j DROP\n\
             -I POSTROUTING 1 -j JEROBOAM-SERVER\n\
             COMMIT\n\
             *filter\n\
             -I FORWARD 1 -d 172.30.0.1/32 -p tcp -m tcp --dport 9512 \
             -j REJECT --reject-with tcp-reset\n\
             -I OUTPUT 1 -d 172.30.0.1/32 -p tcp -m tcp --dport 9512 --syn \
             -m mark ! --mark 0x4a420000 -j REJECT --reject-with tcp-reset\n\
             COMMIT\n"
        );
        // kube-proxy and the plug-in portmap use these bits.
        assert_eq!(MARK & 0xffff, 0);
    }
}
