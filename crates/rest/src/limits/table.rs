//! The open connections of a listener, and which one is closed when another one
//! needs its place.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Settings, source_of};

pub(super) type Id = u64;

/// How long a connection has to send its request before another one may take its
/// place. A burst of connections waits meanwhile, because it would otherwise
/// replace clients whose requests are on the way.
const REQUEST_GRACE: Duration = Duration::from_millis(50);

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The listener is full of connections that are in use.
    Total,
    /// The same, for the source.
    Source,
}

/// The place of a connection in a [`Queue`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// A request was refused because the client is not authenticated.
    Refused,
    /// No request was received completely.
    Unserved,
    /// A request was received completely; the next one is awaited.
    Served,
}

/// What is known of one connection.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// Requests whose answers are not sent yet.
    pub(super) exchanges: u32,
    /// Those of them that were received completely.
    pub(super) received: u32,
    /// Whether any request was received completely.
    pub(super) served: bool,
    pub(super) refused: bool,
    pub(super) authenticated: bool,
}

impl Entry {
    /// `None`: the connection is in use.
    fn class(&self) -> Option<Class> {
        if self.authenticated {
            return None;
        }
        if self.refused {
            return Some(Class::Refused);
        }
        if self.received > 0 {
            return None;
        }
        Some(if self.served {
            Class::Served
        } else {
            Class::Unserved
        })
    }
}

struct Open {
    source: IpAddr,
    closed: CancellationToken,
    since: Instant,
    entry: Entry,
    /// Its place in the queues.
    queued: Option<(Class, u64)>,
}

/// Connections that may be closed, in the order in which they entered their
/// state.
#[derive(Default)]
struct Queue {
    refused: BTreeMap<u64, Id>,
    unserved: BTreeMap<u64, Id>,
    served: BTreeMap<u64, Id>,
}

impl Queue {
    fn len(&self) -> usize {
        self.refused.len() + self.unserved.len() + self.served.len()
    }

    fn of(&mut self, class: Class) -> &mut BTreeMap<u64, Id> {
        match class {
            Class::Refused => &mut self.refused,
            Class::Unserved => &mut self.unserved,
            Class::Served => &mut self.served,
        }
    }

    /// The connection to close. Connections without a request are closed before
    /// those with one, but a quarter of `limit` is reserved for them: otherwise many
    /// connections that each sent one request would keep new ones out.
    fn victim(&self, limit: usize) -> Option<Id> {
        let unserved_first = self.unserved.len() > limit / 4;
        let [first, second] = if unserved_first {
            [&self.unserved, &self.served]
        } else {
            [&self.served, &self.unserved]
        };
        [&self.refused, first, second]
            .into_iter()
            .find_map(|queue| queue.values().next().copied())
    }
}

#[derive(Default)]
struct Source {
    open: usize,
    queue: Queue,
}

pub(super) struct Table {
    connections: usize,
    per_source: usize,
    unauthenticated: usize,
    unauthenticated_per_source: usize,
    next: u64,
    open: HashMap<Id, Open>,
    sources: HashMap<IpAddr, Source>,
    all: Source,
    /// Totals since the start.
    pub(super) evicted: u64,
    pub(super) refused: u64,
}

impl Table {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            connections: settings.connections,
            per_source: settings.per_source,
            unauthenticated: settings.unauthenticated,
            unauthenticated_per_source: settings.unauthenticated_per_source,
            next: 0,
            open: HashMap::new(),
            sources: HashMap::new(),
            all: Source::default(),
            evicted: 0,
            refused: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Admits a connection, which is to be closed when `closed` is cancelled.
    /// `proxy`: no limit per source applies.
    pub(super) fn admit(
        &mut self,
        address: IpAddr,
        proxy: bool,
        closed: CancellationToken,
    ) -> Result<Id, Refusal> {
        let source = source_of(address);
        if !proxy && let Some(own) = self.sources.get(&source) {
            let full =
                own.open >= self.per_source || own.queue.len() >= self.unauthenticated_per_source;
            if full {
                let victim = own.queue.victim(self.unauthenticated_per_source);
                self.evict(victim, Refusal::Source)?;
            }
        }
        if self.all.open >= self.connections || self.all.queue.len() >= self.unauthenticated {
            self.evict_one()?;
        }
        let id = self.next_number();
        self.open.insert(
            id,
            Open {
                source,
                closed,
                since: Instant::now(),
                entry: Entry::default(),
                queued: None,
            },
        );
        self.all.open += 1;
        self.sources.entry(source).or_default().open += 1;
        self.update(id, |_| {});
        Ok(id)
    }

