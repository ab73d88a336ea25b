//! Effects of calls on simulated containers.

use db::{Tx, values};
use kernel::{Error, Kind, Result, ids};

use super::container_table::{
    Found, SELECT_CONTAINER, by_id, find, insert, label_of, of_row, set_state, view,
};
use super::effect::record_effect;
use super::events::observed;
use super::reservations::check_reserved;
use super::simulator::Simulator;
use crate::{Actor, ContainerSpec, LABEL, Relation, foreign, relation, stale, stamped};

impl Simulator {
    /// Creates a container, or continues or replaces the existing one of its name.
    pub(super) async fn create_container(
        &self,
        actor: Actor,
        mut spec: ContainerSpec,
    ) -> Result<String> {
        let what = format!("container {}", spec.name);
        let wanted = spec.labels.clone();
        spec.labels = stamped(&spec.labels, actor);
        let label = spec.labels.get(LABEL).cloned().unwrap_or_default();
        let (id, created) = db::write!(self.db, |tx| {
            let found = tx
                .query_opt(
                    &format!("{SELECT_CONTAINER} WHERE name = ?"),
                    values![&spec.name],
                )
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
        if created {
            self.notify_listeners(false, &observed(&label, &spec.name, "create"));
        }
        Ok(id)
    }

    pub(super) async fn start_container(&self, actor: Actor, id: &str) -> Result<()> {
        let started = db::write!(self.db, |tx| {
            let found = by_id(tx, id).await?;
            if found.state == "running" {
                return Ok(None);
            }
            check_reserved(tx, &found.spec).await?;
            set_state(tx, id, "running").await?;
            self.record_agent(tx, &found.name).await?;
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

    pub(super) async fn stop_container(&self, actor: Actor, id: &str) -> Result<()> {
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

    pub(super) async fn remove_container(&self, actor: Actor, id: &str) -> Result<()> {
        let removed = db::write!(self.db, |tx| drop_container(tx, actor, id).await)?;
        let Some(found) = removed else {
            return Ok(());
        };
        self.notify_listeners(false, &observed(&found.label, &found.name, "destroy"));
        for end in found.spec.endpoints {
            self.notify_listeners(true, &observed("", &end.network, "disconnect"));
        }
        Ok(())
    }

    /// Starts the containers that stopped with the engine and have a restart policy.
    /// The others have exited.
    pub(super) async fn restart_containers(&self) -> Result<()> {
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

    /// The specs of all running containers.
    ///
    /// # Errors
    /// Fails if the database fails.
    pub async fn running(&self) -> Result<Vec<ContainerSpec>> {
        self.db
            .query(
                "SELECT spec FROM sim_container WHERE state = 'running' ORDER BY name",
                vec![],
            )
            .await?
            .iter()
            .map(|r| Ok(serde_json::from_str(&r.text("spec")?)?))
            .collect()
    }

    /// Stops a container as if its program had exited.
    ///
    /// # Errors
    /// `NotFound` if none has this name.
    pub async fn kill(&self, name: &str, exit_code: i64, oom: bool) -> Result<()> {
        let id = db::write!(self.db, |tx| {
            let n = tx
            .execute(
                "UPDATE sim_container SET state = 'exited', exit_code = ?, oom = ? WHERE name = ?",
                values![exit_code, oom, name],
            )
            .await?;
            if n == 0 {
                return Err(Error::not_found("Container", name));
            }
            label_of(tx, name).await
        })?;
        self.notify_listeners(false, &observed(&id, name, "die"));
        Ok(())
    }
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
