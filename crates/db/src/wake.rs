//! Waking by event: in process by watch channels, across servers by
//! LISTEN/NOTIFY on PostgreSQL. MariaDB is woken by the slow scan only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use kernel::{Error, Result};
use sqlx::postgres::PgListener;
use tokio::sync::watch;

use crate::Db;
use crate::connect::Pools;

/// A notification of PostgreSQL must be shorter than 8000 bytes.
const PAYLOAD: usize = 7000;
/// Fewer keys than this are never looked through for ones without waiters.
const FEW: usize = 64;

/// Kind and id of what changed.
pub(crate) type Key = (String, String);

/// A counter that moves whenever a commit made keys dirty or wrote events,
/// and one for each key that somebody waits for.
#[derive(Clone)]
pub struct Wakes(Arc<Inner>);

struct Inner {
    all: watch::Sender<u64>,
    keys: Mutex<Keys>,
}

#[derive(Default)]
struct Keys {
    waiting: HashMap<Key, watch::Sender<u64>>,
    /// How many are let grow before those without waiters are dropped.
    limit: usize,
}

impl Default for Wakes {
    fn default() -> Self {
        Self(Arc::new(Inner {
            all: watch::channel(0).0,
            keys: Mutex::default(),
        }))
    }
}

impl Wakes {
    /// Moves the counter: everybody who waits looks again.
    pub fn wake(&self) {
        self.0.wake(&[]);
    }

    /// A receiver whose `changed()` resolves at the next wake.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.all.subscribe()
    }

    /// A receiver that resolves only when this key was marked or woken, so
    /// that a thousand waiters do not all look at each commit.
    #[must_use]
    pub fn subscribe_key(&self, kind: &str, id: &str) -> watch::Receiver<u64> {
        let mut keys = self.0.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.waiting.len() > keys.limit.max(FEW) {
            keys.waiting.retain(|_, sender| sender.receiver_count() > 0);
            keys.limit = keys.waiting.len() * 2;
        }
        keys.waiting
            .entry((kind.to_owned(), id.to_owned()))
            .or_insert_with(|| watch::channel(0).0)
            .subscribe()
    }

    pub(crate) fn wake_keys(&self, keys: &[Key]) {
        self.0.wake(keys);
    }
}

impl Inner {
    /// Without keys: all of them, for what changed is not known.
    fn wake(&self, keys: &[Key]) {
        let map = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let move_on = |sender: &watch::Sender<u64>| sender.send_modify(|n| *n += 1);
        if keys.is_empty() {
            map.waiting.values().for_each(move_on);
        } else {
            keys.iter()
                .filter_map(|k| map.waiting.get(k))
                .for_each(move_on);
        }
        drop(map);
        self.all.send_modify(|n| *n += 1);
    }
}

/// The text of a notification: keys in lines, or nothing where they are too
/// many.
pub(crate) fn payload(keys: &[Key]) -> String {
    let lines: Vec<String> = keys.iter().map(|(k, id)| format!("{k} {id}")).collect();
    let text = lines.join("\n");
    if text.len() < PAYLOAD {
        text
    } else {
        String::new()
    }
}

fn keys_of(payload: &str) -> Vec<Key> {
    payload
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(k, id)| (k.to_owned(), id.to_owned()))
        .collect()
}

impl Db {
    /// On PostgreSQL, forwards notifications of all servers to [`Wakes`]. The
    /// task ends with the last handle to the database.
    pub(crate) async fn listen(&self) -> Result<()> {
        let Pools::Postgres(pool) = &self.pools else {
            return Ok(());
        };
        let mut listener = PgListener::connect_with(pool)
            .await
            .map_err(Error::internal)?;
        listener.listen("jeroboam").await.map_err(Error::internal)?;
        let weak = Arc::downgrade(&self.wakes.0);
        tokio::spawn(async move {
            // `recv` reconnects by itself; what was missed is found by the scan.
            loop {
                let told = listener.recv().await;
                if told.is_err() {
                    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                }
                let Some(inner) = weak.upgrade() else { return };
                inner.wake(&told.map(|n| keys_of(n.payload())).unwrap_or_default());
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiter_of_one_key_sleeps_through_others() {
        let wakes = Wakes::default();
        let mut mine = wakes.subscribe_key("cluster", "a");
        let mut all = wakes.subscribe();
        wakes.wake_keys(&[("cluster".into(), "b".into())]);
        assert!(!mine.has_changed().unwrap());
        assert!(all.has_changed().unwrap());
        wakes.wake_keys(&[("cluster".into(), "a".into())]);
        assert!(mine.has_changed().unwrap());
        mine.mark_unchanged();
        all.mark_unchanged();
        // Who cannot say what changed wakes all.
        wakes.wake();
        assert!(mine.has_changed().unwrap() && all.has_changed().unwrap());
    }

    #[test]
    fn keys_without_waiters_are_forgotten() {
        let wakes = Wakes::default();
        let kept = wakes.subscribe_key("k", "kept");
        for i in 0..1000 {
            drop(wakes.subscribe_key("k", &i.to_string()));
        }
        assert!(wakes.0.keys.lock().unwrap().waiting.len() <= 2 * FEW + 2);
        wakes.wake_keys(&[("k".into(), "kept".into())]);
        assert!(kept.has_changed().unwrap());
    }

    #[test]
    fn a_notification_names_its_keys_unless_they_are_too_many() {
        let keys = vec![("a".to_owned(), "1".to_owned()), ("b".into(), "2 3".into())];
        assert_eq!(keys_of(&payload(&keys)), keys);
        let many: Vec<Key> = (0..2000).map(|i| ("kind".into(), i.to_string())).collect();
        assert_eq!(payload(&many), "");
    }
}
