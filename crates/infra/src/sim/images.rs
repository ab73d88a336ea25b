//! The images of the simulated host.

use std::collections::BTreeMap;

use async_trait::async_trait;
use db::values;
use kernel::{Result, ids};

use super::fault::Step;
use super::fault_injector::CallKind;
use super::simulator::Simulator;
use crate::{ImageStore, ImageView};

#[async_trait]
impl ImageStore for Simulator {
    async fn images(&self) -> Result<Vec<ImageView>> {
        self.apply_read_faults(CallKind::Images, "").await?;
        let rows = self
            .db
            .query(
                "SELECT reference, id, labels FROM sim_image ORDER BY reference",
                vec![],
            )
            .await?;
        rows.iter()
            .map(|r| {
                Ok(ImageView {
                    id: r.text("id")?,
                    tags: vec![r.text("reference")?],
                    size: 0,
                    labels: serde_json::from_str(&r.text("labels")?)?,
                })
            })
            .collect()
    }

    async fn has_image(&self, reference: &str) -> Result<bool> {
        self.apply_read_faults(CallKind::Images, reference).await?;
        let found = self
            .db
            .query_opt(
                "SELECT id FROM sim_image WHERE reference = ?",
                values![reference],
            )
            .await?;
        Ok(found.is_some())
    }

    async fn pull(&self, reference: &str) -> Result<()> {
        let image = reference.to_owned();
        self.perform(
            (CallKind::Pull, reference, None),
            Some(Step::Pull),
            self.config.pull,
            move |engine| async move { engine.add_image(&image, &[]).await },
        )
        .await
    }
}

impl Simulator {
    /// Adds an image to the host, replacing one with the same reference.
    ///
    /// # Errors
    /// Fails if the database fails.
    pub async fn add_image(&self, reference: &str, labels: &[(&str, &str)]) -> Result<()> {
        let labels: BTreeMap<_, _> = labels.iter().copied().collect();
        db::write!(self.db, |tx| {
            tx.execute(
                "DELETE FROM sim_image WHERE reference = ?",
                values![reference],
            )
            .await?;
            tx.execute(
                "INSERT INTO sim_image (reference, id, labels) VALUES (?, ?, ?)",
                values![
                    reference,
                    format!("sha256:{}", ids::secret_hex(32)),
                    serde_json::to_string(&labels)?
                ],
            )
            .await?;
            Ok(())
        })
    }
}
