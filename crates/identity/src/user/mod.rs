//! Users.

pub(crate) mod http;
pub(crate) mod ops;
pub(crate) mod table;
pub(crate) mod wire;

use crate::attributes::Attributes;

/// A user as stored.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub id: String,
    pub name: String,
    pub domain_id: String,
    pub password_hash: Option<String>,
    pub enabled: bool,
    pub default_project_id: Option<String>,
    pub email: Option<String>,
    pub description: String,
    /// Tokens issued before this time (seconds) are invalid.
    pub tokens_after: i64,
    pub options: Attributes,
    pub extra: Attributes,
}
