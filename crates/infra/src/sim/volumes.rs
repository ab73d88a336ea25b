//! The volumes of the simulated host.

use std::time::Duration;

use async_trait::async_trait;
use db::values;
use kernel::{Error, Result};

use super::effect::record_effect;
use super::fault::Step;
use super::fault_injector::CallKind;
use super::simulator::Simulator;
use crate::{Actor, VolumeStore, VolumeView};

#[async_trait]
impl VolumeStore for Simulator {
    async fn volumes(&self) -> Result<Vec<VolumeView>> {
        self.apply_read_faults(CallKind::Volumes, "").await?;
        let rows = self
            .db
            .query("SELECT name, labels FROM sim_volume ORDER BY name", vec![])
            .await?;
        rows.iter()
            .map(|r| {
                Ok(VolumeView {
                    name: r.text("name")?,
                    labels: serde_json::from_str(&r.text("labels")?)?,
                })
            })
            .collect()
    }

    async fn remove_volume(&self, actor: Actor, name: &str) -> Result<()> {
        let volume = name.to_owned();
        self.perform(
            (CallKind::RemoveVolume, name, Some(actor)),
            Some(Step::RemoveVolume),
            Duration::ZERO,
            move |engine| async move { engine.drop_volume(actor, &volume).await },
        )
        .await
    }
}

impl Simulator {
    async fn drop_volume(&self, actor: Actor, name: &str) -> Result<()> {
        db::write!(self.db, |tx| {
            let user = tx
                .query_opt(
                    "SELECT container FROM sim_mount WHERE volume = ? ORDER BY container",
                    values![name],
                )
                .await?;
            if let Some(user) = user {
                return Err(Error::conflict(format!(
                    "volume {name} is in use by container {}",
                    user.text("container")?
                )));
            }
            let n = tx
                .execute("DELETE FROM sim_volume WHERE name = ?", values![name])
                .await?;
            if n > 0 {
                record_effect(tx, ("remove", "volume"), (name, "", ""), actor).await?;
            }
            Ok(())
        })
    }
}
