//! Steps are logged to stderr at once and sent to the server in order, without
//! blocking the work.

use std::io::Write as _;
use std::time::Duration;

use kernel::{Error, Result, clock};
use nodewire::{Step, StepStatus, Steps};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;

use crate::channel::{Channel, is_refusal};
use crate::retry::Backoff;

/// Longer logs are not useful and may be the whole output of an engine.
const MAX_LOG: usize = 8 * 1024;

/// Delay that collects steps: each delivery costs the server a transaction.
const TOGETHER: Duration = Duration::from_millis(50);

/// Writes one line to stderr, which is the log of the container.
pub(crate) fn log_line(text: impl std::fmt::Display) {
    let now = kernel::clock::iso_micros_z(clock::now_micros());
    let _ = writeln!(std::io::stderr(), "{now} jeroboam-node: {text}");
}

enum Item {
    Step(Step),
    /// Answered when all previous items were delivered.
    Flush(oneshot::Sender<()>),
}

/// Handle for reporting steps. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Reporter {
    sender: mpsc::UnboundedSender<Item>,
}

impl Reporter {
    pub(crate) fn new() -> (Self, Delivery) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { sender }, Delivery { receiver })
    }

    pub(crate) fn step(&self, name: &str, status: StepStatus, log: impl Into<String>) {
        let mut log = log.into();
        if log.len() > MAX_LOG {
            let from = (log.len() - MAX_LOG..log.len())
                .find(|at| log.is_char_boundary(*at))
                .unwrap_or(0);
            log = format!("…{}", &log[from..]);
        }
        let word = match status {
            StepStatus::Start => "start",
            StepStatus::Ok => "ok",
            StepStatus::Retrying => "retrying",
            StepStatus::Failed => "FAILED",
        };
        log_line(format_args!("{name}: {word} {}", log.trim_end()));
        let _ = self.sender.send(Item::Step(Step {
            name: name.to_owned(),
            status,
            at_micros: clock::now_micros(),
            log,
        }));
    }

    /// Runs one step and reports its start and end.
    pub(crate) async fn run<T>(
        &self,
        name: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.step(name, StepStatus::Start, "");
        let done = work.await;
        match &done {
            Ok(_) => self.step(name, StepStatus::Ok, ""),
            Err(e) => {
                let why = format!("{}{}", plain(e), lack_of_memory());
                self.step(name, StepStatus::Failed, why);
            }
        }
        done
    }

    /// Waits until all reports so far are delivered, or for `limit`.
    pub(crate) async fn flush(&self, limit: Duration) {
        let (done, wait) = oneshot::channel();
        if self.sender.send(Item::Flush(done)).is_ok() {
            let _ = tokio::time::timeout(limit, wait).await;
        }
    }
}

/// Processes of this node that the kernel killed for lack of memory, to be
/// added to a failure as the probable cause.
fn lack_of_memory() -> String {
    let count = ["memory/memory.oom_control", "memory.events"]
        .iter()
        .find_map(|file| kills(&std::fs::read_to_string(format!("/sys/fs/cgroup/{file}")).ok()?))
        .unwrap_or(0);
    match count {
        0 => String::new(),
        n => format!("; the kernel killed {n} processes of this node for lack of memory"),
    }
}

fn kills(text: &str) -> Option<u64> {
    let count = text.lines().find_map(|l| l.strip_prefix("oom_kill "))?;
    count.trim().parse().ok()
}

/// An error in one line for display; contexts contain no secrets.
pub(crate) fn plain(e: &Error) -> String {
    match (&e.kind, &e.context) {
        (kernel::Kind::Internal, Some(context)) => context.clone(),
        (_, Some(context)) => format!("{} ({context})", e.message),
        (_, None) => e.message.clone(),
    }
}

/// The sending side of the reports.
pub(crate) struct Delivery {
    receiver: mpsc::UnboundedReceiver<Item>,
}

impl Delivery {
    /// Delivers reports until the process ends; starts when the server has the
    /// session. Steps that the server refuses permanently are dropped, because
    /// they were logged to stderr.
    pub(crate) async fn run(mut self, channel: Channel, mut welcomed: watch::Receiver<bool>) {
        if welcomed.wait_for(|known| *known).await.is_err() {
            return;
        }
        let mut batch = Vec::new();
        while self.receiver.recv_many(&mut batch, 64).await > 0 {
            if batch.iter().all(|item| matches!(item, Item::Step(_))) {
                sleep(TOGETHER).await;
                while let Ok(item) = self.receiver.try_recv() {
                    batch.push(item);
                }
            }
            let mut steps = Vec::new();
            let mut waiting = Vec::new();
            for item in batch.drain(..) {
                match item {
                    Item::Step(step) => steps.push(step),
                    Item::Flush(done) => waiting.push(done),
                }
            }
            if !steps.is_empty() {
                deliver(&channel, &Steps { steps }).await;
            }
            for done in waiting {
                let _ = done.send(());
            }
        }
    }
}

async fn deliver(channel: &Channel, steps: &Steps) {
    let mut backoff = Backoff::new(50, 5_000);
    loop {
        match channel.post::<serde_json::Value>("steps", steps).await {
            Ok(_) => return,
            Err(e) if is_refusal(&e) || matches!(e.kind, kernel::Kind::Invalid { .. }) => {
                log_line(format_args!("the server takes no steps: {}", plain(&e)));
                return;
            }
            Err(_) => backoff.pause().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_read_of_both_versions_of_cgroups() {
        let one = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        assert_eq!(kills(one), Some(3));
        let two = "low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\noom_group_kill 0\n";
        assert_eq!((kills(two), kills("")), (Some(1), None));
    }
}
