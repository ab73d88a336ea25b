//! Roles and implied roles.

pub(crate) mod effective;
pub(crate) mod http;
mod inference;
pub(crate) mod inference_http;
pub(crate) mod ops;
pub(crate) mod table;
pub(crate) mod wire;

use kernel::DomainId;
use serde_json::{Map, Value};

use crate::attributes::Attributes;
use crate::ids::RoleId;
use crate::options;

/// A role as stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Role {
    pub id: RoleId,
    pub name: String,
    /// The domain of a role that is granted in this domain only. It is in no token, and gives
    /// the roles that it implies.
    pub domain_id: Option<DomainId>,
    pub description: String,
    pub options: Attributes,
    /// Attributes that Keystone does not know.
    pub extra: Attributes,
}

impl Role {
    /// The options with `immutable` for roles that the policies refer to.
    pub(crate) fn shown_options(&self) -> Map<String, Value> {
        let mut shown = self.options.0.clone();
        if self.is_built_in() {
            shown.insert(options::IMMUTABLE.into(), true.into());
        }
        shown
    }

    /// Whether the default policies refer to the role; such roles are immutable.
    pub(crate) fn is_built_in(&self) -> bool {
        let names = ["admin", "manager", "member", "reader", "service"];
        self.domain_id.is_none() && names.contains(&self.name.as_str())
    }

    pub(crate) fn is_immutable(&self) -> bool {
        self.is_built_in() || options::is_set(&self.options.0, options::IMMUTABLE)
    }
}
