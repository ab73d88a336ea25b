//! The container host.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;

use async_trait::async_trait;
use bollard::container::LogOutput;
use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum as S, ContainerSummary,
    ContainerSummaryStateEnum as L, EndpointSettings, EventMessage, NetworkConnectRequest,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, EventsOptionsBuilder, ListContainersOptionsBuilder,
    ListImagesOptions, ListVolumesOptions, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
    RemoveVolumeOptions, StopContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use futures_util::StreamExt as _;
use infra::{
    ContainerHost, ContainerSpec, ContainerState, ContainerView, HostInfo, ImageView, LABEL,
    Observed, PREFIX, VolumeView,
};
use kernel::{Error, Result};

use crate::fault::{no_image, says, status};
use crate::{Engine, spec};

#[async_trait]
impl ContainerHost for Engine {
    async fn info(&self) -> Result<HostInfo> {
        let docker = self.docker().await?;
        let info = docker
            .info()
            .await
            .map_err(|e| self.fault("read its facts", &e))?;
        let name = info.name.unwrap_or_else(|| self.url.clone());
        let _ = self.name.set(name.clone());
        Ok(HostInfo {
            name,
            cpus: info.ncpu.unwrap_or(1),
            memory: info.mem_total.unwrap_or(0),
            version: info.server_version.unwrap_or_default(),
            api_version: docker.client_version().to_string(),
            architecture: info.architecture.unwrap_or_default(),
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

    async fn inspect(&self, name: &str) -> Result<Option<ContainerView>> {
        match self.docker().await?.inspect_container(name, None).await {
            Ok(found) => Ok(Some(inspected(found))),
            Err(e) if status(&e) == Some(404) => Ok(None),
            Err(e) => Err(self.fault(&format!("inspect container {name}"), &e)),
        }
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<()> {
        let mut turn = self.turn().await?;
        let docker = self.docker().await?;
        let step = format!("create container {}", spec.name);
        let make = || {
            let options = CreateContainerOptionsBuilder::new().name(&spec.name);
            docker.create_container(Some(options.build()), spec::body(spec))
        };
        let mut made = make().await;
        if let Err(e) = &made
            && spec.foreign.pull
            && status(e) == Some(404)
            && says(e, "No such image")
        {
            // Minutes, in which others have their turn.
            drop(turn);
            self.pull(&spec.image).await?;
            turn = self.turn().await?;
            made = make().await;
        }
        let _turn = turn;
        match made {
            Ok(_) => {}
            Err(e) if status(&e) == Some(404) && says(&e, "No such image") => {
                return Err(no_image(&spec.image, self.host_name().await));
            }
            Err(e) if status(&e) == Some(409) && says(&e, "is already in use by container") => {
                // Somebody has started it already: then its files are complete.
                let state = self.inspect(&spec.name).await?.map(|v| v.state);
                if state != Some(ContainerState::Created) {
                    return Ok(());
                }
            }
            Err(e) => return Err(self.fault(&step, &e)),
        }
        for end in spec.endpoints.iter().skip(1) {
            let request = NetworkConnectRequest {
                container: spec.name.clone(),
                endpoint_config: Some(spec::endpoint(end)),
            };
            match docker.connect_network(&end.network, request).await {
                Err(e) if !says(&e, "already exists in network") => {
                    return Err(self.fault(&format!("connect it to {}", end.network), &e));
                }
                _ => {}
            }
        }
        if let Some(program) = &spec.foreign.program {
            self.put_program(&spec.name, program).await?;
        }
        if spec.files.is_empty() {
            return Ok(());
        }
        let options = UploadToContainerOptionsBuilder::new().path("/").build();
        let tar = bollard::body_full(spec::archive(&spec.files)?.into());
        docker
            .upload_to_container(&spec.name, Some(options), tar)
            .await
            .map_err(|e| self.fault(&format!("put files into container {}", spec.name), &e))
    }

    async fn start(&self, name: &str) -> Result<()> {
        let _turn = self.turn().await?;
        self.docker()
            .await?
            .start_container(name, None)
            .await
            .map_err(|e| self.fault(&format!("start container {name}"), &e))
    }

    async fn stop(&self, name: &str, seconds: i64) -> Result<()> {
        let options = StopContainerOptionsBuilder::new()
            .t(i32::try_from(seconds).unwrap_or(10))
            .build();
        self.docker()
            .await?
            .stop_container(name, Some(options))
            .await
            .map_err(|e| self.fault(&format!("stop container {name}"), &e))
    }

    async fn remove(&self, name: &str, volumes: &[String]) -> Result<()> {
        let _turn = self.turn().await?;
        let docker = self.docker().await?;
        // With `v` go anonymous volumes that the image asks for.
        let options = RemoveContainerOptionsBuilder::new()
            .force(true)
            .v(true)
            .build();
        match docker.remove_container(name, Some(options)).await {
            Ok(()) => {}
            Err(e) if status(&e) == Some(404) => {}
            Err(e) if says(&e, "already in progress") => {
                return Err(Error::unavailable(format!(
                    "container {name} is being removed"
                )));
            }
            Err(e) => return Err(self.fault(&format!("remove container {name}"), &e)),
        }
        for volume in volumes {
            match docker
                .remove_volume(volume, None::<RemoveVolumeOptions>)
                .await
            {
                Err(e) if status(&e) != Some(404) => {
                    return Err(self.fault(&format!("remove volume {volume}"), &e));
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn logs(&self, name: &str, lines: u32) -> Result<String> {
        let options = LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .tail(&lines.to_string())
            .build();
        let mut stream = self.docker().await?.logs(name, Some(options));
        let mut out = Vec::new();
        while let Some(part) = stream.next().await {
            match part.map_err(|e| self.fault(&format!("read the log of {name}"), &e))? {
                LogOutput::StdOut { message }
                | LogOutput::StdErr { message }
                | LogOutput::Console { message }
                | LogOutput::StdIn { message } => out.extend_from_slice(&message),
            }
        }
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

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

    async fn events(&self) -> Result<Pin<Box<dyn futures_util::Stream<Item = Observed> + Send>>> {
        let docker = self.docker().await?.clone();
        let filters = HashMap::from([("type", vec!["container"]), ("label", vec![LABEL])]);
        let mut options = EventsOptionsBuilder::new().filters(&filters);
        // The request is sent when the stream is first polled; by the engine's
        // own clock nothing is missed until then. This call also finds out
        // whether the engine answers at all.
        let info = docker
            .info()
            .await
            .map_err(|e| self.fault("read its clock", &e))?;
        if let Some(now) = info
            .system_time
            .as_deref()
            .and_then(kernel::clock::parse_iso)
        {
            options = options.since(&format!(
                "{}.{:06}000",
                now.div_euclid(1_000_000),
                now.rem_euclid(1_000_000)
            ));
        }
        let stream = docker.events(Some(options.build()));
        Ok(Box::pin(
            stream
                // The first error ends it: the caller lists again.
                .take_while(|e| std::future::ready(e.is_ok()))
                .filter_map(|e| std::future::ready(e.ok().and_then(observed))),
        ))
    }
}

impl Engine {
    /// The host's name for messages; its address while it is unknown.
    pub(crate) async fn host_name(&self) -> &str {
        if self.name.get().is_none() {
            // Learned as a side effect; a failure leaves the address.
            let _ = self.info().await;
        }
        self.name.get().map_or(&self.url, String::as_str)
    }
}

fn addresses(networks: Option<HashMap<String, EndpointSettings>>) -> BTreeMap<String, String> {
    networks
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(name, e)| Some((name, e.ip_address.filter(|ip| !ip.is_empty())?)))
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
        // Only an inspection tells.
        exit_code: None,
        oom_killed: false,
        error: None,
        labels: c.labels.unwrap_or_default().into_iter().collect(),
        addresses: addresses(c.network_settings.and_then(|n| n.networks)),
        restarts: 0,
    }
}

fn inspected(c: ContainerInspectResponse) -> ContainerView {
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
