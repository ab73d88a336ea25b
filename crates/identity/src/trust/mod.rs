//! Trusts: a user delegates roles on a project to another user.

pub(crate) mod chain;
pub(crate) mod http;
pub(crate) mod ops;
pub(crate) mod table;
pub(crate) mod wire;

use kernel::{ProjectId, Timestamp, UserId};

use crate::attributes::Attributes;
use crate::ids::{RoleId, TrustId};

/// How often a trust can be redelegated; Keystone's default.
pub(crate) const MAX_REDELEGATIONS: i64 = 3;

/// A trust as stored.
#[derive(Debug, Clone)]
pub(crate) struct Trust {
    pub id: TrustId,
    /// The user who delegates.
    pub trustor_user_id: UserId,
    /// The user who gets tokens of the trust.
    pub trustee_user_id: UserId,
    /// A trust without a project gives no tokens.
    pub project_id: Option<ProjectId>,
    /// Whether its tokens act in the name of the trustor.
    pub impersonation: bool,
    /// Role ids, without those that they imply.
    pub roles: Vec<RoleId>,
    /// Microseconds.
    pub expires_at: Option<Timestamp>,
    /// How many more tokens can be issued; `None` for any number.
    pub remaining_uses: Option<i64>,
    /// The trust by which the trustor got the roles.
    pub redelegated_trust_id: Option<TrustId>,
    /// How often the trustee, and those after the trustee, can redelegate it.
    pub redelegation_count: i64,
    pub extra: Attributes,
}

impl Trust {
    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Whether it can no longer give tokens; Keystone then hides it.
    pub(crate) fn is_spent(&self, now: Timestamp) -> bool {
        self.is_expired(now) || self.remaining_uses.is_some_and(|uses| uses <= 0)
    }
}
