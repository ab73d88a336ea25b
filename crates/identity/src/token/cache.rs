//! Validated tokens and the catalogue, cached for two seconds: under load an API queries the
//! database once per token, and a revocation on another server takes effect
//! within two seconds. On this server it takes effect at once. Routes of identity
//! that change something do not use the cache.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::time::Instant;

use super::Valid;
use crate::catalog::Catalog;

const KEEP: Duration = Duration::from_secs(2);
/// Above this number expired entries are removed.
const MANY: usize = 4096;

#[derive(Default)]
pub(crate) struct Cache {
    map: RwLock<HashMap<String, (Instant, Arc<Valid>)>>,
    catalog: RwLock<Option<(Instant, Arc<Catalog>)>>,
    /// How often the cache was cleared.
    generation: AtomicU64,
}

impl Cache {
    pub(crate) fn get(&self, token: &str) -> Option<Arc<Valid>> {
        let map = self.map.read().ok()?;
        let (at, valid) = map.get(token)?;
        (at.elapsed() < KEEP).then(|| valid.clone())
    }

    /// To be read before what is put into the cache is loaded: what was loaded before
    /// the cache was cleared is not stored.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    pub(crate) fn put(&self, token: &str, valid: Arc<Valid>, generation: u64) {
        if let Ok(mut map) = self.map.write()
            && self.generation() == generation
        {
            if map.len() >= MANY {
                map.retain(|_, (at, _)| at.elapsed() < KEEP);
            }
            map.insert(token.to_owned(), (Instant::now(), valid));
        }
    }

    pub(crate) fn catalog(&self) -> Option<Arc<Catalog>> {
        let stored = self.catalog.read().ok()?;
        let (at, catalog) = stored.as_ref()?;
        (at.elapsed() < KEEP).then(|| catalog.clone())
    }

    pub(crate) fn put_catalog(&self, catalog: Arc<Catalog>, generation: u64) {
        if let Ok(mut stored) = self.catalog.write()
            && self.generation() == generation
        {
            *stored = Some((Instant::now(), catalog));
        }
    }

    /// Called after every change of users, projects, roles, revocations, services or
    /// endpoints.
    pub(crate) fn clear(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        if let Ok(mut stored) = self.catalog.write() {
            *stored = None;
        }
        if let Ok(mut map) = self.map.write() {
            map.clear();
        }
    }
}
