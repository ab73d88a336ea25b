//! Actions of users and their expected results.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use tower::ServiceExt as _;

use crate::faults::ABORTED;
use crate::rng::SeededRng;
use crate::server::Server;
use crate::trace::Trace;

/// Time limit for retries of users.
const USER_RETRY_LIMIT: Duration = Duration::from_secs(600);
/// Timeout of a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The running servers, as users reach them.
pub type Servers = Arc<Mutex<Vec<Option<Arc<Server>>>>>;

/// Desired state of the last accepted operation on a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    Workers(u64),
    Removed,
}

/// One cluster and its user.
#[derive(Debug, Clone)]
pub struct ClusterHistory {
    pub name: String,
    pub project: String,
    pub uuid: Option<String>,
    pub wanted: Option<Wanted>,
    /// A request that failed because the database aborted a transaction.
    pub aborted: Option<String>,
}

/// A user of one cluster.
pub struct User {
    pub history: ClusterHistory,
    /// Whether the user starts the next operation without waiting for the previous
    /// one.
    overlapping: bool,
    servers: Servers,
    rng: SeededRng,
    trace: Trace,
}

/// Result of a request.
enum Answer {
    Response(StatusCode, Value),
    /// The server died, hung, or answered with an unknown outcome.
    Unknown,
    /// The database aborted the transaction, which was not repeated.
    Aborted(String),
}

impl User {
    #[must_use]
    pub fn new(number: u64, servers: &Servers, rng: &SeededRng, trace: &Trace) -> Self {
        Self {
            history: ClusterHistory {
                name: format!("c{number}"),
                project: format!("p{}", number % 2),
                uuid: None,
                wanted: None,
                aborted: None,
            },
            overlapping: rng.hits(0.5),
            servers: servers.clone(),
            rng: rng.clone(),
            trace: trace.clone(),
        }
    }

    /// Creates a cluster, resizes it several times, and possibly deletes it.
    pub async fn run_operations(mut self, busy: Duration) -> ClusterHistory {
        let end = Instant::now() + busy;
        sleep(self.rng.time(Duration::ZERO, busy / 2)).await;
        self.create().await;
        while Instant::now() < end {
            let longest = if self.overlapping { 6 } else { 40 };
            sleep(self.rng.seconds(0, longest)).await;
            if self.history.uuid.is_none() {
                break;
            }
            if self.rng.hits(0.25) {
                self.remove().await;
                break;
            }
            let workers = self.rng.number(0, 3);
            self.resize(workers).await;
        }
        self.history
    }

    /// Creates the template of all clusters of a project.
    pub async fn create_template(&mut self) {
        let body = json!({"name": "t", "coe": "swarm", "image_id": "swarm", "external_network_id": "public",
            "keypair_id": "default", "flavor_id": "m1.tiny", "master_flavor_id": "m1.tiny"});
        let end = Instant::now() + USER_RETRY_LIMIT;
        while Instant::now() < end {
            match self
                .request("POST", "/v1/clustertemplates", Some(&body))
                .await
            {
                Answer::Response(status, _) if status.is_success() => return,
                _ => sleep(Duration::from_secs(1)).await,
            }
        }
    }

    async fn create(&mut self) {
        let workers = self.rng.number(0, 3);
        let body =
            json!({"name": self.history.name, "cluster_template_id": "t", "node_count": workers});
        let end = Instant::now() + USER_RETRY_LIMIT;
        while Instant::now() < end && self.history.uuid.is_none() {
            match self.request("POST", "/v1/clusters", Some(&body)).await {
                Answer::Response(StatusCode::ACCEPTED, cluster) => {
                    self.history.uuid = cluster["uuid"].as_str().map(str::to_owned);
                }
                Answer::Response(status, body) if status.is_client_error() => {
                    self.trace.record_line(format!(
                        "{}: create is refused: {status} {body}",
                        self.history.name
                    ));
                    return;
                }
                // The cluster may have been created; only the list shows that.
                _ => self.find().await,
            }
        }
        if self.history.uuid.is_some() {
            self.accepted(Wanted::Workers(workers));
        }
    }

