//! Projects and domains; a domain is a project with `is_domain`.

pub(crate) mod accessible;
pub(crate) mod change;
pub(crate) mod hierarchy;
pub(crate) mod http;
pub(crate) mod ops;
pub(crate) mod reader;
pub(crate) mod relatives;
pub(crate) mod table;
pub(crate) mod tag_http;
pub(crate) mod tree;
pub(crate) mod wire;

use kernel::{DomainId, ProjectId};

use crate::attributes::Attributes;
use crate::tags::Tags;
use crate::token::time::TokenTime;

/// Maximum depth of the project hierarchy, without the domain.
pub(crate) const MAX_DEPTH: usize = 5;

/// A project or domain as stored.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    pub id: ProjectId,
    pub name: String,
    /// Empty for a domain.
    pub domain_id: DomainId,
    pub parent_id: Option<ProjectId>,
    pub is_domain: bool,
    pub enabled: bool,
    pub description: String,
    pub options: Attributes,
    pub extra: Attributes,
    pub tags: Tags,
    /// Tokens with this scope, or with that of a project of this domain, that were
    /// issued before this time are invalid.
    pub tokens_after: TokenTime,
}

impl Project {
    /// The id of a domain, by which its users and projects name it.
    pub(crate) fn as_domain(&self) -> DomainId {
        self.id.as_str().into()
    }

    /// The domain that a project is in, or the domain itself.
    pub(crate) fn domain(&self) -> DomainId {
        if self.is_domain {
            self.as_domain()
        } else {
            self.domain_id.clone()
        }
    }
}
