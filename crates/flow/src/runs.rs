//! The active runs of this process, and the times at which ended ones are due
//! again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use db::Lease;
use tokio::time::Instant;

use crate::Latest;

/// Kind and id.
pub(crate) type Key = (String, String);

/// The active runs of this process.
#[derive(Default)]
pub(crate) struct Runs {
    alive: Mutex<BTreeMap<Key, Lease>>,
    delayed: Mutex<DelayedKeys>,
    /// Changes when a run has ended.
    pub(crate) ended: Latest<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Runs {
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<Key, Lease>) -> T) -> T {
        act(&mut lock(&self.alive))
    }

    /// Ends a run; its key is due again after the pause.
    pub(crate) fn end(&self, key: &Key, pause: Option<Duration>) {
        lock(&self.delayed).put(key.clone(), pause.map(|p| Instant::now() + p));
        self.with(|alive| alive.remove(key));
        self.ended.modify(|()| true);
    }

    /// The leases of all active runs.
    pub(crate) fn leases(&self) -> Vec<Lease> {
        self.with(|alive| alive.values().cloned().collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.with(|alive| alive.is_empty())
    }

    /// Takes the keys that are due again now.
    pub(crate) fn due(&self) -> Vec<Key> {
        lock(&self.delayed).due(Instant::now())
    }

    /// When the next key is due again.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        lock(&self.delayed).next()
    }
}

/// Keys that this process has run, with the times at which they are due again.
#[derive(Default)]
struct DelayedKeys {
    by_time: BTreeSet<(Instant, Key)>,
    by_key: BTreeMap<Key, Instant>,
}

impl DelayedKeys {
    fn put(&mut self, key: Key, at: Option<Instant>) {
        if let Some(old) = self.by_key.remove(&key) {
            self.by_time.remove(&(old, key.clone()));
        }
        if let Some(at) = at {
            self.by_key.insert(key.clone(), at);
            self.by_time.insert((at, key));
        }
    }

    /// Takes the keys that are due.
    fn due(&mut self, now: Instant) -> Vec<Key> {
        let mut due = Vec::new();
        while let Some((at, _)) = self.by_time.first()
            && *at <= now
        {
            if let Some((_, key)) = self.by_time.pop_first() {
                self.by_key.remove(&key);
                due.push(key);
            }
        }
        due
    }

    fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }
}