    async fn find(&mut self) {
        let end = Instant::now() + USER_RETRY_LIMIT;
        while Instant::now() < end {
            sleep(Duration::from_secs(1)).await;
            if let Answer::Response(StatusCode::OK, list) =
                self.request("GET", "/v1/clusters", None).await
            {
                let all = list["clusters"].as_array();
                let mine = all
                    .into_iter()
                    .flatten()
                    .find(|c| c["name"] == self.history.name.as_str());
                self.history.uuid = mine.and_then(|c| c["uuid"].as_str()).map(str::to_owned);
                return;
            }
        }
    }

    async fn resize(&mut self, workers: u64) {
        let Some(uuid) = self.history.uuid.clone() else {
            return;
        };
        let path = format!("/v1/clusters/{uuid}/actions/resize");
        let body = json!({ "node_count": workers });
        let end = Instant::now() + USER_RETRY_LIMIT;
        while Instant::now() < end {
            match self.request("POST", &path, Some(&body)).await {
                Answer::Response(StatusCode::ACCEPTED, _) => {
                    return self.accepted(Wanted::Workers(workers));
                }
                // An operation is in progress; the cluster can be resized later.
                Answer::Response(status, _) if status.is_client_error() => {
                    if self.rng.hits(0.3) {
                        return;
                    }
                    sleep(Duration::from_secs(3)).await;
                }
                // A repetition requests the same size.
                _ => sleep(Duration::from_secs(1)).await,
            }
        }
    }

    async fn remove(&mut self) {
        let Some(uuid) = self.history.uuid.clone() else {
            return;
        };
        let path = format!("/v1/clusters/{uuid}");
        let end = Instant::now() + USER_RETRY_LIMIT;
        while Instant::now() < end {
            match self.request("DELETE", &path, None).await {
                Answer::Response(StatusCode::NO_CONTENT | StatusCode::NOT_FOUND, _) => {
                    return self.accepted(Wanted::Removed);
                }
                _ => sleep(Duration::from_secs(1)).await,
            }
        }
    }

    fn accepted(&mut self, wanted: Wanted) {
        self.trace
            .record_line(format!("{}: accepted: {wanted:?}", self.history.name));
        self.history.wanted = Some(wanted);
    }

    async fn request(&mut self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let answer = self.call(method, path, body).await;
        if let Answer::Aborted(body) = &answer {
            self.history.aborted = Some(format!("{method} {path}: {body}"));
        }
        answer
    }

    async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let running: Vec<Arc<Server>> = self
            .servers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .flatten()
            .cloned()
            .collect();
        if running.is_empty() {
            return Answer::Unknown;
        }
        let server = &running[self.rng.index(running.len())];
        request(server, &self.history.project, method, path, body).await
    }
}

async fn request(
    server: &Server,
    project: &str,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(format!("/container-infra{path}"))
        .header("x-auth-token", project)
        .header("content-type", "application/json")
        .header("openstack-api-version", "container-infra 1.11")
        .body(body.map_or_else(Body::empty, |b| Body::from(b.to_string())));
    let Ok(request) = request else {
        return Answer::Unknown;
    };
    let api = server.api.clone();
    let call = server.process.within(async move {
        let response = api.oneshot(request).await.ok()?;
        let status = response.status();
        let bytes = response.into_body().collect().await.ok()?.to_bytes();
        Some((
            status,
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        ))
    });
    match timeout(REQUEST_TIMEOUT, call).await {
        Ok(Some(Some((status, body)))) if status.as_u16() < 500 => Answer::Response(status, body),
        Ok(Some(Some((_, body)))) if body.to_string().contains(ABORTED) => {
            Answer::Aborted(body.to_string())
        }
        _ => Answer::Unknown,
    }
}

/// The API's view of a cluster; `None` if it does not exist.
///
/// # Errors
/// The error of the API.
pub async fn show(server: &Server, project: &str, uuid: &str) -> Result<Option<Value>, String> {
    match request(
        server,
        project,
        "GET",
        &format!("/v1/clusters/{uuid}"),
        None,
    )
    .await
    {
        Answer::Response(StatusCode::OK, cluster) => Ok(Some(cluster)),
        Answer::Response(StatusCode::NOT_FOUND, _) => Ok(None),
        Answer::Response(status, body) => Err(format!("{status} {body}")),
        Answer::Aborted(body) => Err(body),
        Answer::Unknown => Err("no answer".into()),
    }
}
