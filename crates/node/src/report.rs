//! Steps are logged to stderr at once and sent to the server in order, without
//! blocking the work.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use kernel::{Error, Result, clock};
use nodewire::bounds::{self, Bounded as _, SENT_STEPS, SENT_TEXT, display_text};
use nodewire::{Observed, Step, StepStatus, Steps};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;

use crate::channel::{Channel, is_refusal};
use crate::retry::Backoff;

/// Number of steps that can wait for delivery. If the server does not answer for a
/// long time, further steps are only logged.
const QUEUE_LENGTH: usize = 1024;

/// Delay in which steps are collected, because each delivery costs the server a
/// transaction.
const BATCH_DELAY: Duration = Duration::from_millis(50);

/// Writes one line to stderr, which is the log of the container.
pub(crate) fn log_line(text: impl std::fmt::Display) {
    let now = clock::now().iso_micros_z();
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
    sender: mpsc::Sender<Item>,
}

impl Reporter {
    pub(crate) fn new() -> (Self, Delivery) {
        let (sender, receiver) = mpsc::channel(QUEUE_LENGTH);
        (Self { sender }, Delivery { receiver })
    }

    pub(crate) fn step(&self, name: &str, status: StepStatus, log: impl Into<String>) {
        // The log may be the whole output of an engine.
        let log = display_text(&log.into(), SENT_TEXT);
        let word = match status {
            StepStatus::Start => "start",
            StepStatus::Ok => "ok",
            StepStatus::Retrying => "retrying",
            StepStatus::Failed => "FAILED",
        };
        log_line(format_args!("{name}: {word} {}", log.trim_end()));
        let _ = self.sender.try_send(Item::Step(Step {
            name: name.to_owned(),
            status,
            at_micros: clock::now().as_micros(),
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
                let why = format!("{}{}", plain(e), out_of_memory_note());
                self.step(name, StepStatus::Failed, why);
            }
        }
        done
    }

    /// Waits until all reports so far are delivered, or for `limit`.
    pub(crate) async fn flush(&self, limit: Duration) {
        let (done, wait) = oneshot::channel();
        let flush = async {
            if self.sender.send(Item::Flush(done)).await.is_ok() {
                let _ = wait.await;
            }
        };
        let _ = tokio::time::timeout(limit, flush).await;
    }
}

/// A note about processes of this node that the kernel killed for lack of memory.
/// It is added to the report of a failure as the probable cause.
fn out_of_memory_note() -> String {
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

/// Makes an observation fit into the bounds of the protocol. The nodes of the
/// cluster choose their names and addresses themselves; a node that exceeds a bound
/// must not prevent the report of the others.
pub(crate) fn fit(seen: &mut Observed) {
    for node in &mut seen.nodes {
        if node.addr.parse::<IpAddr>().is_err() {
            node.addr.clear();
        }
    }
    let before = seen.nodes.len();
    seen.nodes.retain(|node| node.check().is_ok());
    seen.nodes.truncate(bounds::NODES);
    if seen.nodes.len() < before {
        let left_out = before - seen.nodes.len();
        log_line(format_args!("observed: {left_out} nodes are left out"));
    }
    seen.version = display_text(&seen.version, bounds::WORD);
    seen.problem = seen.problem.take().map(|p| display_text(&p, SENT_TEXT));
    for addon in &mut seen.addons {
        addon.reason = display_text(&addon.reason, SENT_TEXT);
    }
}

/// Delivers the reports to the server.
pub(crate) struct Delivery {
    receiver: mpsc::Receiver<Item>,
}

impl Delivery {
    /// Delivers reports until the process ends; starts when the server has accepted
    /// the session. Steps that the server refuses permanently are dropped; they
    /// were logged to stderr.
    pub(crate) async fn run(mut self, channel: Channel, mut welcomed: watch::Receiver<bool>) {
        if welcomed.wait_for(|known| *known).await.is_err() {
            return;
        }
        let mut batch = Vec::new();
        while self.receiver.recv_many(&mut batch, SENT_STEPS).await > 0 {
            if batch.iter().all(|item| matches!(item, Item::Step(_))) {
                sleep(BATCH_DELAY).await;
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
            for some in steps.chunks(SENT_STEPS) {
                let steps = some.to_vec();
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
                log_line(format_args!("the server refuses the steps: {}", plain(&e)));
                return;
            }
            Err(_) => backoff.pause().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_long_queue_is_bounded_and_flushed_within_limits() {
        let (reporter, delivery) = Reporter::new();
        reporter.step("s", StepStatus::Retrying, "a\0b");
        while reporter
            .sender
            .try_send(Item::Flush(oneshot::channel().0))
            .is_ok()
        {}
        reporter.step("s", StepStatus::Retrying, "only logged");
        reporter.flush(Duration::from_millis(10)).await;
        assert_eq!(delivery.receiver.len(), QUEUE_LENGTH);
        let mut receiver = delivery.receiver;
        let Some(Item::Step(first)) = receiver.recv().await else {
            panic!("no step");
        };
        first.check().unwrap();
    }

    #[test]
    fn a_node_out_of_bounds_does_not_hide_the_others() {
        let member = |hostname: &str, addr: &str| nodewire::ObservedNode {
            hostname: hostname.into(),
            id: "i".into(),
            role: "worker".into(),
            availability: "active".into(),
            state: "ready".into(),
            addr: addr.into(),
            reachability: None,
            leader: false,
        };
        let mut seen = Observed {
            nodes: vec![
                member("a", "10.0.0.1"),
                member(&"x".repeat(256), ""),
                member("b\0", ""),
                member("c", &"9".repeat(1000)),
            ],
            ipvs: true,
            version: "v".repeat(100),
            problem: Some("p".repeat(100_000)),
            addons: vec![nodewire::Addon {
                name: "coredns".into(),
                state: "failed".into(),
                reason: "\0".repeat(100_000),
            }],
        };
        fit(&mut seen);
        seen.check().unwrap();
        let names: Vec<&str> = seen.nodes.iter().map(|n| n.hostname.as_str()).collect();
        assert_eq!(names, ["a", "c"]);
        assert_eq!(seen.nodes[1].addr, "");
        assert!(seen.problem.unwrap().len() <= SENT_TEXT);
    }

    #[test]
    fn kills_are_read_in_both_versions_of_cgroups() {
        let one = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        assert_eq!(kills(one), Some(3));
        let two = "low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\noom_group_kill 0\n";
        assert_eq!((kills(two), kills("")), (Some(1), None));
    }
}
