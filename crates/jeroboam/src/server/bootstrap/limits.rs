//! Limits and counts connections, in total and per source address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Maximum per source address: an agent of this release has one connection, an
/// agent of the previous release opens one per call.
const PER_SOURCE: usize = 32;
/// Maximum in total, independent of the number of file descriptors.
const MOST: u64 = 100_000;
/// Descriptors reserved for the database, the engine, the API and listeners.
const RESERVED: u64 = 512;

/// Counts connections; cheap to clone.
#[derive(Clone)]
pub struct Limits(Arc<Inner>);

struct Inner {
    total: usize,
    open: Mutex<Open>,
    refused: AtomicU64,
    listeners: AtomicUsize,
}

#[derive(Default)]
struct Open {
    all: usize,
    by_source: BTreeMap<IpAddr, usize>,
}

/// Current values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionCounts {
    pub listeners: usize,
    pub connections: usize,
    /// Total since the start.
    pub refused: u64,
}

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    Total(usize),
    Source(usize),
}

/// A connection, counted until it is dropped.
pub struct Admitted(Arc<Inner>, IpAddr);

/// A listener, counted until it is dropped.
pub struct Listening(Arc<Inner>);

impl Limits {
    /// `descriptors`: limit of open file descriptors of the process.
    pub fn new(descriptors: u64) -> Self {
        let total = descriptors.saturating_sub(RESERVED).clamp(64, MOST);
        Self(Arc::new(Inner {
            total: usize::try_from(total).unwrap_or(usize::MAX),
            open: Mutex::default(),
            refused: AtomicU64::new(0),
            listeners: AtomicUsize::new(0),
        }))
    }

    /// Admits a connection, unless there are too many.
    pub fn admit(&self, source: IpAddr) -> Result<Admitted, Refusal> {
        let admitted = self.0.with(|open| {
            if open.all >= self.0.total {
                return Err(Refusal::Total(self.0.total));
            }
            let own = open.by_source.entry(source).or_default();
            if *own >= PER_SOURCE {
                return Err(Refusal::Source(PER_SOURCE));
            }
            *own += 1;
            open.all += 1;
            Ok(Admitted(self.0.clone(), source))
        });
        if admitted.is_err() {
            self.0.refused.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }

    /// Counts a listening socket.
    pub fn listening(&self) -> Listening {
        self.0.listeners.fetch_add(1, Ordering::Relaxed);
        Listening(self.0.clone())
    }

    pub fn figures(&self) -> ConnectionCounts {
        ConnectionCounts {
            listeners: self.0.listeners.load(Ordering::Relaxed),
            connections: self.0.with(|open| open.all),
            refused: self.0.refused.load(Ordering::Relaxed),
        }
    }
}

impl Inner {
    fn with<T>(&self, act: impl FnOnce(&mut Open) -> T) -> T {
        act(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.with(|open| {
            open.all -= 1;
            if let Some(own) = open.by_source.get_mut(&self.1) {
                *own -= 1;
                if *own == 0 {
                    open.by_source.remove(&self.1);
                }
            }
        });
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.listeners.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    #[test]
    fn one_source_cannot_take_what_belongs_to_all() {
        let limits = Limits::new(0);
        let mut held: Vec<Admitted> = (0..PER_SOURCE)
            .map(|_| limits.admit(source(1)).ok().unwrap())
            .collect();
        assert_eq!(limits.admit(source(1)).err(), Some(Refusal::Source(32)));
        held.extend((0..32).map(|_| limits.admit(source(2)).ok().unwrap()));
        assert_eq!(limits.admit(source(3)).err(), Some(Refusal::Total(64)));
        assert_eq!(limits.figures().refused, 2);
        held.clear();
        assert_eq!(limits.figures().connections, 0);
        assert!(limits.admit(source(1)).is_ok());
    }
}
