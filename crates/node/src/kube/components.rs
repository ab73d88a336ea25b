//! Supervises the components, which are plain processes: starts them, restarts them one
//! second after an exit, and stops them in order. One event log records every start and
//! exit. The output of a component is written to a file, and reports contain its end.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::FusedFuture as _;
use kernel::{Error, Result};
use nodewire::StepStatus;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncRead;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::logs::{EventLog, LogFile, last};
use super::plan::Component;
use crate::lines::each_line;
use crate::report::{Reporter, log_line};
use crate::supervise::Tail;

const RESTART_PAUSE: Duration = Duration::from_secs(1);
/// Number of exits during a wait after which a component has failed.
const MAX_EXITS: u32 = 5;
const EXITS_REPEATEDLY: &str = "it ends again and again";
/// Time to read the remaining output of a component that has exited.
const OUTPUT_TIMEOUT: Duration = Duration::from_millis(50);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// The components in the order in which they are stopped, with the time limit of
/// each wave. All waves must take less than the 8 s that the outer engine allows.
const WAVES: [(&[Component], Duration); 5] = [
    (
        &[Component::Kubelet, Component::Haproxy],
        Duration::from_millis(1000),
    ),
    (
        &[
            Component::Proxy,
            Component::ControllerManager,
            Component::Scheduler,
        ],
        Duration::from_millis(1000),
    ),
    (&[Component::Apiserver], Duration::from_millis(2800)),
    (&[Component::Etcd], Duration::from_millis(2000)),
    (&[Component::Containerd], Duration::from_millis(1000)),
];

/// Longer than any outage: one month.
const ENDLESS: Duration = Duration::from_secs(30 * 24 * 3600);

/// Whether a port accepts connections.
pub(crate) async fn is_open(at: impl tokio::net::ToSocketAddrs) -> bool {
    matches!(
        timeout(Duration::from_secs(1), TcpStream::connect(at)).await,
        Ok(Ok(_))
    )
}

fn wave_of(component: Component) -> usize {
    WAVES
        .iter()
        .position(|(all, _)| all.contains(&component))
        .unwrap_or(0)
}

/// State of one component.
#[derive(Default)]
struct Record {
    tail: Tail,
    exits: u32,
    /// Description of its last exit.
    end: String,
    started: bool,
    /// Notified to restart it.
    restart: Arc<Notify>,
}

type Records = Arc<Mutex<HashMap<Component, Record>>>;

/// Handle to start components and to query their state. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Supervisor {
    starts: mpsc::UnboundedSender<(Component, Vec<String>)>,
    records: Records,
    /// Whether to wait without a limit, because the node was ready before.
    persistent: bool,
}

/// Creates a supervisor and the runner of its processes, with the log files in `logs`.
pub(crate) fn supervisor(
    reporter: Reporter,
    logs: &Path,
    persistent: bool,
) -> (Supervisor, Runner) {
    let (starts, receiver) = mpsc::unbounded_channel();
    let records = Records::default();
    let runner = Runner {
        receiver,
        reporter,
        records: records.clone(),
        events: EventLog::new(logs),
    };
    let supervisor = Supervisor {
        starts,
        records,
        persistent,
    };
    (supervisor, runner)
}

impl Supervisor {
    /// Starts a component and keeps it running. A second call has no effect.
    pub(crate) fn start(&self, component: Component, arguments: Vec<String>) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let record = records.entry(component).or_default();
        if !std::mem::replace(&mut record.started, true) {
            let _ = self.starts.send((component, arguments));
        }
    }

    /// Restarts a component, if it was started. This does not count as a
    /// failure.
    pub(crate) fn restart(&self, component: Component) {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = records.get(&component).filter(|r| r.started) {
            record.restart.notify_one();
        }
    }

    /// Timeout of a step: unlimited for a node that was ready before.
    pub(crate) fn step_timeout(&self, first_boot: Duration) -> Duration {
        if self.persistent { ENDLESS } else { first_boot }
    }

    /// The number of exits, and the end of its output.
    fn record(&self, component: Component) -> (u32, String) {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records
            .get(&component)
            .map(|r| (r.exits, r.tail.text()))
            .unwrap_or_default()
    }

    /// An error with the reason `why` and the last lines of the component.
    pub(crate) fn component_error(&self, component: Component, why: &str) -> Error {
        let (exits, tail) = self.record(component);
        let name = component.name();
        let end = {
            let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
            let end = records.get(&component).map(|r| r.end.as_str());
            end.filter(|e| !e.is_empty())
                .map(|e| format!(", the last time with {e}"))
        };
        let end = end.unwrap_or_default();
        Error::timeout(format!(
            "{name}: {why}; it ended {exits} times{end}; its last lines:\n{}",
            last(&tail)
        ))
    }

    /// Returns when a component has exited `MAX_EXITS` times since the call. In a
    /// node that was ready before, it never returns.
    pub(crate) async fn wait_until_failed(&self, component: Component) -> Error {
        let before = self.record(component).0;
        while self.persistent || self.record(component).0 - before < MAX_EXITS {
            sleep(POLL_INTERVAL).await;
        }
        self.component_error(component, EXITS_REPEATEDLY)
    }

    /// Waits until the port of a component is open.
    ///
    /// # Errors
    /// Timeout, with its last lines; also if it exited too often.
    pub(crate) async fn answers(
        &self,
        component: Component,
        at: SocketAddr,
        time_limit: Duration,
    ) -> Result<()> {
        let check = async || is_open(at).await;
        self.until(component, &format!("port {}", at.port()), time_limit, check)
            .await
    }

    /// Waits until `check` succeeds for a component; `what` names it in the error.
    ///
    /// # Errors
    /// Same errors as `answers`.
    pub(crate) async fn until(
        &self,
        component: Component,
        what: &str,
        time_limit: Duration,
        check: impl AsyncFn() -> bool,
    ) -> Result<()> {
        let end = Instant::now() + self.step_timeout(time_limit);
        let before = self.record(component).0;
        while !check().await {
            if !self.persistent && self.record(component).0 - before >= MAX_EXITS {
                return Err(self.component_error(component, EXITS_REPEATEDLY));
            }
            if Instant::now() >= end {
                let why = format!("{what} did not answer within {} s", time_limit.as_secs());
                return Err(self.component_error(component, &why));
            }
            sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }
}

