//! Users.

pub(crate) mod http;
pub(crate) mod ops;
pub(crate) mod table;
pub(crate) mod wire;

use kernel::{DomainId, ProjectId, UserId};

use crate::attributes::Attributes;
use crate::token::time::TokenTime;

/// A user as stored.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub id: UserId,
    pub name: String,
    pub domain_id: DomainId,
    pub password_hash: Option<String>,
    pub enabled: bool,
    pub default_project_id: Option<ProjectId>,
    pub email: Option<String>,
    pub description: String,
    /// Tokens issued before this time (seconds) are invalid.
    pub tokens_after: TokenTime,
    pub options: Attributes,
    pub extra: Attributes,
}
