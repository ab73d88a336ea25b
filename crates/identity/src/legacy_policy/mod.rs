//! Policies: texts that Keystone keeps for other services, with the endpoints that they
//! apply to. No service evaluates them; the rules of this server are in `policy.rs`.

pub(crate) mod http;
pub(crate) mod link_http;
pub(crate) mod links;
pub(crate) mod ops;
pub(crate) mod table;
pub(crate) mod wire;

use crate::attributes::Attributes;
use crate::ids::PolicyId;

/// A policy as stored.
#[derive(Debug, Clone)]
pub(crate) struct LegacyPolicy {
    pub id: PolicyId,
    pub kind: String,
    pub blob: String,
    pub extra: Attributes,
}

/// Which policy applies to an endpoint, to a service, or to a service in a region. What
/// a link does not name is empty.
#[derive(Debug, Clone)]
pub(crate) struct PolicyLink {
    pub policy_id: PolicyId,
    pub target: LinkTarget,
}

/// What a policy applies to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LinkTarget {
    pub endpoint_id: String,
    pub service_id: String,
    pub region_id: String,
}
