//! The simulated container host.

use std::time::Duration;

use async_trait::async_trait;
use db::values;
use kernel::{Error, Result, ids};

use super::container_table::{SELECT_CONTAINER, view};
use super::fault::Step;
use super::fault_injector::CallKind;
use super::simulator::Simulator;
use crate::{Actor, ContainerHost, ContainerSpec, ContainerView, Events, HostInfo, Reservations};

#[async_trait]
impl ContainerHost for Simulator {
    async fn info(&self) -> Result<HostInfo> {
        self.apply_read_faults(CallKind::Info, "").await?;
        self.fail_if_injected(Step::Info, "").await?;
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
            isolation: self.config.isolation.clone(),
        })
    }

    async fn list(&self) -> Result<Vec<ContainerView>> {
        self.apply_read_faults(CallKind::List, "").await?;
        let rows = self
            .db
            .query(&format!("{SELECT_CONTAINER} ORDER BY name"), vec![])
            .await?;
        rows.iter().map(view).collect()
    }

    async fn inspect(&self, name_or_id: &str) -> Result<Option<ContainerView>> {
        self.apply_read_faults(CallKind::Inspect, name_or_id)
            .await?;
        self.fail_if_injected(Step::Inspect, name_or_id).await?;
        let row = self
            .db
            .query_opt(
                &format!("{SELECT_CONTAINER} WHERE name = ? OR id = ?"),
                values![name_or_id, name_or_id],
            )
            .await?;
        row.as_ref().map(view).transpose()
    }

    async fn create(&self, actor: Actor, spec: &ContainerSpec) -> Result<String> {
        self.reserve(spec).await?;
        if self.engine_process.is_registering(&spec.name) {
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
            move |engine| async move { engine.create_container(actor, spec).await },
        )
        .await
    }

    async fn start(&self, actor: Actor, id: &str) -> Result<()> {
        let (min, max) = self.config.start;
        let spread = max.saturating_sub(min).mul_f64(ids::jitter());
        let (name, state) = self.name_and_state(id).await?;
        // Starting a running container takes no time.
        let latency = match state.as_deref() {
            Some("running") => Duration::ZERO,
            _ => min + spread,
        };
        let id = id.to_owned();
        self.perform(
            (CallKind::Start, &name, Some(actor)),
            Some(Step::Start),
            latency,
            move |engine| async move { engine.start_container(actor, &id).await },
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
            move |engine| async move { engine.stop_container(actor, &id).await },
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
            move |engine| async move { engine.remove_container(actor, &id).await },
        )
        .await
    }

    async fn reservations(&self, installation: &str) -> Result<Reservations> {
        Ok(Reservations {
            containers: self.reserved_by(installation).await?,
            invalid: Vec::new(),
        })
    }

    async fn release(&self, name: &str) -> Result<()> {
        self.release_reservation(name).await
    }

    async fn logs(&self, name_or_id: &str, _lines: u32) -> Result<String> {
        self.apply_read_faults(CallKind::Logs, name_or_id).await?;
        Ok(format!("{name_or_id}: simulated\n"))
    }

    async fn events(&self) -> Result<Events> {
        self.apply_read_faults(CallKind::Events, "").await?;
        self.fail_if_injected(Step::Info, "").await?;
        Ok(self.listen(false))
    }
}

impl Simulator {
    /// The name and the state of a container, for the fault injector and for
    /// latencies. If it does not exist, the id is returned as its name.
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
}