/// The processes, which run only while this is polled.
pub(crate) struct Runner {
    receiver: mpsc::UnboundedReceiver<(Component, Vec<String>)>,
    reporter: Reporter,
    records: Records,
    events: EventLog,
}

impl Runner {
    /// Runs requested components until `stop` is true, then stops all in order
    /// of dependency.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let (level, levels) = watch::channel(0usize);
        let mut waves: Vec<JoinSet<()>> = WAVES.iter().map(|_| JoinSet::new()).collect();
        loop {
            tokio::select! {
                biased;
                _ = stop.wait_for(|now| *now) => break,
                start = self.receiver.recv() => {
                    // The channel stays open, because the node keeps a sender.
                    let Some((component, arguments)) = start else { break };
                    let process = ComponentProcess {
                        component,
                        arguments,
                        reporter: self.reporter.clone(),
                        records: self.records.clone(),
                        events: self.events.clone(),
                    };
                    if let Some(wave) = waves.get_mut(wave_of(component)) {
                        wave.spawn(process.run(levels.clone()));
                    }
                }
            }
        }
        log_line("stopping the components");
        for (at, wave) in waves.iter_mut().enumerate() {
            level.send_replace(at + 1);
            while wave.join_next().await.is_some() {}
        }
    }
}

struct ComponentProcess {
    component: Component,
    arguments: Vec<String>,
    reporter: Reporter,
    records: Records,
    events: EventLog,
}

impl ComponentProcess {
    async fn run(self, mut levels: watch::Receiver<usize>) {
        let wave = wave_of(self.component);
        let name = self.component.name();
        let restart = self.restart();
        loop {
            if *levels.borrow() > wave {
                return;
            }
            let why = match self.start() {
                Ok(mut child) => {
                    self.events.note(name, "start", &pid_of(&child));
                    let (out, err) = (child.stdout.take(), child.stderr.take());
                    let tail = self.tail();
                    let log = LogFile::open(&self.events.dir, name);
                    let echo =
                        async { tokio::join!(copy(out, &tail, &log), copy(err, &tail, &log)) };
                    let echo = echo.fuse();
                    tokio::pin!(echo);
                    let status = loop {
                        tokio::select! {
                            // The shims keep the pipes of containerd open after its
                            // exit, so this does not wait for the end of the pipes.
                            status = child.wait() => break Some(status),
                            _ = &mut echo, if !echo.is_terminated() => {}
                            () = reached(&mut levels, wave) => {
                                self.end(&mut child, WAVES[wave].1).await;
                                return;
                            }
                            () = restart.notified() => {
                                self.end(&mut child, WAVES[wave].1).await;
                                break None;
                            }
                        }
                    };
                    // Its last output may still be in the pipes.
                    if !echo.is_terminated() {
                        let _ = timeout(OUTPUT_TIMEOUT, &mut echo).await;
                    }
                    match status {
                        None => continue,
                        Some(Ok(status)) => status.to_string(),
                        Some(Err(e)) => e.to_string(),
                    }
                }
                Err(e) => e.to_string(),
            };
            self.events.note(name, "exit", &why);
            let (exits, tail) = self.record_exit(&why);
            // A component that exits every second is not reported every second.
            if exits <= MAX_EXITS || exits.is_multiple_of(30) {
                self.reporter.step(
                    self.component.step(),
                    StepStatus::Retrying,
                    format!("{name} ended: {why}\n{tail}"),
                );
            }
            tokio::select! {
                () = sleep(RESTART_PAUSE) => {}
                () = reached(&mut levels, wave) => return,
            }
        }
    }

    fn start(&self) -> std::io::Result<Child> {
        Command::new(self.component.program())
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Signals to our process group are forwarded by us, in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }

    fn restart(&self) -> Arc<Notify> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.entry(self.component).or_default().restart.clone()
    }

    fn tail(&self) -> Tail {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.entry(self.component).or_default().tail.clone()
    }

    fn record_exit(&self, end: &str) -> (u32, String) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let record = records.entry(self.component).or_default();
        record.exits += 1;
        end.clone_into(&mut record.end);
        (record.exits, record.tail.text())
    }

    async fn end(&self, child: &mut Child, limit: Duration) {
        let name = self.component.name();
        let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) else {
            return;
        };
        let _ = kill_process(pid, Signal::TERM);
        let how = match timeout(limit, child.wait()).await {
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(e)) => e.to_string(),
            Err(_) => {
                let _ = child.kill().await;
                format!("killed after {} ms", limit.as_millis())
            }
        };
        self.events.note(name, "stop", &how);
    }
}

/// Returns when this wave should stop, or when the runner was dropped.
async fn reached(levels: &mut watch::Receiver<usize>, wave: usize) {
    let _ = levels.wait_for(|level| *level > wave).await;
}

fn pid_of(child: &Child) -> String {
    child.id().map(|id| format!("pid {id}")).unwrap_or_default()
}

async fn copy(pipe: Option<impl AsyncRead + Unpin>, tail: &Tail, log: &LogFile) {
    let Some(pipe) = pipe else { return };
    each_line(pipe, |line| {
        log.write(&line);
        tail.push(line);
    })
    .await;
}
