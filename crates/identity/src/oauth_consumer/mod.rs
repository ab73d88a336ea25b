//! Consumers of OAuth 1.0: programs that users can delegate roles to. Their secrets are
//! sealed, because requests will be signed with them.

pub(crate) mod http;
pub(crate) mod ops;
pub(crate) mod table;
pub(crate) mod wire;

use crate::attributes::Attributes;
use crate::ids::ConsumerId;

/// A consumer as stored.
#[derive(Debug, Clone)]
pub(crate) struct Consumer {
    pub id: ConsumerId,
    pub description: Option<String>,
    pub secret_sealed: String,
    pub extra: Attributes,
}

/// The purpose of a sealed secret; `{}` is replaced by the id of the consumer.
pub(crate) const PURPOSE: &str = "identity/oauth-consumer/{}";
