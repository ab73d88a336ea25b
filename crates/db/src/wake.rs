//! Notifications about commits within the process, by watch channels. Those
//! between servers are in `notify`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{mpsc, watch};

/// Below this number, keys without waiters are not removed.
const FEW: usize = 64;
/// With more marked keys than this, only a scan finds all of them.
const MARKED: usize = 10_000;
/// Kind and id of a changed key.
pub(crate) type Key = (String, String);

/// Keys that a transaction notifies after its commit.
#[derive(Debug, Clone, Default)]
pub(crate) struct WokenKeys {
    /// Whether the key was made dirty.
    keys: Vec<(Key, bool)>,
}

impl WokenKeys {
    pub(crate) fn add(&mut self, kind: &str, id: &str, marked: bool) {
        let known = self
            .keys
            .iter_mut()
            .find(|((k, i), _)| k == kind && i == id);
        match known {
            Some((_, was)) => *was |= marked,
            None => self.keys.push(((kind.to_owned(), id.to_owned()), marked)),
        }
    }
}

/// Marked keys that the driver has not taken yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Marked {
    /// Kind and id.
    pub keys: BTreeSet<(String, String)>,
    /// More keys were marked than are listed: only a scan finds all.
    pub overflow: bool,
}

/// A counter that changes whenever a commit marked keys or wrote events, and
/// one counter for each key with waiters.
#[derive(Clone)]
pub struct Wakes(Arc<Inner>);

/// Like [`Wakes`], but does not keep the notifications alive.
pub(crate) struct WeakWakes(Weak<Inner>);

impl WeakWakes {
    pub(crate) fn upgrade(&self) -> Option<Wakes> {
        self.0.upgrade().map(Wakes)
    }
}

struct Inner {
    all: watch::Sender<u64>,
    /// Changes with `marked`.
    due: watch::Sender<u64>,
    keys: Mutex<Keys>,
    marked: Mutex<Marked>,
    /// Handles of other simulated servers in this process.
    peers: Mutex<Vec<Weak<Inner>>>,
    /// Channel to the task that notifies other servers.
    notify: Mutex<Option<mpsc::UnboundedSender<Key>>>,
}

#[derive(Default)]
struct Keys {
    // Sorted, so that a simulation wakes them in the same order again.
    waiting: BTreeMap<Key, watch::Sender<u64>>,
    /// Above this number, keys without waiters are removed.
    limit: usize,
}

impl Default for Wakes {
    fn default() -> Self {
        Self(Arc::new(Inner {
            all: watch::channel(0).0,
            due: watch::channel(0).0,
            keys: Mutex::default(),
            marked: Mutex::default(),
            peers: Mutex::default(),
            notify: Mutex::default(),
        }))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wakes {
    /// Increments the counter, so that all waiters check again.
    pub fn wake(&self) {
        lock(&self.0.marked).overflow = true;
        self.0.wake(&[]);
    }

    /// A receiver whose `changed()` resolves at the next notification.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.all.subscribe()
    }

    /// A receiver that resolves when keys were marked; see [`Wakes::marked`].
    #[must_use]
    pub fn subscribe_marked(&self) -> watch::Receiver<u64> {
        self.0.due.subscribe()
    }

    /// Takes the keys marked since the last call, on this or another server.
    /// Each handle supports one driver.
    #[must_use]
    pub fn marked(&self) -> Marked {
        std::mem::take(&mut *lock(&self.0.marked))
    }

    /// A receiver that resolves only when this key was marked or notified, so
    /// that a thousand waiters do not all react to each commit.
    #[must_use]
    pub fn subscribe_key(&self, kind: &str, id: &str) -> watch::Receiver<u64> {
        let mut keys = lock(&self.0.keys);
        if keys.waiting.len() > keys.limit.max(FEW) {
            keys.waiting.retain(|_, sender| sender.receiver_count() > 0);
            keys.limit = keys.waiting.len() * 2;
        }
        keys.waiting
            .entry((kind.to_owned(), id.to_owned()))
            .or_insert_with(|| watch::channel(0).0)
            .subscribe()
    }

    fn wake_keys(&self, woken: &WokenKeys) {
        let keys: Vec<Key> = woken.keys.iter().map(|(key, _)| key.clone()).collect();
        self.0
            .mark(woken.keys.iter().filter(|(_, m)| *m).map(|(k, _)| k));
        self.0.wake(&keys);
    }

    /// Notifies all waiters of the keys that a transaction wrote, on this and
    /// other servers. `delivers` decides for each other simulated server
    /// whether it receives the notification.
    pub(crate) fn announce(&self, woken: WokenKeys, delivers: impl Fn() -> bool) {
        if woken.keys.is_empty() {
            return;
        }
        self.wake_keys(&woken);
        let keys: Vec<Key> = woken.keys.into_iter().map(|(key, _)| key).collect();
        let peers: Vec<Arc<Inner>> = lock(&self.0.peers)
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        for peer in peers {
            if delivers() {
                peer.receive(&keys);
            }
        }
        if let Some(notify) = &*lock(&self.0.notify) {
            for key in keys {
                // The task runs until the process ends.
                let _ = notify.send(key);
            }
        }
    }

    /// The keys written by this server from now on, for the task that notifies
    /// other servers.
    pub(crate) fn forward(&self) -> mpsc::UnboundedReceiver<Key> {
        let (sender, receiver) = mpsc::unbounded_channel();
        *lock(&self.0.notify) = Some(sender);
        receiver
    }

    pub(crate) fn downgrade(&self) -> WeakWakes {
        WeakWakes(Arc::downgrade(&self.0))
    }

    /// Handles commits of another server.
    pub(crate) fn receive(&self, keys: &[Key]) {
        self.0.receive(keys);
    }

    /// Notifications for another simulated server, which receives all commits.
    pub(crate) fn for_simulated_server(&self) -> Self {
        let peer = Self::default();
        let mut known = lock(&self.0.peers);
        let mut alive: Vec<Arc<Inner>> = known.iter().filter_map(Weak::upgrade).collect();
        *known = alive.iter().map(Arc::downgrade).collect();
        drop(known);
        alive.push(self.0.clone());
        for other in alive {
            lock(&other.peers).push(Arc::downgrade(&peer.0));
            lock(&peer.0.peers).push(Arc::downgrade(&other));
        }
        peer
    }
}

impl Inner {
    fn mark<'k>(&self, keys: impl Iterator<Item = &'k Key>) {
        let mut marked = lock(&self.marked);
        for key in keys {
            if marked.keys.len() >= MARKED {
                marked.overflow = true;
                break;
            }
            marked.keys.insert(key.clone());
        }
    }

