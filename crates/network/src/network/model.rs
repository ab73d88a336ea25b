//! What a network is, and its names: pure.

use std::collections::BTreeMap;

use infra::BridgeSpec;
use kernel::OwnerKey;

use crate::face::{Network, Status};

db::table! {
    /// A network's row.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct NetworkRow in "network" {
        pub id: String,
        pub project_id: String,
        pub name: String,
        pub is_external: bool,
        pub status: Status,
        pub status_reason: Option<String>,
        /// When the status was last set, microseconds.
        pub changed_at: i64,
        pub owner_kind: Option<String>,
        pub owner_id: Option<String>,
        pub created_at: i64,
        /// Counts the subnets that it has had: each gets a bridge of its own.
        pub build: i64,
    }
}

db::words! {
    Status:
    Build = "BUILD",
    Active = "ACTIVE",
    Deleting = "DELETING",
    Down = "DOWN",
    Error = "ERROR",
}

impl NetworkRow {
    pub(crate) fn owner(&self) -> Option<OwnerKey> {
        owner_key(self.owner_kind.as_ref(), self.owner_id.as_ref())
    }

    pub(crate) fn shown(self, subnets: Vec<String>) -> Network {
        Network {
            id: self.id,
            project_id: self.project_id,
            name: self.name,
            external: self.is_external,
            status: self.status,
            status_reason: self.status_reason,
            subnets,
        }
    }
}

/// Two columns as one key.
pub(crate) fn owner_key(kind: Option<&String>, id: Option<&String>) -> Option<OwnerKey> {
    kind.zip(id).map(|(kind, id)| OwnerKey::new(kind, id))
}

/// The name of a network's bridge on the host.
#[must_use]
pub fn host_name(network_id: &str) -> String {
    format!("{}net-{network_id}", infra::PREFIX)
}

/// The network whose bridge has this name.
pub(crate) fn id_of(host_name: &str) -> Option<&str> {
    host_name.strip_prefix(infra::PREFIX)?.strip_prefix("net-")
}

/// The bridge of a network and its subnet.
pub(crate) fn bridge(
    net: &NetworkRow,
    cidr: &str,
    gateway: &str,
    installation: &str,
) -> BridgeSpec {
    let labels = [
        (infra::LABEL, net.id.clone()),
        (infra::LABEL_INSTALLATION, installation.to_owned()),
        (infra::LABEL_BUILD, net.build.to_string()),
    ];
    BridgeSpec {
        name: host_name(&net.id),
        labels: BTreeMap::from(labels.map(|(k, v)| (k.to_owned(), v))),
        cidr: cidr.into(),
        gateway: gateway.into(),
        internal: false,
        mtu: None,
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
