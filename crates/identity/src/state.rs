//! What the operations of identity share.

use std::sync::Arc;

use db::Db;
use kernel::Enforcer;
use pki::Sealer;

use crate::catalog::OwnEntries;
use crate::token::cache::Cache;
use crate::token::keyring::Keyring;

/// The state of all operations and routes; cheap to clone.
#[derive(Clone)]
pub(crate) struct State {
    pub db: Db,
    pub keys: Arc<Keyring>,
    pub cache: Arc<Cache>,
    /// What this server keeps true in the catalogue.
    pub own_entries: Arc<OwnEntries>,
    pub policies: Arc<dyn Enforcer>,
    /// Seals secrets that are stored.
    pub sealer: Arc<Sealer>,
}
