//! The scope of a token.

use serde::{Deserialize, Serialize};

use crate::{DomainId, ProjectId};

/// What the token is scoped to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Scope {
    #[default]
    Unscoped,
    Project {
        id: ProjectId,
        name: String,
        domain_id: DomainId,
    },
    Domain {
        id: DomainId,
        name: String,
    },
    System,
}
