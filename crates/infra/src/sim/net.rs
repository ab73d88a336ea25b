//! The simulated network plane.

use async_trait::async_trait;
use db::{Row, values};
use kernel::{Error, Result, ids};

use super::{Simulator, Step};
use crate::{BridgeSpec, BridgeView, NetworkPlane};

const COLUMNS: &str = "SELECT name, id, spec FROM sim_network";

#[async_trait]
impl NetworkPlane for Simulator {
    async fn list(&self) -> Result<Vec<BridgeView>> {
        let rows = self
            .db
            .query(&format!("{COLUMNS} ORDER BY name"), vec![])
            .await?;
        rows.iter().map(view).collect()
    }

    async fn used_cidrs(&self) -> Result<Vec<String>> {
        // Its networks are rows of the network service as well; nothing else
        // lives on a simulated machine.
        Ok(vec![])
    }

    async fn ensure(&self, spec: &BridgeSpec) -> Result<BridgeView> {
        self.strike(Step::NetworkEnsure, &spec.name).await?;
        if let Some(found) = self.network(&spec.name).await? {
            return Ok(found);
        }
        tokio::time::sleep(self.config.network).await;
        let mut tx = self.db.begin().await?;
        let made = tx
            .execute(
                "INSERT INTO sim_network (name, id, spec) VALUES (?, ?, ?)",
                values![
                    &spec.name,
                    ids::secret_hex(32),
                    serde_json::to_string(spec)?
                ],
            )
            .await;
        match made {
            Ok(_) => tx.commit().await?,
            // Another process was faster.
            Err(e) if e.kind == kernel::Kind::AlreadyExists => drop(tx),
            Err(e) => return Err(e),
        }
        self.network(&spec.name)
            .await?
            .ok_or_else(|| Error::not_found("Network", &spec.name))
    }

    async fn remove(&self, name: &str) -> Result<()> {
        self.strike(Step::NetworkRemove, name).await?;
        tokio::time::sleep(self.config.network).await;
        let mut tx = self.db.begin().await?;
        let user = tx
            .query_opt(
                "SELECT container FROM sim_endpoint WHERE network = ?",
                values![name],
            )
            .await?;
        if let Some(user) = user {
            return Err(Error::conflict(format!(
                "network {name} still has the container {}",
                user.text("container")?
            )));
        }
        tx.execute("DELETE FROM sim_network WHERE name = ?", values![name])
            .await?;
        tx.commit().await
    }
}

impl Simulator {
    async fn network(&self, name: &str) -> Result<Option<BridgeView>> {
        let row = self
            .db
            .query_opt(&format!("{COLUMNS} WHERE name = ?"), values![name])
            .await?;
        row.as_ref().map(view).transpose()
    }
}

fn view(row: &Row) -> Result<BridgeView> {
    let spec: BridgeSpec = serde_json::from_str(&row.text("spec")?)?;
    Ok(BridgeView {
        name: spec.name,
        id: row.text("id")?,
        labels: spec.labels,
        cidr: Some(spec.cidr),
        gateway: Some(spec.gateway),
        device: None,
    })
}
