//! Effects of calls on simulated containers and volumes.

use db::{Row, Tx, values};
use kernel::{Error, Kind, Result, ids};

use super::engine::record_effect;
use super::host::{COLUMNS, view};
use super::{Simulator, observed};
use crate::{Actor, ContainerSpec, LABEL, Relation, foreign, relation, stale, stamped};

/// The parts of a container that effects need.
struct Found {
    name: String,
    label: String,
    state: String,
    spec: ContainerSpec,
}

impl Simulator {
    pub(super) async fn make(&self, actor: Actor, mut spec: ContainerSpec) -> Result<String> {
        let what = format!("container {}", spec.name);
        let wanted = spec.labels.clone();
        spec.labels = stamped(&spec.labels, actor);
        let label = spec.labels.get(LABEL).cloned().unwrap_or_default();
        let (id, made) = db::write!(self.db, |tx| {
            let found = tx
                .query_opt(&format!("{COLUMNS} WHERE name = ?"), values![&spec.name])
                .await?;
            if let Some(found) = found.as_ref().map(view).transpose()? {
                match relation(&found.labels, &wanted, actor) {
                    Relation::Same => return Ok((found.id, false)),
                    Relation::Newer => return Err(stale(&what)),
                    Relation::Foreign => {
                        return Err(foreign(&what, &format!("docker rm -f {}", found.id)));
                    }
                    Relation::Older => {
                        drop_container(tx, actor, &found.id).await?;
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
            let id = ids::secret_hex(32);
            insert(tx, &spec, &id).await?;
            let object = (spec.name.as_str(), label.as_str(), id.as_str());
            record_effect(tx, ("create", "container"), object, actor).await?;
            Ok((id, true))
        })?;
        if made {
            self.notify_listeners(false, &observed(&label, &spec.name, "create"));
        }
        Ok(id)
    }

    pub(super) async fn run(&self, actor: Actor, id: &str) -> Result<()> {
        let started = db::write!(self.db, |tx| {
            let found = by_id(tx, id).await?;
            if found.state == "running" {
                return Ok(None);
            }
            set_state(tx, id, "running").await?;
            self.play(tx, &found.name).await?;
            let object = (found.name.as_str(), found.label.as_str(), id);
            record_effect(tx, ("start", "container"), object, actor).await?;
            Ok(Some(found))
        })?;
        let Some(found) = started else {
            return Ok(());
        };
        self.notify_listeners(false, &observed(&found.label, &found.name, "start"));
        if let Some(hook) = self.on_start.get() {
            hook(&found.spec);
        }
        Ok(())
    }

    pub(super) async fn end(&self, actor: Actor, id: &str) -> Result<()> {
        let found = db::write!(self.db, |tx| {
            let found = by_id(tx, id).await?;
            set_state(tx, id, "exited").await?;
            let object = (found.name.as_str(), found.label.as_str(), id);
            record_effect(tx, ("stop", "container"), object, actor).await?;
            Ok(found)
        })?;
        self.notify_listeners(false, &observed(&found.label, &found.name, "die"));
        Ok(())
    }

    pub(super) async fn take(&self, actor: Actor, id: &str) -> Result<()> {
        let gone = db::write!(self.db, |tx| drop_container(tx, actor, id).await)?;
        let Some(found) = gone else {
            return Ok(());
        };
        self.notify_listeners(false, &observed(&found.label, &found.name, "destroy"));
        for end in found.spec.endpoints {
            self.notify_listeners(true, &observed("", &end.network, "disconnect"));
        }
        Ok(())
    }

    pub(super) async fn drop_volume(&self, actor: Actor, name: &str) -> Result<()> {
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

    /// Containers that stop with the engine and are restarted by it.
    pub(super) async fn start_again(&self) -> Result<()> {
        let started = db::write!(self.db, |tx| {
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
            Ok(started)
        })?;
        for found in started {
            self.notify_listeners(false, &observed(&found.label, &found.name, "start"));
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
    record_effect(tx, ("remove", "container"), object, actor).await?;
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
