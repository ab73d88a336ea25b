//! What a network is, and its names: pure.

use std::collections::BTreeMap;

use infra::BridgeSpec;
use kernel::OwnerKey;

use crate::face::{Network, Status};

/// A network's row.
#[derive(Debug, Clone)]
pub(crate) struct Net {
    pub id: String,
    pub project_id: String,
    pub name: String,
    pub external: bool,
    pub status: Status,
    pub status_reason: Option<String>,
    /// When the status was last set, microseconds: a build has a deadline.
    pub changed_at: i64,
    pub owner: Option<OwnerKey>,
}

impl Net {
    pub(crate) fn shown(self, subnets: Vec<String>) -> Network {
        Network {
            id: self.id,
            project_id: self.project_id,
            name: self.name,
            external: self.external,
            status: self.status,
            status_reason: self.status_reason,
            subnets,
        }
    }
}

/// The name of a network's bridge on the host.
#[must_use]
pub fn host_name(network_id: &str) -> String {
    format!("{}net-{network_id}", infra::PREFIX)
}

/// The bridge of a network and its subnet.
pub(crate) fn bridge(net: &Net, cidr: &str, gateway: &str, installation: &str) -> BridgeSpec {
    BridgeSpec {
        name: host_name(&net.id),
        labels: BTreeMap::from([
            (infra::LABEL.to_owned(), net.id.clone()),
            (
                infra::LABEL_INSTALLATION.to_owned(),
                installation.to_owned(),
            ),
        ]),
        cidr: cidr.into(),
        gateway: gateway.into(),
        internal: false,
        mtu: None,
    }
}

pub(crate) fn status_word(status: Status) -> &'static str {
    match status {
        Status::Build => "BUILD",
        Status::Active => "ACTIVE",
        Status::Deleting => "DELETING",
        Status::Down => "DOWN",
        Status::Error => "ERROR",
    }
}

pub(crate) fn status_of(word: &str) -> Status {
    match word {
        "BUILD" => Status::Build,
        "ACTIVE" => Status::Active,
        "DELETING" => Status::Deleting,
        "DOWN" => Status::Down,
        _ => Status::Error,
    }
}

/// What a removal waits for: the first ports by name, and how many more.
pub(crate) fn waits_for(ports: &[String]) -> String {
    let shown = ports.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    let more = ports.len().saturating_sub(3);
    match more {
        0 => format!("waits for ports to go: {shown}"),
        n => format!("waits for ports to go: {shown} and {n} more"),
    }
}
