//! The tasks that the server gives: each is begun once, however often it is
//! given, until its result is known to the server.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use kernel::{Error, Kind, Result};
use nodewire::{Received, ServerFrame, Task, TaskResult};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::frames::Frames;
use super::{Channel, is_refusal, is_unsupported};
use crate::engine::query;
use crate::report::{plain, say};
use crate::retry::{Backoff, FullJitter};

/// A server that refuses to give tasks is asked again so often.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);

/// A task and its end before its time.
pub(crate) struct Order {
    pub(crate) task: Task,
    cancelled: watch::Receiver<bool>,
}

impl Order {
    /// Returns when the server does not wait for the task any more.
    pub(crate) async fn cancelled(&self) {
        let mut cancelled = self.cancelled.clone();
        if cancelled.wait_for(|yes| *yes).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Channel {
    /// Takes tasks for `orders`, until dropped. To be called when this node
    /// is able to do them.
    pub(crate) async fn take_tasks(&self, orders: mpsc::UnboundedSender<Order>) {
        let mut backoff = FullJitter::new(Duration::from_millis(200), Duration::from_secs(10));
        loop {
            let ended = match self.open_tasks().await {
                Ok(mut frames) => {
                    backoff.reset();
                    self.read_tasks(&mut frames, &orders).await
                }
                Err(e) => e,
            };
            if is_refusal(&ended) || is_unsupported(&ended) {
                say(format_args!("tasks: {}", plain(&ended)));
                sleep(REFUSED_PAUSE).await;
            }
            backoff.pause().await;
        }
    }

    async fn open_tasks(&self) -> Result<Frames> {
        let mut up = self.up().await?;
        let answer = self.send(&mut up.sender, Method::GET, "tasks", Bytes::new());
        Ok(Frames::of(answer.await?.into_body()))
    }

    async fn read_tasks(
        &self,
        frames: &mut Frames,
        orders: &mpsc::UnboundedSender<Order>,
    ) -> Error {
        loop {
            match frames.next().await {
                Ok(Received::Frame(ServerFrame::Task(task))) => {
                    if let Some(order) = self.begin(task) {
                        let _ = orders.send(order);
                    }
                }
                Ok(Received::Frame(ServerFrame::Cancel(cancel))) => {
                    if let Some(order) = self.orders().get(&cancel.task) {
                        order.send_replace(true);
                    }
                }
                Ok(Received::UnsupportedTask { id, why }) => {
                    let kind = Kind::NotSupported { status: 501 };
                    self.answer(&id, Err(Error::new(kind, why))).await;
                }
                Ok(Received::Unsupported(u)) => {
                    say(format_args!("frame '{}': {}", u.frame, u.why));
                    let _ = self.post::<Value>("unsupported", &u).await;
                }
                Ok(Received::Frame(_)) => {}
                Err(e) => return e,
            }
        }
    }

    /// `None` where the task is begun already.
    fn begin(&self, task: Task) -> Option<Order> {
        let mut orders = self.orders();
        if orders.contains_key(&task.id) {
            return None;
        }
        let (sender, cancelled) = watch::channel(false);
        orders.insert(task.id.clone(), sender);
        Some(Order { task, cancelled })
    }

    /// Tells the server how a task ended, until it has heard it or waits for
    /// it no more.
    pub(crate) async fn answer(&self, id: &str, done: Result<String>) {
        let result = match done {
            Ok(log) => TaskResult {
                ok: true,
                unsupported: false,
                log,
            },
            Err(e) => TaskResult {
                ok: false,
                unsupported: is_unsupported(&e),
                log: plain(&e),
            },
        };
        say(format_args!("task {id}: ok={} {}", result.ok, result.log));
        let path = format!("tasks/{}", query(id));
        let mut backoff = Backoff::new(100, 5_000);
        while let Err(e) = self.post::<Value>(&path, &result).await {
            // The server knows it no more, or us: nobody waits for the answer.
            if is_refusal(&e) || !e.is_transient() {
                say(format_args!("task {id}: {}", plain(&e)));
                break;
            }
            backoff.pause().await;
        }
        self.forget(id);
    }

    /// The task may be given anew.
    pub(crate) fn forget(&self, id: &str) {
        self.orders().remove(id);
    }

    fn orders(&self) -> MutexGuard<'_, BTreeMap<String, watch::Sender<bool>>> {
        self.inner
            .orders
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
