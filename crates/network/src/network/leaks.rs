//! Compares bridges with rows in both directions.

use std::collections::BTreeMap;

use infra::{Leak, Side, owned};
use kernel::Result;

use super::{model, table};
use crate::api::Status;
use crate::{NetworkId, NetworkService};

pub(crate) async fn leaks(service: &NetworkService) -> Result<Vec<Leak>> {
    // The engine is listed first: a row exists before its bridge and after it, so
    // a bridge that is being created or removed is not reported.
    let bridges = service.fabric.list().await?;
    let orphans = service.fabric.orphaned_rules().await?;
    let rows = table::realised(&service.db).await?;
    let mut known: BTreeMap<String, (NetworkId, String)> = rows
        .into_iter()
        .map(|(id, (_, status))| (model::host_name(&id), (id, status)))
        .collect();
    let mut out = Vec::new();
    for network in orphans {
        let device = network.device.unwrap_or_default();
        if !known.contains_key(&network.name)
            && owned(&network.name, &network.labels, &service.config.installation)
        {
            out.push(Leak {
                side: Side::Engine,
                object: "firewall rules",
                hint: format!(
                    "a server removes them within a minute; `iptables -S | grep {device}` shows them"
                ),
                id: None,
                name: network.name,
            });
        }
    }
    for bridge in bridges {
        if known.remove(&bridge.name).is_some()
            || !owned(&bridge.name, &bridge.labels, &service.config.installation)
        {
            continue;
        }
        out.push(Leak {
            side: Side::Engine,
            object: "network",
            hint: format!("remove it with `docker network rm {}`", bridge.name),
            id: bridge.labels.get(infra::LABEL).cloned(),
            name: bridge.name,
        });
    }
    for (name, (id, status)) in known {
        if status == Status::Active.as_stored() {
            out.push(Leak {
                side: Side::Ledger,
                object: "network",
                name,
                id: Some(id.into()),
                hint: "it was removed externally; delete the resources that use it".into(),
            });
        }
    }
    Ok(out)
}
