//! The service: state shared by its operations.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use db::Db;
use kernel::{Ctx, Enforcer, Result, Rule, Target};
use rest::Settings;

use crate::catalog::Listing;
use crate::dialect::Keystone;
use crate::errors::forbidden;
use crate::token::keyring::Keyring;
use crate::token::{self, cache::Cache};
use crate::{Bootstrapped, CatalogEntry, bootstrap};

/// Keystone's limit of a body, in bytes.
const BODY_LIMIT: usize = 114_688;

/// The identity service; cheap to clone.
#[derive(Clone)]
pub struct Identity {
    pub(crate) db: Db,
    pub(crate) keys: Arc<Keyring>,
    pub(crate) cache: Arc<Cache>,
    pub(crate) catalog: Arc<[Listing]>,
    pub(crate) policies: Arc<dyn Enforcer>,
}

impl Identity {
    /// `key_dir` is a Fernet key repository, created at the first start.
    ///
    /// # Errors
    /// `Internal` if the keys cannot be read or written.
    pub async fn new(
        db: Db,
        key_dir: &Path,
        catalog: Vec<CatalogEntry>,
        policies: Arc<dyn Enforcer>,
    ) -> Result<Self> {
        Ok(Self {
            db,
            keys: Arc::new(Keyring::open(key_dir)?),
            cache: Arc::default(),
            catalog: catalog.into_iter().map(Listing::new).collect(),
            policies,
        })
    }

    /// Fills a new database. `demo`: also creates the project `demo` with its
    /// user, unless one of them exists.
    ///
    /// # Errors
    /// Fails if the database fails.
    pub async fn bootstrap(&self, demo: bool) -> Result<Bootstrapped> {
        bootstrap::run(&self.db, demo).await
    }

    /// Keystone's API below `/identity`.
    ///
    /// # Errors
    /// `Internal` if the route table contradicts itself.
    pub fn service(&self) -> Result<rest::Service> {
        let routes = [
            token::http::routes(),
            crate::user::http::routes(),
            crate::project::http::routes(),
            crate::domain::http::routes(),
            crate::role::http::routes(),
            crate::grant::http::routes(),
            crate::grant::assignments::routes(),
            crate::app_credential::http::routes(),
            crate::catalog::http::routes(),
            crate::group::routes(),
        ];
        let mut settings = Settings::new("identity", "/identity", Arc::new(Keystone));
        settings.authenticator = Some(Arc::new(self.clone()));
        settings.body_limit = BODY_LIMIT;
        settings.vary = Some("X-Auth-Token");
        rest::Service::new(
            settings,
            self.clone(),
            routes.into_iter().flatten().collect(),
        )
    }

    /// # Errors
    /// `Forbidden` with Keystone's text if the rule denies.
    pub(crate) fn allow(&self, rule: &'static Rule, ctx: &Ctx, target: &Target) -> Result<()> {
        let checked = self.policies.check(rule, ctx, target);
        checked.map_err(|_| forbidden(rule))
    }
}

#[async_trait]
impl rest::Authenticator for Identity {
    async fn authenticate(&self, token: &str, request_id: &str) -> Result<Ctx> {
        let valid = token::ops::validate(self, token).await?;
        Ok(valid.ctx(request_id))
    }
}
