//! Tasks from the server. A task that is sent repeatedly is started only once,
//! until the server has received its result.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use hyper::Method;
use kernel::{Error, Kind, Result};
use nodewire::bounds::{SENT_TEXT, display_text};
use nodewire::{Received, ServerFrame, Task, TaskResult};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::frames::Frames;
use super::{Channel, is_refusal, is_unsupported};
use crate::http::query;
use crate::report::{log_line, plain};
use crate::retry::{Backoff, FullJitter};

/// Retry interval when a server refuses the stream of tasks.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);

/// A task and its cancellation.
pub(crate) struct RunningTask {
    pub(crate) task: Task,
    cancelled: watch::Receiver<bool>,
}

impl RunningTask {
    /// Returns when the server has cancelled the task.
    pub(crate) async fn cancelled(&self) {
        let mut cancelled = self.cancelled.clone();
        if cancelled.wait_for(|yes| *yes).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Channel {
    /// Receives tasks and sends them to `started`, until dropped. Called when
    /// this node is able to run them.
    pub(crate) async fn take_tasks(&self, started: mpsc::UnboundedSender<RunningTask>) {
        let mut backoff = FullJitter::new(Duration::from_millis(200), Duration::from_secs(10));
        loop {
            let ended = match self.open_tasks().await {
                Ok(mut frames) => {
                    backoff.reset();
                    self.read_tasks(&mut frames, &started).await
                }
                Err(e) => e,
            };
            if is_refusal(&ended) || is_unsupported(&ended) {
                log_line(format_args!("tasks: {}", plain(&ended)));
                sleep(REFUSED_PAUSE).await;
            }
            backoff.pause().await;
        }
    }

    async fn open_tasks(&self) -> Result<Frames> {
        let mut up = self.up().await?;
        let answer = self.send(&mut up.sender, Method::GET, "tasks", Vec::new());
        Ok(Frames::of(answer.await?.into_body()))
    }

    async fn read_tasks(
        &self,
        frames: &mut Frames,
        started: &mpsc::UnboundedSender<RunningTask>,
    ) -> Error {
        loop {
            match frames.next().await {
                Ok(Received::Frame(ServerFrame::Task(task))) => {
                    if let Some(task) = self.begin(task) {
                        let _ = started.send(task);
                    }
                }
                Ok(Received::Frame(ServerFrame::Cancel(cancel))) => {
                    if let Some(cancelled) = self.running().get(&cancel.task) {
                        cancelled.send_replace(true);
                    }
                }
                Ok(Received::UnsupportedTask { id, why }) => {
                    let kind = Kind::NotSupported { status: 501 };
                    self.answer(&id, Err(Error::new(kind, why))).await;
                }
                Ok(Received::Unsupported(u)) => {
                    log_line(format_args!("frame '{}': {}", u.frame, u.why));
                    let _ = self.post::<Value>("unsupported", &u).await;
                }
                Ok(Received::Frame(_)) => {}
                Err(e) => return e,
            }
        }
    }

    /// Returns `None` if the task is already running.
    fn begin(&self, task: Task) -> Option<RunningTask> {
        let mut running = self.running();
        if running.contains_key(&task.id) {
            return None;
        }
        let (sender, cancelled) = watch::channel(false);
        running.insert(task.id.clone(), sender);
        Some(RunningTask { task, cancelled })
    }

    /// Reports the result of a task until the server has received it or has
    /// cancelled the task.
    pub(crate) async fn answer(&self, id: &str, done: Result<String>) {
        let result = match done {
            Ok(log) => TaskResult {
                ok: true,
                unsupported: false,
                log: display_text(&log, SENT_TEXT),
            },
            Err(e) => TaskResult {
                ok: false,
                unsupported: is_unsupported(&e),
                log: display_text(&plain(&e), SENT_TEXT),
            },
        };
        log_line(format_args!("task {id}: ok={} {}", result.ok, result.log));
        let path = format!("tasks/{}", query(id));
        let mut backoff = Backoff::new(100, 5_000);
        while let Err(e) = self.post::<Value>(&path, &result).await {
            // The server does not know the task or this node any more, so no
            // result is expected.
            if is_refusal(&e) || !e.is_transient() {
                log_line(format_args!("task {id}: {}", plain(&e)));
                break;
            }
            backoff.pause().await;
        }
        self.forget(id);
    }

    /// Allows the task to be started again.
    pub(crate) fn forget(&self, id: &str) {
        self.running().remove(id);
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<String, watch::Sender<bool>>> {
        self.inner
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
