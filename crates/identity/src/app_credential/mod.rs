//! Application credentials: secrets that authenticate a user for one project.

use kernel::{ProjectId, Timestamp, UserId};

use crate::access_rule::stored::CredentialRules;
use crate::ids::{CredentialId, RoleId};

mod creator;
pub(crate) mod http;
pub(crate) mod ops;
pub(crate) mod table;
pub(crate) mod wire;

/// An application credential as stored.
#[derive(Debug, Clone)]
pub(crate) struct AppCredential {
    pub id: CredentialId,
    pub name: String,
    pub user_id: UserId,
    pub project_id: ProjectId,
    pub secret_hash: String,
    /// Role ids.
    pub roles: Vec<RoleId>,
    /// Microseconds.
    pub expires_at: Option<Timestamp>,
    pub description: Option<String>,
    /// Whether its tokens may manage application credentials.
    pub unrestricted: bool,
    /// The requests for which its tokens may be used.
    pub access_rules: CredentialRules,
}
