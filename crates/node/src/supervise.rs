//! Supervises the nested engine, or another service of a node, as a child:
//! starts, watches, restarts and stops it.

use std::collections::VecDeque;
use std::io::Write as _;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kernel::{Error, Result};
use nodewire::StepStatus;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncRead;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::lines::each_line;
use crate::report::{Reporter, log_line};

/// Number of log lines that a failure report quotes.
const TAIL: usize = 40;
const RESTART_PAUSE: Duration = Duration::from_secs(1);
/// Less than the `StopTimeout` of node containers (30 s), so that the agent kills
/// remaining processes before the outer engine does.
const STOP_LIMIT: Duration = Duration::from_secs(25);

/// The last lines of output.
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

/// A program that is run as a child.
pub(crate) struct Service {
    /// Path or name of the program.
    pub program: String,
    pub arguments: Vec<String>,
    /// Variables that are added to the environment of the agent; they may contain
    /// secrets.
    pub env: Vec<(String, String)>,
    /// The step that is reported at an exit.
    pub step: &'static str,
}

impl Service {
    /// The nested Docker engine.
    pub(crate) fn dockerd() -> Self {
        Self {
            program: "dockerd".into(),
            // The engine listens only on the socket, because the agent terminates
            // TLS.
            arguments: ["--host=unix:///var/run/docker.sock", "--log-level=warn"]
                .map(str::to_owned)
                .to_vec(),
            env: Vec::new(),
            step: "engine",
        }
    }

    /// The name of the program, for display.
    fn name(&self) -> &str {
        self.program.rsplit('/').next().unwrap_or(&self.program)
    }
}

/// Runs a service until `stop` is true; an unexpected exit is reported and
/// followed by a restart one second later.
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
            // This waits for the exit instead of the end of the pipes, because
            // containerd may keep the pipes open after the exit of dockerd.
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
                describe_exit(status),
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
        // Signals to our process group are forwarded by us, in order.
        .process_group(0)
        .spawn()
        .map_err(|e| Error::internal(format!("starting {}: {e}", service.program)))
}

async fn copy(pipe: Option<impl AsyncRead + Unpin>, tail: &Tail) {
    let Some(pipe) = pipe else { return };
    each_line(pipe, |line| {
        let _ = writeln!(std::io::stderr(), "{line}");
        tail.push(line);
    })
    .await;
}

fn describe_exit(status: ExitStatus) -> String {
    status.to_string()
}

/// Stops the service, which stops its containers; kills it after a timeout.
async fn end(name: &str, child: &mut Child) -> Result<()> {
    let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) else {
        return Ok(());
    };
    log_line(format_args!("stopping {name}"));
    let _ = kill_process(pid, Signal::TERM);
    if timeout(STOP_LIMIT, child.wait()).await.is_err() {
        log_line(format_args!("{name} did not stop in 25 s: killing it"));
        child.kill().await.map_err(Error::internal)?;
    }
    Ok(())
}