    /// How long the next connection has to wait until the one that it would
    /// replace has had its time.
    pub(super) fn pause(&self) -> Duration {
        if self.all.open < self.connections && self.all.queue.len() < self.unauthenticated {
            return Duration::ZERO;
        }
        let victim = self.all.queue.victim(self.unauthenticated);
        let open = victim.and_then(|id| self.open.get(&id));
        open.map_or(Duration::ZERO, |open| {
            REQUEST_GRACE.saturating_sub(open.since.elapsed())
        })
    }

    /// Closes one connection that is not in use.
    pub(super) fn evict_one(&mut self) -> Result<(), Refusal> {
        let victim = self.all.queue.victim(self.unauthenticated);
        self.evict(victim, Refusal::Total)
    }

    fn evict(&mut self, victim: Option<Id>, refusal: Refusal) -> Result<(), Refusal> {
        let Some(closed) = victim.and_then(|id| self.remove(id)) else {
            self.refused += 1;
            return Err(refusal);
        };
        self.evicted += 1;
        closed.cancel();
        Ok(())
    }

    /// Forgets a connection; returns what closes it, if it was known.
    pub(super) fn remove(&mut self, id: Id) -> Option<CancellationToken> {
        self.dequeue(id);
        let open = self.open.remove(&id)?;
        self.all.open -= 1;
        if let Some(source) = self.sources.get_mut(&open.source) {
            source.open -= 1;
            if source.open == 0 {
                self.sources.remove(&open.source);
            }
        }
        Some(open.closed)
    }

    /// Changes what is known of a connection, which becomes the newest of its
    /// class. Does nothing if the connection was evicted.
    pub(super) fn update<T>(&mut self, id: Id, change: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        self.dequeue(id);
        let number = self.next_number();
        let open = self.open.get_mut(&id)?;
        let result = change(&mut open.entry);
        if let Some(class) = open.entry.class() {
            open.queued = Some((class, number));
            let source = self.sources.entry(open.source).or_default();
            source.queue.of(class).insert(number, id);
            self.all.queue.of(class).insert(number, id);
        }
        Some(result)
    }

    fn dequeue(&mut self, id: Id) {
        let Some(open) = self.open.get_mut(&id) else {
            return;
        };
        if let Some((class, number)) = open.queued.take() {
            self.all.queue.of(class).remove(&number);
            if let Some(source) = self.sources.get_mut(&open.source) {
                source.queue.of(class).remove(&number);
            }
        }
    }

    fn next_number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(connections: usize, per_source: usize) -> Table {
        Table::new(&Settings {
            connections,
            per_source,
            unauthenticated: connections,
            unauthenticated_per_source: per_source,
            ..Settings::default()
        })
    }

