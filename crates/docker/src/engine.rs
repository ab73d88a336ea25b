//! The engine handle: connected by the first call, shared by all calls.

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use bollard::{API_DEFAULT_VERSION, Docker};
use bytes::Bytes;
use infra::ProgramSpec;
use kernel::{Error, Result};
use runtime::grants::{Devices, Pool};
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

use crate::fault;
use crate::firewall::{Firewall, Isolation};

/// Default address of the engine.
pub const DEFAULT_URL: &str = "unix:///var/run/docker.sock";
/// Request timeout, seconds.
const REQUEST_TIMEOUT: u64 = 60;
/// Maximum number of concurrent changes; more only slow the engine down.
const MAX_CONCURRENT_CHANGES: usize = 32;

/// A program as an archive, with the source that it was created from.
#[derive(Clone)]
pub(crate) struct Archive {
    /// The program, and when its file was modified.
    pub(crate) source: (ProgramSpec, Option<SystemTime>),
    pub(crate) bytes: Bytes,
}

/// A Docker Engine; cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) url: String,
    /// Set by the first successful call, so that a server can start while its
    /// engine is down.
    client: Arc<OnceCell<Docker>>,
    /// The name of the host for messages, once known.
    pub(crate) name: Arc<OnceCell<String>>,
    /// The rules that isolate networks.
    pub(crate) firewall: Firewall,
    /// The user ids for containers in user namespaces.
    pub(crate) user_ids: Pool,
    /// The devices of containers in user namespaces.
    pub(crate) devices: Devices,
    pub(crate) changes: Arc<Semaphore>,
    /// The archive of the last copied program, shared by nodes that are created
    /// together.
    pub(crate) program: Arc<Mutex<Option<Archive>>>,
}

impl Engine {
    /// Creates a handle to the engine at `unix://PATH` or `tcp://HOST:PORT`.
    /// The first call connects and negotiates the API version.
    ///
    /// # Errors
    /// `Invalid` for another scheme.
    pub fn connect(url: Option<&str>) -> Result<Self> {
        let url = url.unwrap_or(DEFAULT_URL);
        if !["unix://", "tcp://", "http://"]
            .iter()
            .any(|s| url.starts_with(s))
        {
            return Err(Error::invalid(
                "docker",
                format!("docker: '{url}' is no engine; use unix:///PATH or tcp://HOST:PORT"),
            ));
        }
        Ok(Self {
            url: url.to_owned(),
            client: Arc::default(),
            name: Arc::default(),
            firewall: Firewall::new(None),
            user_ids: Pool::default(),
            devices: Devices::default(),
            changes: Arc::new(Semaphore::new(MAX_CONCURRENT_CHANGES)),
            program: Arc::default(),
        })
    }

    /// Isolates networks by firewall rules of this host, which requires root. With
    /// `None`, rules of an earlier configuration are removed.
    #[must_use]
    pub fn isolate(mut self, isolation: Option<Isolation>) -> Self {
        self.firewall = Firewall::new(isolation);
        self
    }

    /// The ids from which containers in user namespaces get their ranges.
    #[must_use]
    pub fn user_ids(mut self, pool: Pool) -> Self {
        self.user_ids = pool;
        self
    }

    /// The devices of the host that containers in user namespaces get.
    #[must_use]
    pub fn devices(mut self, devices: Devices) -> Self {
        self.devices = devices;
        self
    }

    /// The address of the engine, for messages.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The name of the host for messages; its address if unknown.
    pub(crate) async fn host_name(&self) -> &str {
        if self.name.get().is_none() {
            // After a failure the address is used.
            if let Ok(docker) = self.docker().await
                && let Ok(info) = docker.info().await
            {
                let name = info.name.unwrap_or_else(|| self.url.clone());
                let _ = self.name.set(name);
            }
        }
        self.name.get().map_or(&self.url, String::as_str)
    }

    /// The directory in which the engine keeps images, containers and volumes.
    ///
    /// # Errors
    /// `Unavailable` if the engine does not answer.
    pub async fn data_directory(&self) -> Result<Option<String>> {
        let info = self.docker().await?.info().await;
        let info = info.map_err(|e| self.fault("read its facts", &e))?;
        Ok(info.docker_root_dir)
    }

    /// Converts a failed call; `step` completes "could not …".
    pub(crate) fn fault(&self, step: &str, e: &bollard::errors::Error) -> Error {
        fault::fault(&self.url, step, e)
    }

    /// Acquires a permit for one concurrent change, released when dropped.
    pub(crate) async fn change_permit(&self) -> Result<SemaphorePermit<'_>> {
        self.changes.acquire().await.map_err(Error::internal)
    }

    pub(crate) async fn docker(&self) -> Result<&Docker> {
        self.client
            .get_or_try_init(|| async {
                let open = if self.url.starts_with("unix://") {
                    Docker::connect_with_unix(&self.url, REQUEST_TIMEOUT, API_DEFAULT_VERSION)
                } else {
                    Docker::connect_with_http(&self.url, REQUEST_TIMEOUT, API_DEFAULT_VERSION)
                };
                let docker = open.map_err(|e| self.fault("connect", &e))?;
                docker
                    .negotiate_version()
                    .await
                    .map_err(|e| self.fault("negotiate the API version", &e))
            })
            .await
    }
}
