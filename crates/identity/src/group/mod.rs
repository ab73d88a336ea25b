//! Groups of users: a role of a group is a role of all its users.

pub(crate) mod http;
pub(crate) mod member_http;
pub(crate) mod ops;
pub(crate) mod table;
pub(crate) mod wire;

use kernel::DomainId;

use crate::attributes::Attributes;
use crate::ids::GroupId;

/// A group as stored.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub id: GroupId,
    pub name: String,
    pub domain_id: DomainId,
    pub description: String,
    pub extra: Attributes,
}
