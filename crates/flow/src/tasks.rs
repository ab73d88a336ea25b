//! The task registry: every background task has a name, can be told to stop
//! and is awaited at the end.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Runs a task as part of something that can stop it, in a simulation.
pub type Wrap = Arc<dyn Fn(BoxFuture<'static, ()>) -> BoxFuture<'static, ()> + Send + Sync>;

/// Background tasks of one process; cheap to clone.
#[derive(Clone, Default)]
pub struct Tasks {
    wrap: Option<Wrap>,
    tracker: TaskTracker,
    token: CancellationToken,
    aborted: CancellationToken,
    running: Names,
}

/// How many tasks of each name run.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<BTreeMap<&'static str, usize>>>);

impl Names {
    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<&'static str, usize>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Takes the name off the list however the task ends.
struct Entry(Names, &'static str);

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
    /// Tasks that are all wrapped in this.
    #[must_use]
    pub fn within(wrap: Wrap) -> Self {
        Self {
            wrap: Some(wrap),
            ..Self::default()
        }
    }

    /// Cancelled when the process is to stop.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Cancelled when the time to stop is over: what has not ended is dropped.
    #[must_use]
    pub fn aborted(&self) -> CancellationToken {
        self.aborted.clone()
    }

    /// Runs a task; it must watch [`Tasks::token`] and end when it is
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

    /// Asks all tasks to stop and waits for them, at most `limit`; then drops
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
