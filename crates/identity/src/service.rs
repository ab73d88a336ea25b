//! The service: its start, its route table, and the authentication of callers.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use db::Db;
use kernel::{Ctx, Enforcer, Error, Result};
use pki::Sealer;
use rest::Settings;

use crate::bootstrap::{self, Bootstrapped};
use crate::catalog::{self, CatalogEntry, OwnEntries, keep_own_entries};
use crate::dialect::Keystone;
use crate::state::State;
use crate::token::Valid;
use crate::token::keyring::Keyring;
use crate::token::ops::validate::{validate, validate_uncached};
use crate::token::payload::EC2_CREDENTIAL;
use crate::{
    access_rule, app_credential, domain, domain_config, ec2_token, endpoint_filter, grant, group,
    legacy_policy, oauth_consumer, project, role, token, trust, user, user_credential, version,
};

/// Keystone's limit of a body, in bytes.
const BODY_LIMIT: usize = 114_688;

/// The identity service; cheap to clone.
#[derive(Clone)]
pub struct Identity(State);

impl Identity {
    /// `key_dir` is a Fernet key repository, created at the first start. Writes the
    /// `catalog` entries of this server into the migrated database. `sealer` seals
    /// secrets that are stored.
    ///
    /// # Errors
    /// `Internal` if the keys cannot be read or written; fails if the database fails.
    pub async fn new(
        db: Db,
        key_dir: &Path,
        catalog: Vec<CatalogEntry>,
        policies: Arc<dyn Enforcer>,
        sealer: Arc<Sealer>,
    ) -> Result<Self> {
        let own_entries = OwnEntries::new(&catalog);
        keep_own_entries(&db, &own_entries).await?;
        Ok(Self(State {
            db,
            keys: Arc::new(Keyring::open(key_dir)?),
            cache: Arc::default(),
            own_entries: Arc::new(own_entries),
            policies,
            sealer,
        }))
    }

    /// Fills a new database. `demo`: also creates the project `demo` with its
    /// user, unless one of them exists.
    ///
    /// # Errors
    /// Fails if the database fails.
    pub async fn bootstrap(&self, demo: bool) -> Result<Bootstrapped> {
        bootstrap::run(&self.0.db, demo).await
    }

    /// Keystone's API below `/identity`.
    ///
    /// # Errors
    /// `Internal` if the route table contradicts itself.
    pub fn service(&self) -> Result<rest::Service> {
        let routes = [
            version::routes(),
            token::http::routes(),
            user::http::routes(),
            project::http::routes(),
            project::tag_http::routes(),
            domain::http::routes(),
            domain_config::http::routes(),
            role::http::routes(),
            role::inference_http::routes(),
            grant::http::routes(),
            grant::assignments::http::routes(),
            app_credential::http::routes(),
            user_credential::http::routes(),
            user_credential::ec2_http::routes(),
            access_rule::http::routes(),
            ec2_token::http::routes(),
            catalog::http::routes(),
            endpoint_filter::http::routes(),
            endpoint_filter::project_http::routes(),
            legacy_policy::http::routes(),
            legacy_policy::link_http::routes(),
            oauth_consumer::http::routes(),
            group::http::routes(),
            group::member_http::routes(),
            trust::http::routes(),
        ];
        let mut settings = Settings::new("identity", "/identity", Arc::new(Keystone));
        settings.service_type = Some("identity");
        settings.authenticator = Some(Arc::new(Callers(self.clone())));
        settings.body_limit = BODY_LIMIT;
        settings.vary = Some("X-Auth-Token");
        rest::Service::new(
            settings,
            self.0.clone(),
            routes.into_iter().flatten().collect(),
        )
    }
}

#[async_trait]
impl rest::Authenticator for Identity {
    async fn authenticate(&self, token: &str, request_id: &str) -> Result<Ctx> {
        let valid = validate(&self.0, token).await?;
        Ok(valid.ctx(request_id))
    }
}

/// Authenticates the callers of identity itself. Users, roles and passwords outlast
/// the token that changed them: a caller who lost a role at another server must
/// not use the two seconds of the cache to keep access. Therefore only reading routes
/// use the cache.
struct Callers(Identity);

#[async_trait]
impl rest::Authenticator for Callers {
    async fn authenticate(&self, token: &str, request_id: &str) -> Result<Ctx> {
        let valid = validate(&self.0.0, token).await?;
        refuse_key_pair(&valid)?;
        Ok(valid.ctx(request_id))
    }

    async fn authenticate_change(&self, token: &str, request_id: &str) -> Result<Ctx> {
        let valid = validate_uncached(&self.0.0, token).await?;
        refuse_key_pair(&valid)?;
        Ok(valid.ctx(request_id))
    }
}

/// The tokens of key pairs of EC2 are for other services: a signature for one of these
/// must not give access to passwords and roles.
fn refuse_key_pair(valid: &Valid) -> Result<()> {
    if valid.payload.methods & EC2_CREDENTIAL != 0 {
        return Err(Error::forbidden(
            "EC2 credential tokens cannot be used for authorization.",
        ));
    }
    Ok(())
}
