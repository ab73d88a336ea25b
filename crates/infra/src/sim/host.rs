//! The simulated container host.

use std::time::Duration;

use async_trait::async_trait;
use db::{Row, Tx, values};
use kernel::{Error, Kind, Result, ids};

use super::engine::note;
use super::oracle::CallKind;
use super::{Simulator, Step, observed};
use crate::{
    Actor, ContainerHost, ContainerSpec, ContainerState, ContainerView, Events, HostInfo,
    ImageStore, ImageView, LABEL, Relation, VolumeStore, VolumeView, foreign, relation, stale,
    stamped,
};

const COLUMNS: &str = "SELECT name, id, state, exit_code, oom, spec FROM sim_container";

#[async_trait]
impl ContainerHost for Simulator {
    async fn info(&self) -> Result<HostInfo> {
        self.asked(CallKind::Info, "").await?;
        self.strike(Step::Info, "").await?;
        let engine = self
            .db
            .query_opt("SELECT id FROM sim_engine", vec![])
            .await?
            .ok_or_else(|| Error::internal("a simulated engine without an identity"))?;
        Ok(HostInfo {
            name: self.config.host.clone(),
            engine_id: engine.text("id")?,
            cpus: self.config.cpus,
            memory: self.config.memory,
            version: "simulator".into(),
            api_version: "1.41".into(),
            architecture: std::env::consts::ARCH.into(),
        })
    }

    async fn list(&self) -> Result<Vec<ContainerView>> {
        self.asked(CallKind::List, "").await?;
        let rows = self
            .db
            .query(&format!("{COLUMNS} ORDER BY name"), vec![])
            .await?;
        rows.iter().map(view).collect()
    }

    async fn inspect(&self, name_or_id: &str) -> Result<Option<ContainerView>> {
        self.asked(CallKind::Inspect, name_or_id).await?;
        self.strike(Step::Inspect, name_or_id).await?;
        let row = self
            .db
            .query_opt(
                &format!("{COLUMNS} WHERE name = ? OR id = ?"),
                values![name_or_id, name_or_id],
            )
            .await?;
        row.as_ref().map(view).transpose()
    }

    async fn create(&self, actor: Actor, spec: &ContainerSpec) -> Result<String> {
        if self.machine.is_registering(&spec.name) {
            return Err(Error::unavailable(format!(
                "host {} still registers container {}",
                self.config.host, spec.name
            )));
        }
        let spec = spec.clone();
        self.perform(
            (CallKind::Create, &spec.name.clone(), Some(actor)),
            Some(Step::Create),
            self.config.create,
            move |engine| async move { engine.make(actor, spec).await },
        )
        .await
    }

    async fn start(&self, actor: Actor, id: &str) -> Result<()> {
        let (least, most) = self.config.start;
        let spread = most.saturating_sub(least).mul_f64(ids::jitter());
        let (name, state) = self.name_and_state(id).await?;
        // One that runs is found at once.
        let latency = match state.as_deref() {
            Some("running") => Duration::ZERO,
            _ => least + spread,
        };
        let id = id.to_owned();
        self.perform(
            (CallKind::Start, &name, Some(actor)),
            Some(Step::Start),
            latency,
            move |engine| async move { engine.run(actor, &id).await },
        )
        .await
    }

    async fn stop(&self, actor: Actor, id: &str, _seconds: i64) -> Result<()> {
        let (name, _) = self.name_and_state(id).await?;
        let id = id.to_owned();
        self.perform(
            (CallKind::Stop, &name, Some(actor)),
            None,
            Duration::ZERO,
            move |engine| async move { engine.end(actor, &id).await },
        )
        .await
    }

    async fn remove(&self, actor: Actor, id: &str) -> Result<()> {
        let (name, _) = self.name_and_state(id).await?;
        let id = id.to_owned();
        self.perform(
            (CallKind::Remove, &name, Some(actor)),
            Some(Step::Remove),
            self.config.remove,
            move |engine| async move { engine.take(actor, &id).await },
        )
        .await
    }

