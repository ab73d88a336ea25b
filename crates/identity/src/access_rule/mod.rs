//! Access rules of users: the requests for which application credentials can be used.
//! Equal rules of a user are one rule.

pub(crate) mod http;
pub(crate) mod ops;
pub(crate) mod stored;
pub(crate) mod table;
pub(crate) mod wire;

use kernel::{AccessRule, UserId};

use crate::ids::AccessRuleId;

/// A rule as stored.
#[derive(Debug, Clone)]
pub(crate) struct UserRule {
    pub id: AccessRuleId,
    pub user_id: UserId,
    pub service: String,
    pub path: String,
    pub method: String,
}

impl UserRule {
    pub(crate) fn rule(&self) -> AccessRule {
        AccessRule {
            id: self.id.clone().into(),
            service: self.service.clone(),
            path: self.path.clone(),
            method: self.method.clone(),
        }
    }
}
