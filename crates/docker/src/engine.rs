//! The handle to an engine: connected by the first call, shared by all.

use std::sync::{Arc, Mutex};

use bollard::{API_DEFAULT_VERSION, Docker};
use kernel::{Error, Result};
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

use crate::pull;

/// Where the engine is looked for unless told otherwise.
pub const DEFAULT_URL: &str = "unix:///var/run/docker.sock";
/// Seconds until a request without answer counts as failed.
const TIMEOUT: u64 = 60;
/// Changes at the same time: beyond this an engine only gets slower.
const CHANGES: usize = 32;

/// A Docker Engine; cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) url: String,
    /// Set by the first call that reached the engine: a server starts also
    /// while its engine is down.
    client: Arc<OnceCell<Docker>>,
    /// The host's name for messages, once learned.
    pub(crate) name: Arc<OnceCell<String>>,
    pub(crate) isolate: bool,
    pub(crate) changes: Arc<Semaphore>,
    /// The archive of the program that was put into a container last: nodes
    /// that are made together share its bytes.
    pub(crate) program: Arc<Mutex<Option<pull::Archive>>>,
}

impl Engine {
    /// A handle to the engine at `unix://PATH` or `tcp://HOST:PORT`; nothing
    /// is sent before the first call, which agrees on the API's version.
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
            isolate: false,
            changes: Arc::new(Semaphore::new(CHANGES)),
            program: Arc::default(),
        })
    }

    /// Whether what the networks' containers send stays on this machine: a
    /// rule in the `DOCKER-USER` chain per network. Needs root on the host.
    #[must_use]
    pub fn isolate(mut self, on: bool) -> Self {
        self.isolate = on;
        self
    }

    /// The engine's address, for messages.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Permits one more change at the same time, until it is dropped.
    pub(crate) async fn change_permit(&self) -> Result<SemaphorePermit<'_>> {
        self.changes.acquire().await.map_err(Error::internal)
    }

    pub(crate) async fn docker(&self) -> Result<&Docker> {
        self.client
            .get_or_try_init(|| async {
                let open = if self.url.starts_with("unix://") {
                    Docker::connect_with_unix(&self.url, TIMEOUT, API_DEFAULT_VERSION)
                } else {
                    Docker::connect_with_http(&self.url, TIMEOUT, API_DEFAULT_VERSION)
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
