//! The balancer in front of the API servers of several masters: HAProxy, whose
//! list of servers follows the peers. Its container is not a node of the
//! cluster: it has no kubelet and no key, only the CA to verify the API
//! servers.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use kernel::{Error, Result};
use nodewire::Welcome;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

use super::config_file::{File, write_all};
use super::masters::masters;
use super::node::Node;
use super::plan::{Component, Member};
use crate::boot::Never;
use crate::prepare;
use crate::report::{log_line, plain};

const CONFIG: &str = "/etc/haproxy/jeroboam.cfg";
const CA: &str = "/etc/haproxy/ca.crt";
/// Socket that answers `show stat`.
const STATISTICS: &str = "/run/haproxy-statistics.sock";
/// Socket of the master process, which survives reloads.
const MASTER: &str = "/run/haproxy-master.sock";
const SERVERS_UP_TIMEOUT: Duration = Duration::from_secs(30);
/// Longer than masters take to start their API servers.
const API_TIMEOUT: Duration = Duration::from_secs(300);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
const RETRY: Duration = Duration::from_secs(1);

/// The configuration of HAProxy. Two failed checks, half a second apart, remove a
/// server and close its connections; otherwise a watch of a master that is down
/// would hang for an hour. A reload starts a new process. The connections of the
/// old process are not checked any more and are closed after half a minute.
fn config(port: u16, masters: &[Member]) -> String {
    let mut out = format!(
        "global
  maxconn 8000
  user haproxy
  group haproxy
  hard-stop-after 30s
  stats socket {STATISTICS} mode 600 level user

defaults
  mode tcp
  timeout connect 1s
  timeout client 1h
  timeout server 1h
  timeout check 1s
  retries 3
  option redispatch 1
  option clitcpka
  option srvtcpka

frontend api
  bind :{port}
  default_backend masters

backend masters
  balance roundrobin
  option httpchk GET /readyz
  default-server check check-ssl verify required ca-file {CA} verifyhost kubernetes inter 500ms \
fall 2 rise 1 on-marked-down shutdown-sessions
"
    );
    for master in masters {
        let _ = writeln!(out, "  server {} {}:{port}", master.name, master.address);
    }
    out
}

fn arguments() -> Vec<String> {
    // HAProxy runs in the foreground, with a master process that can reload the
    // configuration.
    ["-W", "-db", "-S", MASTER, "-f", CONFIG]
        .map(str::to_owned)
        .to_vec()
}

impl Node<'_> {
    /// Runs a balancer after the welcome, following the masters.
    pub(super) async fn balance(&self, welcome: &Welcome) -> Result<Never> {
        let (boot, reporter) = (self.boot, &self.boot.reporter);
        let missing = |what: &str| Error::internal(format!("the server sent no {what}"));
        let plan = welcome.kubernetes.as_ref();
        let plan = plan.ok_or_else(|| missing("plan for Kubernetes"))?;
        let ca = plan.ca.clone().ok_or_else(|| missing("CA"))?;
        reporter
            .run("prepare", async {
                prepare::prepare(&boot.seed.node)?;
                write_all(&[file(CA, ca)])
            })
            .await?;
        let mut peers = self.peers.subscribe();
        let all = self.all_masters(plan.masters, |_| true);
        let mut before = config(plan.api_port, &reporter.run("peers", all).await?);
        write_all(&[file(CONFIG, before.clone())])?;
        self.supervisor.start(Component::Haproxy, arguments());
        let local = (Ipv4Addr::LOCALHOST, plan.api_port).into();
        let up = self
            .supervisor
            .answers(Component::Haproxy, local, SERVERS_UP_TIMEOUT);
        reporter.run("balancer", up).await?;
        let wanted = if boot.session.ready { 1 } else { plan.masters };
        reporter.run("api", self.servers_up(wanted)).await?;
        boot.ready(&boot.seed.node).await?;
        loop {
            let known = peers.borrow_and_update().as_ref().map(masters);
            let now = known
                .filter(|all| !all.is_empty())
                .map(|all| config(plan.api_port, &all));
            if let Some(now) = now.filter(|now| *now != before) {
                log_line("the masters have changed");
                write_all(&[file(CONFIG, now.clone())])?;
                match ask(MASTER, "reload").await {
                    Ok(_) => before = now,
                    Err(e) => {
                        // HAProxy may be restarting.
                        log_line(format_args!("reload: {}", plain(&e)));
                        sleep(RETRY).await;
                        continue;
                    }
                }
            }
            if peers.changed().await.is_err() {
                return Err(Error::internal("the peer updates have ended"));
            }
        }
    }

    /// Waits until the checks of this many API servers succeed.
    async fn servers_up(&self, wanted: u32) -> Result<()> {
        let until = Instant::now() + self.supervisor.step_timeout(API_TIMEOUT);
        loop {
            let words = match ask(STATISTICS, "show stat").await {
                Ok(table) => {
                    let states = states(&table);
                    let up = states.iter().filter(|(_, state)| state == "UP").count();
                    if up >= wanted as usize {
                        return Ok(());
                    }
                    let each: Vec<String> = states
                        .iter()
                        .map(|(n, state)| format!("{n} {state}"))
                        .collect();
                    each.join(", ")
                }
                Err(e) => plain(&e),
            };
            if Instant::now() >= until {
                let why = format!("fewer than {wanted} API servers are up: {words}");
                return Err(self.supervisor.component_error(Component::Haproxy, &why));
            }
            sleep(POLL_INTERVAL).await;
        }
    }
}

