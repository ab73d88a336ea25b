//! Rows and names of networks: pure.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use infra::BridgeSpec;
use ipnet::Ipv4Net;
use kernel::{OwnerKey, ProjectId, Timestamp};

use crate::api::{Network, Status};
use crate::{NetworkId, SubnetId};

db::table! {
    /// A row of a network.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct NetworkRow in "network" {
        pub id: NetworkId,
        pub project_id: ProjectId,
        pub name: String,
        pub is_external: bool,
        pub status: Status,
        pub status_reason: Option<String>,
        /// Time of the last status change.
        pub changed_at: Timestamp,
        pub owner_kind: Option<String>,
        pub owner_id: Option<String>,
        pub created_at: Timestamp,
        /// Number of subnets so far: each has a separate bridge.
        pub build: i64,
    }
}

db::stored_enum! {
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

    pub(crate) fn shown(self, subnets: Vec<SubnetId>) -> Network {
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

/// Builds an owner key from two columns.
pub(crate) fn owner_key(kind: Option<&String>, id: Option<&String>) -> Option<OwnerKey> {
    kind.zip(id).map(|(kind, id)| OwnerKey::new(kind, id))
}

/// The name of a network's bridge on the host.
#[must_use]
pub fn host_name(network_id: &NetworkId) -> String {
    format!("{}net-{network_id}", infra::PREFIX)
}

/// The network whose bridge has this name.
pub(crate) fn id_of(host_name: &str) -> Option<NetworkId> {
    let id = host_name
        .strip_prefix(infra::PREFIX)?
        .strip_prefix("net-")?;
    Some(id.into())
}

/// The bridge of a network and its subnet.
pub(crate) fn bridge(
    net: &NetworkRow,
    (cidr, gateway): (Ipv4Net, Ipv4Addr),
    installation: &str,
) -> BridgeSpec {
    let labels = [
        (infra::LABEL, net.id.to_string()),
        (infra::LABEL_INSTALLATION, installation.to_owned()),
        (infra::LABEL_BUILD, net.build.to_string()),
    ];
    BridgeSpec {
        name: host_name(&net.id),
        labels: BTreeMap::from(labels.map(|(k, v)| (k.to_owned(), v))),
        cidr,
        gateway,
        internal: false,
        mtu: None,
    }
}

/// Text about what a removal waits for: the first ports by name, and the number
/// of others.
pub(crate) fn waits_for(ports: &[String]) -> String {
    let shown = ports.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    let more = ports.len().saturating_sub(3);
    match more {
        0 => format!("waits for the removal of ports: {shown}"),
        n => format!("waits for the removal of ports: {shown} and {n} more"),
    }
}
