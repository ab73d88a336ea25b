//! The simulated container host.

use std::pin::Pin;

use async_trait::async_trait;
use db::{Row, values};
use futures_util::stream;
use kernel::{Error, Kind, Result, ids};

use super::{Simulator, Step};
use crate::{
    ContainerHost, ContainerSpec, ContainerState, ContainerView, HostInfo, ImageView, LABEL,
    Observed, VolumeView,
};

const COLUMNS: &str = "SELECT name, id, state, exit_code, oom, spec FROM sim_container";

#[async_trait]
impl ContainerHost for Simulator {
    async fn info(&self) -> Result<HostInfo> {
        self.strike(Step::Info, "").await?;
        Ok(HostInfo {
            name: self.config.host.clone(),
            cpus: self.config.cpus,
            memory: self.config.memory,
            version: "simulator".into(),
            api_version: "1.41".into(),
            architecture: std::env::consts::ARCH.into(),
        })
    }

    async fn list(&self) -> Result<Vec<ContainerView>> {
        let rows = self
            .db
            .query(&format!("{COLUMNS} ORDER BY name"), vec![])
            .await?;
        rows.iter().map(view).collect()
    }

    async fn inspect(&self, name: &str) -> Result<Option<ContainerView>> {
        let row = self
            .db
            .query_opt(&format!("{COLUMNS} WHERE name = ?"), values![name])
            .await?;
        row.as_ref().map(view).transpose()
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<()> {
        self.strike(Step::Create, &spec.name).await?;
        if self.inspect(&spec.name).await?.is_some() {
            return Ok(());
        }
        let image = self
            .db
            .query_opt(
                "SELECT id FROM sim_image WHERE reference = ?",
                values![&spec.image],
            )
            .await?;
        if image.is_none() {
            return Err(Error::new(
                Kind::NotFound,
                format!(
                    "image {} is not on host {}; run `jeroboam image build` for it",
                    spec.image, self.config.host
                ),
            ));
        }
        tokio::time::sleep(self.config.create).await;
        let mut tx = self.db.begin().await?;
        for end in &spec.endpoints {
            let known = tx
                .query_opt(
                    "SELECT name FROM sim_network WHERE name = ?",
                    values![&end.network],
                )
                .await?;
            if known.is_none() {
                return Err(Error::not_found("Network", &end.network));
            }
            tx.execute(
                "INSERT INTO sim_endpoint (container, network) VALUES (?, ?)",
                values![&spec.name, &end.network],
            )
            .await?;
        }
        let label = spec.labels.get(LABEL).cloned().unwrap_or_default();
        tx.execute(
            "INSERT INTO sim_container (name, id, label, state, exit_code, oom, spec) \
             VALUES (?, ?, ?, 'created', NULL, ?, ?)",
            values![
                &spec.name,
                ids::secret_hex(32),
                label,
                false,
                serde_json::to_string(spec)?
            ],
        )
        .await?;
        for volume in &spec.volumes {
            tx.execute(
                "INSERT INTO sim_volume (name, labels) VALUES (?, ?)",
                values![&volume.name, serde_json::to_string(&spec.labels)?],
            )
            .await?;
        }
        tx.commit().await
    }

    async fn start(&self, name: &str) -> Result<()> {
        self.strike(Step::Start, name).await?;
        let Some(row) = self
            .db
            .query_opt(
                "SELECT state, spec FROM sim_container WHERE name = ?",
                values![name],
            )
            .await?
        else {
            return Err(Error::not_found("Container", name));
        };
        if row.text("state")? == "running" {
            return Ok(());
        }
        let (least, most) = self.config.start;
        let spread = most.saturating_sub(least).mul_f64(ids::jitter());
        tokio::time::sleep(least + spread).await;
        self.set_state(name, "running").await?;
        self.tell(name, "start").await?;
        if let Some(hook) = self.on_start.get() {
            hook(&serde_json::from_str(&row.text("spec")?)?);
        }
        Ok(())
    }

    async fn stop(&self, name: &str, _seconds: i64) -> Result<()> {
        self.set_state(name, "exited").await?;
        self.tell(name, "die").await
    }

    async fn remove(&self, name: &str, volumes: &[String]) -> Result<()> {
        self.strike(Step::Remove, name).await?;
        tokio::time::sleep(self.config.remove).await;
        self.tell(name, "destroy").await?;
        let mut tx = self.db.begin().await?;
        tx.execute("DELETE FROM sim_container WHERE name = ?", values![name])
            .await?;
        tx.execute(
            "DELETE FROM sim_endpoint WHERE container = ?",
            values![name],
        )
        .await?;
        for table in ["sim_agent", "sim_member"] {
            tx.execute(
                &format!("DELETE FROM {table} WHERE container = ?"),
                values![name],
            )
            .await?;
        }
        for volume in volumes {
            tx.execute("DELETE FROM sim_volume WHERE name = ?", values![volume])
                .await?;
        }
        tx.commit().await
    }

    async fn logs(&self, name: &str, _lines: u32) -> Result<String> {
        Ok(format!("{name}: simulated\n"))
    }

    async fn volumes(&self) -> Result<Vec<VolumeView>> {
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

    async fn images(&self) -> Result<Vec<ImageView>> {
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

    async fn events(&self) -> Result<Pin<Box<dyn futures_util::Stream<Item = Observed> + Send>>> {
        self.strike(Step::Info, "").await?;
        let receiver = self.events.subscribe();
        Ok(Box::pin(stream::unfold(receiver, |mut r| async move {
            // Who lagged behind lists again: the stream ends.
            r.recv().await.ok().map(|event| (event, r))
        })))
    }
}

impl Simulator {
    async fn set_state(&self, name: &str, state: &str) -> Result<()> {
        let mut tx = self.db.begin().await?;
        let n = tx
            .execute(
                "UPDATE sim_container SET state = ?, exit_code = CASE WHEN ? = 'exited' THEN 0 ELSE NULL END \
                 WHERE name = ?",
                values![state, state, name],
            )
            .await?;
        if n == 0 {
            return Err(Error::not_found("Container", name));
        }
        if state == "running" {
            self.play(&mut tx, name).await?;
        }
        tx.commit().await
    }
}

fn view(row: &Row) -> Result<ContainerView> {
    let spec: ContainerSpec = serde_json::from_str(&row.text("spec")?)?;
    let state = match row.text("state")?.as_str() {
        "created" => ContainerState::Created,
        "running" => ContainerState::Running,
        "paused" => ContainerState::Paused,
        _ => ContainerState::Exited,
    };
    Ok(ContainerView {
        id: row.text("id")?,
        name: spec.name,
        state,
        exit_code: row.opt_int("exit_code")?,
        oom_killed: row.flag("oom")?,
        error: None,
        labels: spec.labels,
        addresses: spec
            .endpoints
            .into_iter()
            .map(|e| (e.network, e.ipv4.unwrap_or_default()))
            .collect(),
        restarts: 0,
    })
}
