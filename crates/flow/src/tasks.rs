//! The task registry: every background task has a name, can be cancelled, and
//! is awaited at the end.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Wraps a task so that a simulation can stop it.
pub type Wrap = Arc<dyn Fn(BoxFuture<'static, ()>) -> BoxFuture<'static, ()> + Send + Sync>;

/// Background tasks of one process; cheap to clone.
#[derive(Clone, Default)]
pub struct Tasks {
    wrap: Option<Wrap>,
    tracker: TaskTracker,
    token: CancellationToken,
    aborted: CancellationToken,
    running: TaskNames,
}

/// Number of running tasks by name.
#[derive(Clone, Default)]
struct TaskNames(Arc<Mutex<BTreeMap<&'static str, usize>>>);

impl TaskNames {
    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<&'static str, usize>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Removes a task from the numbers when it is dropped, however the task ends.
struct Entry(TaskNames, &'static str);

impl Drop for Entry {
    fn drop(&mut self) {
        self.0.with(|names| {
            if let Some(count) = names.get_mut(self.1) {
                *count -= 1;
                if *count == 0 {
                    names.remove(self.1);
                }
            }
        });
    }
}

impl Tasks {
    /// A registry that applies this wrapper to all tasks.
    #[must_use]
    pub fn within(wrap: Wrap) -> Self {
        Self {
            wrap: Some(wrap),
            ..Self::default()
        }
    }

    /// Cancelled when the process should stop.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Cancelled when the time to stop is over; remaining tasks are dropped.
    #[must_use]
    pub fn aborted(&self) -> CancellationToken {
        self.aborted.clone()
    }

    /// Runs a task, which must watch [`Tasks::token`] and end when it is
    /// cancelled.
    pub fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.running
            .with(|names| *names.entry(name).or_default() += 1);
        let entry = Entry(self.running.clone(), name);
        let task = async move {
            task.await;
            drop(entry);
        };
        match &self.wrap {
            None => self.tracker.spawn(task),
            Some(wrap) => self.tracker.spawn(wrap(Box::pin(task))),
        };
    }

    /// Cancels all tasks and waits for them for at most `limit`, then drops
    /// those that watch [`Tasks::aborted`].
    pub async fn stop(&self, limit: Duration) {
        self.token.cancel();
        self.tracker.close();
        if tokio::time::timeout(limit, self.tracker.wait())
            .await
            .is_err()
        {
            let left = self.running.with(|names| format!("{names:?}"));
            tracing::warn!(left, "tasks did not stop in time");
        }
        self.aborted.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_runs_is_known_by_name_until_it_ends() {
        let tasks = Tasks::default();
        let token = tasks.token();
        tasks.spawn("waits", async move { token.cancelled().await });
        tasks.spawn("waits too", std::future::pending());
        assert_eq!(tasks.running.with(|n| n.len()), 2);
        tasks.stop(Duration::from_millis(50)).await;
        assert_eq!(
            tasks
                .running
                .with(|n| n.keys().copied().collect::<Vec<_>>()),
            ["waits too"]
        );
    }
}
