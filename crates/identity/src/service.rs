//! The service: state shared by its operations.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::middleware::from_fn;
use axum::routing::any;
use db::Db;
use kernel::{Ctx, Enforcer as _, Result, Target};
use rest::policy::Policies;

use crate::token::keyring::Keyring;
use crate::token::{self, cache::Cache};
use crate::{Bootstrapped, CatalogEntry, bootstrap, call};

/// The identity service; cheap to clone.
#[derive(Clone)]
pub struct Identity {
    pub(crate) db: Db,
    pub(crate) keys: Arc<Keyring>,
    pub(crate) cache: Arc<Cache>,
    pub(crate) catalog: Arc<Vec<CatalogEntry>>,
    pub(crate) policies: Arc<Policies>,
    pub(crate) public_endpoint: Option<Arc<str>>,
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
        public_endpoint: Option<String>,
    ) -> Result<Self> {
        Ok(Self {
            db,
            keys: Arc::new(Keyring::open(key_dir)?),
            cache: Arc::default(),
            catalog: Arc::new(catalog),
            policies: Arc::new(Policies::new(crate::policies())?),
            public_endpoint: public_endpoint.map(Into::into),
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

    /// Makes the staged key the primary one, and stages a new one.
    ///
    /// # Errors
    /// `Internal` if the directory cannot be written.
    pub fn rotate_keys(&self) -> Result<()> {
        self.keys.rotate()
    }

    /// The routes, with their full paths under `/identity`.
    pub fn routes(&self) -> Router {
        let auth: Arc<dyn rest::Authenticator> = Arc::new(self.clone());
        let dialect: Arc<dyn rest::Dialect> = Arc::new(crate::dialect::Keystone);
        rest::require_auth(
            token::http::routes(self.clone()).merge(self.resources()),
            auth,
            dialect,
            &["/identity", "/identity/v3", "/identity/v3/auth/tokens"],
        )
        .merge(
            crate::user::http::public()
                .layer(from_fn(call::render_refusals))
                .with_state(self.clone()),
        )
    }

    /// All routes except those of tokens.
    fn resources(&self) -> Router {
        Router::new()
            .merge(crate::user::http::routes())
            .merge(crate::project::http::routes())
            .merge(crate::domain::http::routes())
            .merge(crate::role::http::routes())
            .merge(crate::grant::http::routes())
            .merge(crate::grant::assignments::routes())
            .merge(crate::app_credential::http::routes())
            .merge(crate::catalog_http::routes())
            .route("/identity/{*path}", any(call::unknown))
            .layer(from_fn(call::render_refusals))
            .with_state(self.clone())
    }

    /// # Errors
    /// `Forbidden` with Keystone's text if the rule denies.
    pub(crate) fn allow(&self, rule: &str, ctx: &Ctx, target: &Target) -> Result<()> {
        if self.policies.allows(rule, ctx, target) {
            return Ok(());
        }
        Err(call::forbidden(rule))
    }
}

#[async_trait]
impl rest::Authenticator for Identity {
    async fn authenticate(&self, token: &str, request_id: &str) -> Result<Ctx> {
        let valid = token::ops::validate(self, token).await?;
        Ok(valid.ctx(request_id))
    }
}
