//! The container host port.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;

use async_trait::async_trait;
use bollard::container::LogOutput;
use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum as S, ContainerSummary,
    ContainerSummaryStateEnum as L, EndpointSettings, EventMessage,
};
use bollard::query_parameters::{
    EventsOptionsBuilder, ListContainersOptionsBuilder, ListImagesOptions, ListVolumesOptions,
    LogsOptionsBuilder, RemoveVolumeOptions, StopContainerOptionsBuilder,
};
use futures_util::StreamExt as _;
use infra::{
    Actor, ContainerHost, ContainerSpec, ContainerState, ContainerView, Events, HostInfo,
    ImageStore, ImageView, Isolation, LABEL, Observed, PREFIX, Reservations, VolumeStore,
    VolumeView, stamped,
};
use kernel::{Result, Timestamp};

use crate::Engine;
use crate::create::{Found, registering};
use crate::fault::{message_contains, status};
use crate::started::is_isolated;
use crate::user_namespaces::offered;

#[async_trait]
impl ContainerHost for Engine {
    async fn info(&self) -> Result<HostInfo> {
        let docker = self.docker().await?;
        let info = docker
            .info()
            .await
            .map_err(|e| self.fault("read its facts", &e))?;
        let isolation = offered(&self.url, &info).await;
        let name = info.name.unwrap_or_else(|| self.url.clone());
        let _ = self.name.set(name.clone());
        Ok(HostInfo {
            name,
            engine_id: info.id.unwrap_or_default(),
            cpus: info.ncpu.unwrap_or(1),
            memory: info.mem_total.unwrap_or(0),
            version: info.server_version.unwrap_or_default(),
            api_version: docker.client_version().to_string(),
            architecture: info.architecture.unwrap_or_default(),
            isolation,
        })
    }

    async fn list(&self) -> Result<Vec<ContainerView>> {
        let options = ListContainersOptionsBuilder::new().all(true).build();
        let all = self
            .docker()
            .await?
            .list_containers(Some(options))
            .await
            .map_err(|e| self.fault("list the containers", &e))?;
        let ours = |v: &ContainerView| v.labels.contains_key(LABEL) || v.name.starts_with(PREFIX);
        Ok(all.into_iter().map(listed).filter(ours).collect())
    }

    async fn inspect(&self, name_or_id: &str) -> Result<Option<ContainerView>> {
        match self
            .docker()
            .await?
            .inspect_container(name_or_id, None)
            .await
        {
            Ok(found) => Ok(Some(inspected(found))),
            Err(e) if status(&e) == Some(404) => Ok(None),
            Err(e) => Err(self.fault(&format!("inspect container {name_or_id}"), &e)),
        }
    }

    async fn create(&self, actor: Actor, spec: &ContainerSpec) -> Result<String> {
        let _permit = self.change_permit().await?;
        let spec = ContainerSpec {
            labels: stamped(&spec.labels, actor),
            ..spec.clone()
        };
        let id = match self.make_container(&spec).await? {
            Some(id) => id,
            None => match self.found(actor, &spec).await? {
                Found::Complete(id) => return Ok(id),
                Found::Incomplete(id) => id,
                Found::Removed => self
                    .make_container(&spec)
                    .await?
                    .ok_or_else(|| registering(&spec.name))?,
            },
        };
        self.complete_container(&id, &spec).await?;
        Ok(id)
    }

    async fn start(&self, _actor: Actor, id: &str) -> Result<()> {
        let _permit = self.change_permit().await?;
        self.docker()
            .await?
            .start_container(id, None)
            .await
            .map_err(|e| {
                let fault = self.fault(&format!("start container {id}"), &e);
                // An engine that was killed while it started the container has
                // lost the process that containerd still has; this container
                // cannot be started any more.
                let is_left = message_contains(&e, "task ")
                    && message_contains(&e, ": already exists")
                    || message_contains(&e, "id already in use");
                // The next build claims a range again.
                let has_no_range = message_contains(&e, "is not granted to the container");
                if is_left || has_no_range {
                    return infra::unusable(fault.message);
                }
                fault
            })?;
        self.check_started(id).await
    }

    async fn stop(&self, _actor: Actor, id: &str, seconds: i64) -> Result<()> {
        let options = StopContainerOptionsBuilder::new()
            .t(i32::try_from(seconds).unwrap_or(10))
            .build();
        self.docker()
            .await?
            .stop_container(id, Some(options))
            .await
            .map_err(|e| self.fault(&format!("stop container {id}"), &e))
    }

    async fn remove(&self, _actor: Actor, id: &str) -> Result<()> {
        let _permit = self.change_permit().await?;
        self.remove_container(id).await
    }

    async fn reservations(&self, installation: &str) -> Result<Reservations> {
        self.granted_to(installation).await
    }

    async fn release(&self, name: &str) -> Result<()> {
        self.release_range(name).await
    }

    async fn logs(&self, name_or_id: &str, lines: u32) -> Result<String> {
        let options = LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .tail(&lines.to_string())
            .build();
        let mut stream = self.docker().await?.logs(name_or_id, Some(options));
        let mut out = Vec::new();
        while let Some(part) = stream.next().await {
            match part.map_err(|e| self.fault(&format!("read the log of {name_or_id}"), &e))? {
                LogOutput::StdOut { message }
                | LogOutput::StdErr { message }
                | LogOutput::Console { message }
                | LogOutput::StdIn { message } => out.extend_from_slice(&message),
            }
        }
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    async fn events(&self) -> Result<Events> {
        let filters = HashMap::from([("type", vec!["container"]), ("label", vec![LABEL])]);
        self.follow(&filters, observed).await
    }
}

#[async_trait]
impl VolumeStore for Engine {
    async fn volumes(&self) -> Result<Vec<VolumeView>> {
        let all = self
            .docker()
            .await?
            .list_volumes(None::<ListVolumesOptions>)
            .await
            .map_err(|e| self.fault("list the volumes", &e))?;
        let views = all.volumes.unwrap_or_default().into_iter();
        Ok(views
            .map(|v| VolumeView {
                name: v.name,
                labels: v.labels.into_iter().collect(),
            })
            .filter(|v| v.labels.contains_key(LABEL) || v.name.starts_with(PREFIX))
            .collect())
    }

