//! The inner engine, or another service that a node is built on, as a child:
//! started, watched, started again, stopped.

use std::collections::VecDeque;
use std::io::Write as _;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kernel::{Error, Result};
use nodewire::StepStatus;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::report::{Reporter, say};

/// Lines of the engine's own log that a failure report quotes.
const TAIL: usize = 40;
const RESTART_PAUSE: Duration = Duration::from_secs(1);
/// Below `StopTimeout` (30 s) of node containers: what is left then is
/// killed by us and not by the outer engine.
const STOP_LIMIT: Duration = Duration::from_secs(25);

/// The last lines that the engine wrote.
#[derive(Clone, Default)]
pub(crate) struct Tail {
    lines: Arc<Mutex<VecDeque<String>>>,
}

impl Tail {
    pub(crate) fn push(&self, line: String) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == TAIL {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    pub(crate) fn text(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().cloned().collect::<Vec<_>>().join("\n")
    }
}

/// What is run.
pub(crate) struct Service {
    pub program: String,
    pub arguments: Vec<String>,
    /// Added to our own environment; may hold secrets.
    pub env: Vec<(String, String)>,
    /// The step that is reported when it ends.
    pub step: &'static str,
}

impl Service {
    /// The inner Docker engine.
    pub(crate) fn dockerd() -> Self {
        Self {
            program: "dockerd".into(),
            // Only the socket: TLS ends in this agent.
            arguments: ["--host=unix:///var/run/docker.sock", "--log-level=warn"]
                .map(str::to_owned)
                .to_vec(),
            env: Vec::new(),
            step: "engine",
        }
    }

    /// The program's name, for people.
    fn name(&self) -> &str {
        self.program.rsplit('/').next().unwrap_or(&self.program)
    }
}

/// Runs a service until `stop` turns true; a death in between is reported and
/// followed by a new start one second later.
///
/// # Errors
/// Internal: the program cannot be started at all.
pub(crate) async fn run(
    service: &Service,
    reporter: &Reporter,
    tail: &Tail,
    mut stop: watch::Receiver<bool>,
) -> Result<()> {
    loop {
        if *stop.borrow() {
            return Ok(());
        }
        let mut child = start(service)?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let ended = async {
            let echo = async { tokio::join!(copy(out, tail), copy(err, tail)) };
            // The pipes may stay open in containerd's hands after dockerd
            // died: its exit decides, not their end.
            tokio::pin!(echo);
            tokio::select! {
                status = child.wait() => status,
                _ = &mut echo => child.wait().await,
            }
        };
        let status = tokio::select! {
            status = ended => status.map_err(Error::internal)?,
            _ = stop.wait_for(|now| *now) => {
                return end(service.name(), &mut child).await;
            }
        };
        reporter.step(
            service.step,
            StepStatus::Retrying,
            format!(
                "{} ended: {}\n{}",
                service.name(),
                words(status),
                tail.text()
            ),
        );
        tokio::select! {
            () = sleep(RESTART_PAUSE) => {}
            _ = stop.wait_for(|now| *now) => return Ok(()),
        }
    }
}

fn start(service: &Service) -> Result<Child> {
    Command::new(&service.program)
        .args(&service.arguments)
        .envs(service.env.iter().map(|(k, v)| (k, v)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A signal to our process group is ours to pass on in order.
        .process_group(0)
        .spawn()
        .map_err(|e| Error::internal(format!("starting {}: {e}", service.program)))
}

async fn copy(pipe: Option<impl AsyncRead + Unpin>, tail: &Tail) {
    let Some(pipe) = pipe else { return };
    let mut lines = BufReader::new(pipe).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let _ = writeln!(std::io::stderr(), "{line}");
        tail.push(line);
    }
}

fn words(status: ExitStatus) -> String {
    status.to_string()
}

/// Lets the service end its containers; kills it when that takes too long.
async fn end(name: &str, child: &mut Child) -> Result<()> {
    let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) else {
        return Ok(());
    };
    say(format_args!("stopping {name}"));
    let _ = kill_process(pid, Signal::TERM);
    if timeout(STOP_LIMIT, child.wait()).await.is_err() {
        say(format_args!("{name} did not stop in 25 s: killing it"));
        child.kill().await.map_err(Error::internal)?;
    }
    Ok(())
}