    /// Without keys all waiters are notified, because the changes are unknown.
    fn wake(&self, keys: &[Key]) {
        let map = lock(&self.keys);
        let advance = |sender: &watch::Sender<u64>| sender.send_modify(|n| *n += 1);
        if keys.is_empty() {
            map.waiting.values().for_each(advance);
        } else {
            keys.iter()
                .filter_map(|k| map.waiting.get(k))
                .for_each(advance);
        }
        drop(map);
        let pending = {
            let marked = lock(&self.marked);
            marked.overflow || !marked.keys.is_empty()
        };
        if pending {
            advance(&self.due);
        }
        advance(&self.all);
    }

    /// Handles commits of another server.
    fn receive(&self, keys: &[Key]) {
        if keys.is_empty() {
            lock(&self.marked).overflow = true;
        } else {
            self.mark(keys.iter());
        }
        self.wake(keys);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn woken(id: &str, marked: bool) -> WokenKeys {
        let mut woken = WokenKeys::default();
        woken.add("cluster", id, marked);
        woken
    }

    #[test]
    fn the_driver_gets_marked_keys_once_and_others_never() {
        let wakes = Wakes::default();
        let due = wakes.subscribe_marked();
        wakes.wake_keys(&woken("a", false));
        assert!(!due.has_changed().unwrap());
        wakes.wake_keys(&woken("b", true));
        assert!(due.has_changed().unwrap());
        let marked = wakes.marked();
        assert_eq!(
            marked.keys,
            BTreeSet::from([("cluster".into(), "b".into())])
        );
        assert_eq!(wakes.marked(), Marked::default());
        // A notification without keys requests a scan.
        wakes.wake();
        assert!(wakes.marked().overflow);
    }

    #[test]
    fn simulated_servers_receive_each_others_commits() {
        let a = Wakes::default();
        let (b, c) = (a.for_simulated_server(), a.for_simulated_server());
        let peers = |w: &Wakes| lock(&w.0.peers).len();
        assert_eq!((peers(&a), peers(&b), peers(&c)), (2, 2, 2));
        b.0.receive(&[("cluster".into(), "x".into())]);
        assert_eq!(b.marked().keys.len(), 1);
    }

    #[test]
    fn a_waiter_of_one_key_sleeps_through_others() {
        let wakes = Wakes::default();
        let mut mine = wakes.subscribe_key("cluster", "a");
        let mut all = wakes.subscribe();
        wakes.wake_keys(&woken("b", false));
        assert!(!mine.has_changed().unwrap());
        assert!(all.has_changed().unwrap());
        wakes.wake_keys(&woken("a", false));
        assert!(mine.has_changed().unwrap());
        mine.mark_unchanged();
        all.mark_unchanged();
        // A notification without keys wakes all waiters.
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
        let mut one = WokenKeys::default();
        one.add("k", "kept", false);
        wakes.wake_keys(&one);
        assert!(kept.has_changed().unwrap());
    }
}