fn file(path: &str, content: String) -> File {
    File {
        path: path.into(),
        content,
    }
}

/// Name and state of each master's server in HAProxy's statistics, which are CSV
/// whose first line names the columns.
fn states(table: &str) -> Vec<(String, String)> {
    let mut lines = table.lines().map(|line| line.trim_start_matches("# "));
    let names: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let column = |name: &str| names.iter().position(|n| *n == name);
    let (Some(group), Some(server), Some(state)) =
        (column("pxname"), column("svname"), column("status"))
    else {
        return Vec::new();
    };
    lines
        .map(|line| line.split(',').collect::<Vec<_>>())
        .filter(|row| row.get(group) == Some(&"masters"))
        .filter_map(|row| Some((row.get(server)?.to_string(), row.get(state)?.to_string())))
        .filter(|(name, _)| name != "BACKEND")
        .collect()
}

/// Sends one command to a socket of HAProxy and returns the answer.
async fn ask(socket: &str, command: &str) -> Result<String> {
    let failed = |e: std::io::Error| Error::unavailable(format!("{socket}: {e}"));
    let work = async {
        let mut stream = UnixStream::connect(Path::new(socket)).await?;
        stream.write_all(format!("{command}\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.take(1 << 20).read_to_string(&mut answer).await?;
        Ok(answer)
    };
    timeout(Duration::from_secs(5), work)
        .await
        .map_err(|_| Error::timeout(format!("{socket}: no answer to '{command}' in 5 s")))?
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_master_is_checked_and_the_table_is_read() {
        let all: Vec<Member> = (0..2)
            .map(|i| Member {
                name: format!("k-master-{i}"),
                address: format!("10.0.0.{}", 5 + i),
            })
            .collect();
        let text = config(7443, &all);
        for line in [
            "  bind :7443\n",
            "  server k-master-0 10.0.0.5:7443\n",
            "  server k-master-1 10.0.0.6:7443\n",
            "  option httpchk GET /readyz\n",
            " inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        let table = "# pxname,svname,qcur,status,weight,\napi,FRONTEND,,OPEN,,\n\
                     masters,k-master-0,0,UP,1,\nmasters,k-master-1,0,DOWN,1,\n\
                     masters,BACKEND,0,UP,1,\n\n";
        let read: Vec<String> = states(table)
            .iter()
            .map(|(n, s)| format!("{n} {s}"))
            .collect();
        assert_eq!(read, ["k-master-0 UP", "k-master-1 DOWN"]);
    }
}
