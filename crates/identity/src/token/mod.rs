//! Tokens: Fernet containers with Keystone's payloads, issued and validated.

pub(crate) mod cache;
pub(crate) mod fernet;
pub(crate) mod http;
pub mod keyring;
pub(crate) mod ops;
pub(crate) mod payload;
pub(crate) mod request;
pub(crate) mod table;
pub(crate) mod time;
pub(crate) mod wire;

use std::sync::Arc;

use kernel::{AccessRule, Ctx, Scope};
use payload::Payload;

use crate::app_credential::AppCredential;
use crate::project::Project;
use crate::role::Role;
use crate::trust::Trust;
use crate::user::User;
use time::TokenTime;

/// A valid token with all of its data.
#[derive(Debug, Clone)]
pub(crate) struct Valid {
    pub payload: Payload,
    pub issued_at: TokenTime,
    /// The user in whose name the token acts; see [`Valid::trust`].
    pub user: User,
    pub user_domain_name: String,
    /// Tokens issued before this time are invalid, because those of the user, or of a
    /// user of the trust, were revoked.
    pub users_after: TokenTime,
    /// `tokens_after` of the user who authenticated.
    pub bearer_after: TokenTime,
    /// The project or domain of the scope.
    pub target: Option<Project>,
    /// Name of the project's domain, or of the domain itself.
    pub target_domain_name: String,
    /// Tokens issued before this time are invalid, because the project or a domain
    /// was disabled.
    pub targets_after: TokenTime,
    pub roles: Vec<Role>,
    /// The credential by which the token was issued.
    pub credential: Option<AppCredential>,
    /// The trust that the token is scoped to. The payload has the id of the trustee, also
    /// if the token acts in the name of the trustor.
    pub trust: Option<Trust>,
}

impl Valid {
    /// Whether the token has only a part of the user's rights: it was not issued with the
    /// user's password, or with a token of that kind.
    pub(crate) fn is_delegated(&self) -> bool {
        use payload::{PASSWORD, Scope, TOKEN};
        let methods = self.payload.methods;
        let is_whole = matches!(
            self.payload.scope,
            Scope::Unscoped | Scope::Project(_) | Scope::Domain(_) | Scope::System
        );
        !is_whole || methods == 0 || methods & !(PASSWORD | TOKEN) != 0
    }

    /// The project of the scope.
    pub(crate) fn project_id(&self) -> Option<&str> {
        match &self.payload.scope {
            payload::Scope::Project(id)
            | payload::Scope::AppCredential { project_id: id, .. }
            | payload::Scope::Trust { project_id: id, .. } => Some(id),
            _ => None,
        }
    }

    /// The requests for which the token may be used, if they are limited.
    pub(crate) fn access_rules(&self) -> Option<&Arc<[AccessRule]>> {
        let credential = self.credential.as_ref();
        credential.and_then(|c| c.access_rules.0.as_ref())
    }

    pub(crate) fn ctx(&self, request_id: &str) -> Ctx {
        let scope = match (&self.payload.scope, &self.target) {
            (payload::Scope::System, _) => Scope::System,
            (payload::Scope::Domain(_), Some(d)) => Scope::Domain {
                id: d.as_domain(),
                name: d.name.clone(),
            },
            (_, Some(p)) => Scope::Project {
                id: p.id.clone(),
                name: p.name.clone(),
                domain_id: p.domain(),
            },
            (_, None) => Scope::Unscoped,
        };
        Ctx {
            request_id: request_id.to_owned(),
            user_id: self.user.id.clone(),
            user_name: self.user.name.clone(),
            user_domain_id: self.user.domain_id.clone(),
            scope,
            roles: self.roles.iter().map(|r| r.name.clone()).collect(),
            generation: None,
            access_rules: self.access_rules().cloned(),
            granted: kernel::Granted::default(),
        }
    }
}
