//! Application credentials: secrets that authenticate a user for one project.

pub(crate) mod http;
pub(crate) mod ops;
pub(crate) mod table;
pub(crate) mod wire;

/// An application credential as stored.
#[derive(Debug, Clone)]
pub(crate) struct AppCredential {
    pub id: String,
    pub name: String,
    pub user_id: String,
    pub project_id: String,
    pub secret_hash: String,
    /// Role ids.
    pub roles: Vec<String>,
    /// Microseconds.
    pub expires_at: Option<i64>,
    pub description: Option<String>,
    /// Whether its tokens may manage application credentials.
    pub unrestricted: bool,
}
