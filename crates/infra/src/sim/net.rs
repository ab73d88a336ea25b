//! The simulated network fabric.

use async_trait::async_trait;
use db::{Row, Tx, values};
use ipnet::Ipv4Net;
use kernel::{Error, Result, ids};

use super::effect::record_effect;
use super::events::observed;
use super::fault::Step;
use super::fault_injector::CallKind;
use super::simulator::Simulator;
use crate::{
    Actor, BridgeSpec, BridgeView, Events, LABEL, NetworkFabric, Relation, foreign, relation,
    stale, stamped,
};

/// Selects the columns that [`view`] reads.
const SELECT_NETWORK: &str = "SELECT name, id, spec FROM sim_network";

#[async_trait]
impl NetworkFabric for Simulator {
    async fn list(&self) -> Result<Vec<BridgeView>> {
        self.apply_read_faults(CallKind::NetworkList, "").await?;
        let rows = self
            .db
            .query(&format!("{SELECT_NETWORK} ORDER BY name"), vec![])
            .await?;
        rows.iter().map(view).collect()
    }

    async fn named(&self, name: &str) -> Result<Vec<BridgeView>> {
        self.apply_read_faults(CallKind::NetworkList, name).await?;
        let rows = self
            .db
            .query(&format!("{SELECT_NETWORK} WHERE name = ?"), values![name])
            .await?;
        rows.iter().map(view).collect()
    }

    async fn used_cidrs(&self) -> Result<Vec<Ipv4Net>> {
        self.apply_read_faults(CallKind::NetworkList, "").await?;
        // The network service knows its own networks, and a simulated host has no
        // others.
        Ok(vec![])
    }

    async fn ensure(&self, actor: Actor, spec: &BridgeSpec) -> Result<BridgeView> {
        if self.engine_process.is_registering(&spec.name) {
            return Err(Error::unavailable(format!(
                "network {} is still being created",
                spec.name
            )));
        }
        let spec = spec.clone();
        self.perform(
            (CallKind::NetworkEnsure, &spec.name.clone(), Some(actor)),
            Some(Step::NetworkEnsure),
            self.config.network,
            move |engine| async move { engine.ensure_bridge(actor, spec).await },
        )
        .await
    }

    async fn remove(&self, actor: Actor, id: &str) -> Result<()> {
        let engine_id = id.to_owned();
        self.perform(
            (CallKind::NetworkRemove, id, Some(actor)),
            Some(Step::NetworkRemove),
            self.config.network,
            move |engine| async move { engine.remove_bridge(actor, &engine_id).await },
        )
        .await
    }

    async fn restore(&self, _networks: &[BridgeView]) -> Result<()> {
        Ok(())
    }

    async fn orphaned_rules(&self) -> Result<Vec<BridgeView>> {
        Ok(Vec::new())
    }

    async fn events(&self) -> Result<Events> {
        self.apply_read_faults(CallKind::NetworkEvents, "").await?;
        Ok(self.listen(true))
    }
}

impl Simulator {
    /// Creates a bridge, or continues or replaces the existing one of its name.
    async fn ensure_bridge(&self, actor: Actor, mut spec: BridgeSpec) -> Result<BridgeView> {
        let what = format!("network {}", spec.name);
        let wanted = spec.labels.clone();
        spec.labels = stamped(&spec.labels, actor);
        let label = spec.labels.get(LABEL).cloned().unwrap_or_default();
        let (bridge, created) = db::write!(self.db, |tx| {
            let found = tx
                .query_opt(
                    &format!("{SELECT_NETWORK} WHERE name = ?"),
                    values![&spec.name],
                )
                .await?;
            if let Some(found) = found.as_ref().map(view).transpose()? {
                match relation(&found.labels, &wanted, actor) {
                    Relation::Same => return Ok((found, false)),
                    Relation::Newer => return Err(stale(&what)),
                    Relation::Foreign => {
                        return Err(foreign(&what, &format!("docker network rm {}", found.id)));
                    }
                    Relation::Older => drop_bridge(tx, actor, &found).await?,
                }
            }
            let id = ids::secret_hex(32);
            tx.execute(
                "INSERT INTO sim_network (name, id, spec) VALUES (?, ?, ?)",
                values![&spec.name, &id, serde_json::to_string(&spec)?],
            )
            .await?;
            let object = (spec.name.as_str(), label.as_str(), id.as_str());
            record_effect(tx, ("create", "network"), object, actor).await?;
            Ok((of_spec(spec.clone(), id), true))
        })?;
        if created {
            self.notify_listeners(true, &observed("", &bridge.name, "create"));
        }
        Ok(bridge)
    }

    async fn remove_bridge(&self, actor: Actor, id: &str) -> Result<()> {
        let removed = db::write!(self.db, |tx| {
            let found = tx
                .query_opt(&format!("{SELECT_NETWORK} WHERE id = ?"), values![id])
                .await?;
            let found = found.as_ref().map(view).transpose()?;
            if let Some(found) = &found {
                drop_bridge(tx, actor, found).await?;
            }
            Ok(found)
        })?;
        if let Some(found) = removed {
            self.notify_listeners(true, &observed("", &found.name, "destroy"));
        }
        Ok(())
    }
}

async fn drop_bridge(tx: &mut Tx, actor: Actor, found: &BridgeView) -> Result<()> {
    let user = tx
        .query_opt(
            "SELECT container FROM sim_endpoint WHERE network = ?",
            values![&found.name],
        )
        .await?;
    if let Some(user) = user {
        return Err(Error::conflict(format!(
            "network {} still has the container {}",
            found.name,
            user.text("container")?
        )));
    }
    tx.execute("DELETE FROM sim_network WHERE id = ?", values![&found.id])
        .await?;
    let label = found.labels.get(LABEL).cloned().unwrap_or_default();
    let object = (found.name.as_str(), label.as_str(), found.id.as_str());
    record_effect(tx, ("remove", "network"), object, actor).await
}

fn view(row: &Row) -> Result<BridgeView> {
    let spec = serde_json::from_str(&row.text("spec")?)?;
    Ok(of_spec(spec, row.text("id")?))
}

fn of_spec(spec: BridgeSpec, id: String) -> BridgeView {
    BridgeView {
        name: spec.name,
        id,
        labels: spec.labels,
        cidr: Some(spec.cidr),
        gateway: Some(spec.gateway),
        device: None,
    }
}
