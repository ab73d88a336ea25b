//! The scope of a token.

use serde::{Deserialize, Serialize};

/// What the token is scoped to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Scope {
    #[default]
    Unscoped,
    Project {
        id: String,
        name: String,
        domain_id: String,
    },
    Domain {
        id: String,
        name: String,
    },
    System,
}
