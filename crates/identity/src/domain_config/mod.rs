//! Configuration of domains: options of Keystone's identity drivers, which are stored and
//! shown. Sensitive options are sealed and never shown. This server has one driver for
//! all domains, so the options do not change how users log in.

pub(crate) mod http;
pub(crate) mod ops;
mod options;
pub(crate) mod table;
pub(crate) mod wire;

use kernel::DomainId;
use serde_json::{Map, Value};

/// An option that may be shown, as stored.
#[derive(Debug, Clone)]
pub(crate) struct DomainOption {
    pub domain_id: DomainId,
    pub group: String,
    pub name: String,
    pub value: Value,
}

/// A sensitive option, as stored.
#[derive(Debug, Clone)]
pub(crate) struct DomainSecret {
    pub domain_id: DomainId,
    pub group: String,
    pub name: String,
    /// The sealed JSON of the value.
    pub value_sealed: String,
}

/// The purpose of a sealed value; `{}` is replaced by the id of the domain.
pub(crate) const PURPOSE: &str = "identity/domain-config/{}";

/// Options by their groups.
pub(crate) type Config = Map<String, Value>;