    async fn remove_volume(&self, _actor: Actor, name: &str) -> Result<()> {
        let _permit = self.change_permit().await?;
        match self
            .docker()
            .await?
            .remove_volume(name, None::<RemoveVolumeOptions>)
            .await
        {
            Err(e) if status(&e) != Some(404) => {
                Err(self.fault(&format!("remove volume {name}"), &e))
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl ImageStore for Engine {
    async fn images(&self) -> Result<Vec<ImageView>> {
        let all = self
            .docker()
            .await?
            .list_images(None::<ListImagesOptions>)
            .await
            .map_err(|e| self.fault("list the images", &e))?;
        Ok(all
            .into_iter()
            .map(|i| ImageView {
                id: i.id,
                tags: i.repo_tags,
                size: i.size,
                labels: i.labels.into_iter().collect(),
            })
            .collect())
    }

    async fn has_image(&self, reference: &str) -> Result<bool> {
        match self.docker().await?.inspect_image(reference).await {
            Ok(_) => Ok(true),
            Err(e) if status(&e) == Some(404) => Ok(false),
            Err(e) => Err(self.fault(&format!("inspect image {reference}"), &e)),
        }
    }

    async fn pull(&self, reference: &str) -> Result<()> {
        self.pull_image(reference).await
    }
}

impl Engine {
    /// Streams the engine's events that match the filters.
    pub(crate) async fn follow(
        &self,
        filters: &HashMap<&str, Vec<&str>>,
        observed: fn(EventMessage) -> Option<Observed>,
    ) -> Result<Events> {
        let docker = self.docker().await?.clone();
        let mut options = EventsOptionsBuilder::new().filters(filters);
        // The request is sent when the stream is first polled, so it starts at
        // the engine's current time, and no event until then is missed. This
        // call also checks whether the engine answers.
        let info = docker
            .info()
            .await
            .map_err(|e| self.fault("read its clock", &e))?;
        if let Some(now) = info.system_time.as_deref().and_then(Timestamp::parse_iso) {
            options = options.since(&format!(
                "{}.{:06}000",
                now.as_seconds(),
                now.as_micros().rem_euclid(1_000_000)
            ));
        }
        let stream = docker.events(Some(options.build()));
        Ok(Box::pin(
            stream
                // The first error ends the stream; the caller lists again.
                .take_while(|e| std::future::ready(e.is_ok()))
                .filter_map(move |e| std::future::ready(e.ok().and_then(observed))),
        ))
    }
}

fn addresses(networks: Option<HashMap<String, EndpointSettings>>) -> BTreeMap<String, Ipv4Addr> {
    networks
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(name, e)| Some((name, e.ip_address?.parse().ok()?)))
        .collect()
}

fn listed(c: ContainerSummary) -> ContainerView {
    let name = c.names.unwrap_or_default().into_iter().next();
    ContainerView {
        id: c.id.unwrap_or_default(),
        name: name.unwrap_or_default().trim_start_matches('/').to_owned(),
        state: match c.state {
            Some(L::CREATED) => ContainerState::Created,
            Some(L::RUNNING | L::STOPPING) => ContainerState::Running,
            Some(L::PAUSED) => ContainerState::Paused,
            Some(L::RESTARTING) => ContainerState::Restarting,
            Some(L::REMOVING | L::DEAD) => ContainerState::Dead,
            _ => ContainerState::Exited,
        },
        // Only an inspection provides this field.
        exit_code: None,
        oom_killed: false,
        error: None,
        labels: c.labels.unwrap_or_default().into_iter().collect(),
        addresses: addresses(c.network_settings.and_then(|n| n.networks)),
        restarts: 0,
        isolation: None,
    }
}

fn inspected(c: ContainerInspectResponse) -> ContainerView {
    let isolation = if is_isolated(&c) {
        Isolation::UserNamespace
    } else {
        Isolation::HostRoot
    };
    let state = c.state.unwrap_or_default();
    ContainerView {
        id: c.id.unwrap_or_default(),
        name: c
            .name
            .unwrap_or_default()
            .trim_start_matches('/')
            .to_owned(),
        state: match state.status {
            Some(S::CREATED) => ContainerState::Created,
            Some(S::RUNNING | S::STOPPING) => ContainerState::Running,
            Some(S::PAUSED) => ContainerState::Paused,
            Some(S::RESTARTING) => ContainerState::Restarting,
            Some(S::REMOVING | S::DEAD) => ContainerState::Dead,
            _ => ContainerState::Exited,
        },
        exit_code: state.exit_code,
        oom_killed: state.oom_killed.unwrap_or(false),
        error: state.error.filter(|e| !e.is_empty()),
        labels: c
            .config
            .and_then(|c| c.labels)
            .unwrap_or_default()
            .into_iter()
            .collect(),
        addresses: addresses(c.network_settings.and_then(|n| n.networks)),
        restarts: c.restart_count.unwrap_or(0),
        isolation: Some(isolation),
    }
}

fn observed(e: EventMessage) -> Option<Observed> {
    let mut attributes = e.actor?.attributes?;
    Some(Observed {
        id: attributes.remove(LABEL)?,
        name: attributes.remove("name").unwrap_or_default(),
        action: e.action?,
    })
}
