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

use kernel::{Ctx, Scope};
use payload::Payload;

use crate::app_credential::AppCredential;
use crate::project::Project;
use crate::role::Role;
use crate::user::User;
use time::TokenTime;

/// A valid token with all of its data.
#[derive(Debug, Clone)]
pub(crate) struct Valid {
    pub payload: Payload,
    pub issued_at: TokenTime,
    pub user: User,
    pub user_domain_name: String,
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
}

impl Valid {
    /// The project of the scope.
    pub(crate) fn project_id(&self) -> Option<&str> {
        match &self.payload.scope {
            payload::Scope::Project(id) | payload::Scope::AppCredential { project_id: id, .. } => {
                Some(id)
            }
            _ => None,
        }
    }

    pub(crate) fn ctx(&self, request_id: &str) -> Ctx {
        let scope = match (&self.payload.scope, &self.target) {
            (payload::Scope::System, _) => Scope::System,
            (payload::Scope::Project(_) | payload::Scope::AppCredential { .. }, Some(p)) => {
                Scope::Project {
                    id: p.id.clone(),
                    name: p.name.clone(),
                    domain_id: p.domain(),
                }
            }
            (payload::Scope::Domain(_), Some(d)) => Scope::Domain {
                id: d.as_domain(),
                name: d.name.clone(),
            },
            _ => Scope::Unscoped,
        };
        Ctx {
            request_id: request_id.to_owned(),
            user_id: self.user.id.clone(),
            user_name: self.user.name.clone(),
            user_domain_id: self.user.domain_id.clone(),
            scope,
            roles: self.roles.iter().map(|r| r.name.clone()).collect(),
            generation: None,
            granted: kernel::Granted::default(),
        }
    }
}
