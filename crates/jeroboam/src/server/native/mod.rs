//! Routes that OpenStack does not have: health, metrics, the OpenAPI document, and
//! the administration of the installation.

mod dependencies;
pub mod dialect;
mod metrics;
pub mod policy;

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use kernel::{Enforcer as _, Error, Result, Rule, Target};
use rest::{Access, Call, Json, Raw, RequestBody, Route, Service, Settings, get, post};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::Value;

use super::images::{self, RegisterRequest, RegisteredImage};
pub use dependencies::{Dependencies, Native};
use dialect::NativeDialect;

/// The service. It gets the paths that belong to no other service, so it has to be
/// the last one in the list.
pub fn service(native: Native, auth: Arc<dyn rest::Authenticator>) -> Result<Service> {
    let health = Access::Public("Load balancers and supervisors have no token.");
    let figures = Access::Public("The figures name no project and no object.");
    let documents = Access::Public("The documents are the same for all callers.");
    let routes: Vec<Route<Native>> = vec![
        get(
            "/healthz",
            health,
            "Whether the server can serve: the database answers.",
            healthz,
        ),
        get(
            "/metrics",
            figures,
            "Figures of this process, for Prometheus.",
            metrics::show,
        ),
        get("/openapi.json", documents, "This document.", openapi),
        get(
            "/jeroboam/v1/leaks",
            &policy::LIST_LEAKS,
            "List objects that only the engine or only the database has.",
            leaks,
        ),
        get(
            "/jeroboam/v1/stats",
            &policy::GET_STATS,
            "Counters of this process.",
            stats,
        ),
        get(
            "/jeroboam/v1/policies",
            &policy::LIST_POLICIES,
            "List the rules in effect.",
            policies,
        ),
        post(
            "/jeroboam/v1/images",
            &policy::REGISTER_IMAGE,
            "Register an existing node image.",
            register,
        ),
        post(
            "/jeroboam/v1/images/refresh",
            &policy::REGISTER_IMAGE,
            "Register the node images that the engine has.",
            refresh,
        ),
    ];
    let mut settings = Settings::new("jeroboam", "", Arc::new(NativeDialect));
    settings.authenticator = Some(auth);
    Service::new(settings, native, routes)
}

#[derive(Debug, Serialize, JsonSchema)]
struct Health {
    status: &'static str,
}

async fn healthz(call: Call<Native>) -> Result<Json<Health>> {
    let db = &call.state.0.db;
    db.query("SELECT 1 AS one", vec![]).await.map_err(|e| {
        let text = format!("The database does not answer: {}", e.message);
        Error::unavailable(text).context(e)
    })?;
    Ok(Json(Health { status: "ok" }))
}

async fn openapi(call: Call<Native>) -> Result<Raw> {
    let d = &call.state.0;
    let api = d
        .api
        .get()
        .ok_or_else(|| Error::unavailable("The server is starting; try again."))?;
    let document = d.document.get_or_init(|| {
        let services: Vec<&Service> = api.services().iter().collect();
        let document = rest::openapi::document(&services, env!("CARGO_PKG_VERSION"));
        Bytes::from(document.to_string())
    });
    let mut response = Response::new(Body::from(document.clone()));
    let kind = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(Raw(response))
}

/// Checks a rule on the installation, which belongs to no project.
fn allow<B>(call: &Call<Native, B>, rule: &'static Rule) -> Result<()> {
    let checked = call
        .state
        .0
        .policies
        .check(rule, call.ctx()?, &Target::default());
    checked.map_err(|_| {
        Error::forbidden(format!(
            "The policy {} does not allow this; by default it needs the role admin: use the cloud 'jeroboam' of clouds.yaml.",
            rule.name
        ))
    })
}

#[derive(Debug, Serialize, JsonSchema)]
struct LeakBody {
    kind: &'static str,
    name: String,
    id: Option<String>,
    side: String,
    what: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Leaks {
    leaks: Vec<LeakBody>,
}

async fn leaks(call: Call<Native>) -> Result<Json<Leaks>> {
    allow(&call, &policy::LIST_LEAKS)?;
    let mut all = call.state.0.compute.leaks().await?;
    all.extend(call.state.0.network.leaks().await?);
    let one = |leak: infra::Leak| LeakBody {
        kind: leak.object,
        name: leak.name,
        id: leak.id,
        side: format!("{:?}", leak.side),
        what: leak.hint,
    };
    Ok(Json(Leaks {
        leaks: all.into_iter().map(one).collect(),
    }))
}

#[derive(Debug, Serialize, JsonSchema)]
struct AgentStats {
    clusters: usize,
    streams: usize,
    connections: usize,
    refused_connections: u64,
    evicted_connections: u64,
    listeners: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Stats {
    queries: u64,
    agents: AgentStats,
}

/// Counters of the process since its start.
async fn stats(call: Call<Native>) -> Result<Json<Stats>> {
    allow(&call, &policy::GET_STATS)?;
    let d = &call.state.0;
    let (clusters, streams) = d.agents.sessions();
    let listener = d.agent_connections.figures();
    Ok(Json(Stats {
        queries: d.db.queries(),
        agents: AgentStats {
            clusters,
            streams,
            connections: listener.connections,
            refused_connections: listener.refused,
            evicted_connections: listener.evicted,
            listeners: listener.listeners,
        },
    }))
}

#[derive(Debug, Serialize, JsonSchema)]
struct PolicyBody {
    name: &'static str,
    rule: String,
    default: &'static str,
    overridden: bool,
    description: &'static str,
}

#[derive(Debug, Serialize, JsonSchema)]
struct PoliciesBody {
    policies: Vec<PolicyBody>,
}

async fn policies(call: Call<Native>) -> Result<Json<PoliciesBody>> {
    allow(&call, &policy::LIST_POLICIES)?;
    let one = |e: rest::policy::Effective| PolicyBody {
        name: e.rule.name,
        rule: e.text,
        default: e.rule.default,
        overridden: e.overridden,
        description: e.rule.about,
    };
    let effective = call.state.0.policies.effective();
    Ok(Json(PoliciesBody {
        policies: effective.into_iter().map(one).collect(),
    }))
}

#[derive(Debug, Serialize, JsonSchema)]
struct RefreshedImages {
    images: Vec<String>,
}

async fn refresh(call: Call<Native>) -> Result<Json<RefreshedImages>> {
    allow(&call, &policy::REGISTER_IMAGE)?;
    let d = &call.state.0;
    let images = images::refresh(d.host.as_ref(), &d.compute.api()).await?;
    Ok(Json(RefreshedImages { images }))
}

#[derive(Debug, Serialize, JsonSchema)]
struct ImageBody {
    image: RegisteredImage,
}

async fn register(call: Call<Native, RegisterRequest>) -> Result<Json<ImageBody>> {
    allow(&call, &policy::REGISTER_IMAGE)?;
    let api = call.state.0.compute.api();
    let image = images::register(call.ctx()?, &api, call.body()?).await?;
    Ok(Json(ImageBody { image }))
}

impl RequestBody for RegisterRequest {
    fn schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(generator.subschema_for::<Self>())
    }

    fn read(body: Option<Value>) -> Result<Self> {
        serde_json::from_value(body.unwrap_or_default())
            .map_err(|e| Error::invalid("body", format!("body: {e}")))
    }
}
