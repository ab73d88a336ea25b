//! A value that several tasks follow.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The latest value, and waiters for the next one. Waiters are woken in the order in
/// which they began to wait. `tokio::sync::watch` wakes them in a random order, so
/// a simulation that uses it does not always repeat the run of a seed.
#[derive(Debug, Default)]
pub struct Latest<T> {
    state: Mutex<Versioned<T>>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Versioned<T> {
    version: u64,
    value: T,
}

impl<T> Latest<T> {
    fn lock(&self) -> MutexGuard<'_, Versioned<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Increases with each change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.lock().version
    }

    /// Wakes all waiters if `change` returns `true`.
    pub fn modify(&self, change: impl FnOnce(&mut T) -> bool) {
        let mut state = self.lock();
        if change(&mut state.value) {
            state.version += 1;
            drop(state);
            self.changed.notify_waiters();
        }
    }

    /// Waits until the version is not `seen` any more, and updates `seen`.
    pub async fn changed(&self, seen: &mut u64) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Register before the comparison, so that no change is missed.
            changed.as_mut().enable();
            let version = self.version();
            if version != *seen {
                *seen = version;
                return;
            }
            changed.await;
        }
    }
}

impl<T: Clone> Latest<T> {
    /// The value and its version.
    #[must_use]
    pub fn get(&self) -> (T, u64) {
        let state = self.lock();
        (state.value.clone(), state.version)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn all_waiters_are_woken_in_the_order_in_which_they_wait() {
        let latest = Arc::new(Latest::<u64>::default());
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..50 {
            let (latest, order) = (latest.clone(), order.clone());
            tasks.spawn(async move {
                let mut seen = 0;
                latest.changed(&mut seen).await;
                order.lock().unwrap().push((number, latest.get()));
            });
        }
        tokio::task::yield_now().await;
        latest.modify(|_| false);
        latest.modify(|value| {
            *value = 7;
            true
        });
        tasks.join_all().await;
        let expected: Vec<_> = (0..50).map(|number| (number, (7, 1))).collect();
        assert_eq!(*order.lock().unwrap(), expected);
    }

    #[tokio::test]
    async fn a_change_before_the_wait_is_not_missed() {
        let latest = Latest::<u64>::default();
        let mut seen = latest.version();
        latest.modify(|_| true);
        latest.changed(&mut seen).await;
        assert_eq!(seen, 1);
    }
}