    fn source(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    /// A connection of this source, and whether it was closed.
    fn admit(table: &mut Table, n: u8) -> Result<(Id, CancellationToken), Refusal> {
        let closed = CancellationToken::new();
        let id = table.admit(source(n), false, closed.clone())?;
        Ok((id, closed))
    }

    fn receive(table: &mut Table, id: Id) {
        table.update(id, |e| {
            e.exchanges += 1;
            e.received += 1;
            e.served = true;
        });
    }

    fn finish(table: &mut Table, id: Id) {
        table.update(id, |e| {
            e.exchanges -= 1;
            e.received -= 1;
        });
    }

    #[test]
    fn the_oldest_connection_without_a_request_is_closed_for_a_new_one() {
        let mut t = table(4, 4);
        let all: Vec<_> = (0..4).map(|n| admit(&mut t, n).unwrap()).collect();
        // One waits for its next request, one is being answered.
        receive(&mut t, all[0].0);
        finish(&mut t, all[0].0);
        receive(&mut t, all[1].0);
        let new = admit(&mut t, 9).unwrap();
        let closed: Vec<bool> = all.iter().map(|(_, c)| c.is_cancelled()).collect();
        assert_eq!(closed, [false, false, true, false]);
        assert_eq!((t.len(), t.evicted, t.refused), (4, 1, 0));
        // What an evicted connection still reports is ignored.
        receive(&mut t, all[2].0);
        assert!(t.remove(all[2].0).is_none());
        assert!(!new.1.is_cancelled());
    }

    #[test]
    fn connections_that_sent_one_request_do_not_keep_new_ones_out() {
        let mut t = table(8, 8);
        let idle: Vec<_> = (0..8).map(|n| admit(&mut t, n).unwrap()).collect();
        for (id, _) in &idle {
            receive(&mut t, *id);
            finish(&mut t, *id);
        }
        let new: Vec<_> = (10..12).map(|n| admit(&mut t, n).unwrap()).collect();
        assert!(new.iter().all(|(_, c)| !c.is_cancelled()));
        assert!(idle[0].1.is_cancelled() && idle[1].1.is_cancelled());
    }

    #[test]
    fn requests_in_process_are_not_interrupted() {
        let mut t = table(2, 2);
        let busy: Vec<_> = (0..2).map(|n| admit(&mut t, n).unwrap()).collect();
        for (id, _) in &busy {
            receive(&mut t, *id);
        }
        assert_eq!(admit(&mut t, 3).unwrap_err(), Refusal::Total);
        assert_eq!(t.refused, 1);
        finish(&mut t, busy[1].0);
        assert!(admit(&mut t, 3).is_ok());
        assert!(busy[1].1.is_cancelled() && !busy[0].1.is_cancelled());
    }

    #[test]
    fn a_source_at_its_limit_closes_its_own_connections_only() {
        let mut t = table(64, 2);
        let other = admit(&mut t, 1).unwrap();
        let own: Vec<_> = (0..3).map(|_| admit(&mut t, 2).unwrap()).collect();
        assert!(own[0].1.is_cancelled() && !own[1].1.is_cancelled());
        assert!(!other.1.is_cancelled());
        receive(&mut t, own[1].0);
        receive(&mut t, own[2].0);
        assert_eq!(admit(&mut t, 2).unwrap_err(), Refusal::Source);
        // A proxy has no limit per source.
        assert!(
            t.admit(source(2), true, CancellationToken::new()).is_ok(),
            "proxy"
        );
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_source() {
        let mut t = table(64, 1);
        let (first, second) = (CancellationToken::new(), CancellationToken::new());
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        t.admit(at("2001:db8::1"), false, first.clone()).unwrap();
        t.admit(at("2001:db8:0:0:9::"), false, second.clone())
            .unwrap();
        assert!(first.is_cancelled());
        t.admit(at("2001:db8:0:1::1"), false, CancellationToken::new())
            .unwrap();
        assert!(!second.is_cancelled());
        assert_eq!(source_of(at("::ffff:10.0.0.1")), source(1));
    }

    #[test]
    fn the_unauthenticated_do_not_close_the_authenticated() {
        let mut t = Table::new(&Settings {
            connections: 8,
            per_source: 4,
            unauthenticated: 4,
            unauthenticated_per_source: 2,
            ..Settings::default()
        });
        let agent = admit(&mut t, 1).unwrap();
        t.update(agent.0, |e| e.authenticated = true);
        for _ in 0..100 {
            admit(&mut t, 1).unwrap();
        }
        // The agent of the same source connects again.
        let again = admit(&mut t, 1).unwrap();
        t.update(again.0, |e| e.authenticated = true);
        for n in 2..100 {
            admit(&mut t, n).unwrap();
        }
        assert!(!agent.1.is_cancelled() && !again.1.is_cancelled());
        assert_eq!(t.len(), 2 + 4);
        // Requests of a refused client can be interrupted.
        let stranger = admit(&mut t, 1).unwrap();
        receive(&mut t, stranger.0);
        t.update(stranger.0, |e| e.refused = true);
        let other = admit(&mut t, 1).unwrap();
        receive(&mut t, other.0);
        admit(&mut t, 1).unwrap();
        assert!(stranger.1.is_cancelled() && !other.1.is_cancelled());
    }

    #[test]
    fn a_closed_connection_gives_its_place_back() {
        let mut t = table(2, 2);
        let ids: Vec<_> = (0..2).map(|_| admit(&mut t, 1).unwrap().0).collect();
        for id in ids {
            assert!(t.remove(id).is_some());
        }
        assert_eq!(t.len(), 0);
        assert!(t.sources.is_empty() && t.all.queue.unserved.is_empty());
    }
}