    async fn logs(&self, name_or_id: &str, _lines: u32) -> Result<String> {
        self.asked(CallKind::Logs, name_or_id).await?;
        Ok(format!("{name_or_id}: simulated\n"))
    }

    async fn events(&self) -> Result<Events> {
        self.asked(CallKind::Events, "").await?;
        self.strike(Step::Info, "").await?;
        Ok(self.listen(false))
    }
}

#[async_trait]
impl VolumeStore for Simulator {
    async fn volumes(&self) -> Result<Vec<VolumeView>> {
        self.asked(CallKind::Volumes, "").await?;
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

#[async_trait]
impl ImageStore for Simulator {
    async fn images(&self) -> Result<Vec<ImageView>> {
        self.asked(CallKind::Images, "").await?;
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
        self.asked(CallKind::Images, reference).await?;
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

/// A container as the effects need it.
struct Found {
    name: String,
    label: String,
    state: String,
    spec: ContainerSpec,
}

impl Simulator {
    /// For the oracle and for latencies; the id where there is no container.
    async fn name_and_state(&self, id: &str) -> Result<(String, Option<String>)> {
        let row = self
            .db
            .query_opt(
                "SELECT name, state FROM sim_container WHERE id = ?",
                values![id],
            )
            .await?;
        match row {
            Some(row) => Ok((row.text("name")?, Some(row.text("state")?))),
            None => Ok((id.to_owned(), None)),
        }
    }

    async fn make(&self, actor: Actor, mut spec: ContainerSpec) -> Result<String> {
        let mut tx = self.db.begin().await?;
        let found = tx
            .query_opt(&format!("{COLUMNS} WHERE name = ?"), values![&spec.name])
            .await?;
        if let Some(found) = found.as_ref().map(view).transpose()? {
            let what = format!("container {}", spec.name);
            match relation(&found.labels, &spec.labels, actor) {
                Relation::Same => return Ok(found.id),
                Relation::Newer => return Err(stale(&what)),
                Relation::Foreign => {
                    return Err(foreign(&what, &format!("docker rm -f {}", found.id)));
                }
                Relation::Older => {
                    drop_container(&mut tx, actor, &found.id).await?;
                }
            }
        }
        let image = tx
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
        spec.labels = stamped(&spec.labels, actor);
        let id = ids::secret_hex(32);
        insert(&mut tx, &spec, &id).await?;
        let label = spec.labels.get(LABEL).cloned().unwrap_or_default();
        let object = (spec.name.as_str(), label.as_str(), id.as_str());
        note(&mut tx, ("create", "container"), object, actor).await?;
        tx.commit().await?;
        self.tell(false, &observed(&label, &spec.name, "create"));
        Ok(id)
    }

    async fn run(&self, actor: Actor, id: &str) -> Result<()> {
        let mut tx = self.db.begin().await?;
        let found = by_id(&mut tx, id).await?;
        if found.state == "running" {
            return Ok(());
        }
        set_state(&mut tx, id, "running").await?;
        self.play(&mut tx, &found.name).await?;
        let object = (found.name.as_str(), found.label.as_str(), id);
        note(&mut tx, ("start", "container"), object, actor).await?;
        tx.commit().await?;
        self.tell(false, &observed(&found.label, &found.name, "start"));
        if let Some(hook) = self.on_start.get() {
            hook(&found.spec);
        }
        Ok(())
    }

    async fn end(&self, actor: Actor, id: &str) -> Result<()> {
        let mut tx = self.db.begin().await?;
        let found = by_id(&mut tx, id).await?;
        set_state(&mut tx, id, "exited").await?;
        let object = (found.name.as_str(), found.label.as_str(), id);
        note(&mut tx, ("stop", "container"), object, actor).await?;
        tx.commit().await?;
        self.tell(false, &observed(&found.label, &found.name, "die"));
        Ok(())
    }

    async fn take(&self, actor: Actor, id: &str) -> Result<()> {
        let mut tx = self.db.begin().await?;
        let Some(found) = drop_container(&mut tx, actor, id).await? else {
            return Ok(());
        };
        tx.commit().await?;
        self.tell(false, &observed(&found.label, &found.name, "destroy"));
        for end in found.spec.endpoints {
            self.tell(true, &observed("", &end.network, "disconnect"));
        }
        Ok(())
    }

    async fn drop_volume(&self, actor: Actor, name: &str) -> Result<()> {
        let mut tx = self.db.begin().await?;
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
            note(&mut tx, ("remove", "volume"), (name, "", ""), actor).await?;
        }
        tx.commit().await
    }

    /// Containers that end with the engine and are to be restarted.
    pub(super) async fn start_again(&self) -> Result<()> {
        let mut tx = self.db.begin().await?;
        let rows = tx
            .query(
                "SELECT id, name, label, state, spec FROM sim_container WHERE state = 'stopped' ORDER BY name",
                vec![],
            )
            .await?;
        let mut started = Vec::new();
        for row in rows {
            let id = row.text("id")?;
            let found = of_row(&row)?;
            let state = if found.spec.restart {
                "running"
            } else {
                "exited"
            };
            tx.execute(
                "UPDATE sim_container SET state = ? WHERE id = ?",
                values![state, &id],
            )
            .await?;
            if found.spec.restart {
                started.push(found);
            }
        }
        tx.commit().await?;
        for found in started {
            self.tell(false, &observed(&found.label, &found.name, "start"));
        }
        Ok(())
    }
}

async fn insert(tx: &mut Tx, spec: &ContainerSpec, id: &str) -> Result<()> {
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
        values![&spec.name, id, label, false, serde_json::to_string(spec)?],
    )
    .await?;
    for volume in &spec.volumes {
        tx.execute(
            "INSERT INTO sim_volume (name, labels) SELECT ?, ? \
             WHERE NOT EXISTS (SELECT name FROM sim_volume WHERE name = ?)",
            values![
                &volume.name,
                serde_json::to_string(&spec.labels)?,
                &volume.name
            ],
        )
        .await?;
        tx.execute(
            "INSERT INTO sim_mount (container, volume) VALUES (?, ?)",
            values![&spec.name, &volume.name],
        )
        .await?;
    }
    Ok(())
}

async fn drop_container(tx: &mut Tx, actor: Actor, id: &str) -> Result<Option<Found>> {
    let Some(found) = find(tx, id).await? else {
        return Ok(None);
    };
    tx.execute("DELETE FROM sim_container WHERE id = ?", values![id])
        .await?;
    for table in ["sim_endpoint", "sim_mount", "sim_agent", "sim_member"] {
        tx.execute(
            &format!("DELETE FROM {table} WHERE container = ?"),
            values![&found.name],
        )
        .await?;
    }
    let object = (found.name.as_str(), found.label.as_str(), id);
    note(tx, ("remove", "container"), object, actor).await?;
    Ok(Some(found))
}

async fn find(tx: &mut Tx, id: &str) -> Result<Option<Found>> {
    let row = tx
        .query_opt(
            "SELECT name, label, state, spec FROM sim_container WHERE id = ?",
            values![id],
        )
        .await?;
    row.as_ref().map(of_row).transpose()
}

async fn by_id(tx: &mut Tx, id: &str) -> Result<Found> {
    find(tx, id)
        .await?
        .ok_or_else(|| Error::not_found("Container", id))
}

async fn set_state(tx: &mut Tx, id: &str, state: &str) -> Result<()> {
    tx.execute(
        "UPDATE sim_container SET state = ?, exit_code = CASE WHEN ? = 'exited' THEN 0 ELSE NULL END \
         WHERE id = ?",
        values![state, state, id],
    )
    .await
    .map(|_| ())
}

fn of_row(row: &Row) -> Result<Found> {
    Ok(Found {
        name: row.text("name")?,
        label: row.text("label")?,
        state: row.text("state")?,
        spec: serde_json::from_str(&row.text("spec")?)?,
    })
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
