//! Roles and implied roles.

pub(crate) mod effective;
pub(crate) mod http;
mod inference;
pub(crate) mod inference_http;
pub(crate) mod ops;
pub(crate) mod table;
pub(crate) mod wire;

use serde_json::{Map, Value};

use crate::attributes::Attributes;
use crate::ids::RoleId;
use crate::options;

/// A role as stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Role {
    pub id: RoleId,
    pub name: String,
    pub description: String,
    pub options: Attributes,
}

impl Role {
    /// The options with `immutable` for roles that the policies refer to.
    pub(crate) fn shown_options(&self) -> Map<String, Value> {
        let mut shown = self.options.0.clone();
        if is_built_in(&self.name) {
            shown.insert(options::IMMUTABLE.into(), true.into());
        }
        shown
    }

    pub(crate) fn is_immutable(&self) -> bool {
        is_built_in(&self.name) || options::is_set(&self.options.0, options::IMMUTABLE)
    }
}

/// Roles of the default policies; they are immutable.
pub(crate) fn is_built_in(name: &str) -> bool {
    ["admin", "manager", "member", "reader", "service"].contains(&name)
}
