//! Projects and domains; a domain is a project with `is_domain`.

pub(crate) mod change;
pub(crate) mod hierarchy;
pub(crate) mod http;
pub(crate) mod ops;
pub(crate) mod table;
pub(crate) mod wire;

use crate::attributes::Attributes;

/// Maximum depth of the project hierarchy, without the domain.
pub(crate) const MAX_DEPTH: usize = 5;

/// A project or domain as stored.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    pub id: String,
    pub name: String,
    /// Empty for a domain.
    pub domain_id: String,
    pub parent_id: Option<String>,
    pub is_domain: bool,
    pub enabled: bool,
    pub description: String,
    pub options: Attributes,
    pub extra: Attributes,
}
