//! `GET /metrics` in the Prometheus text format: metrics of this process.
//! Public, because they name no project and no object.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use db::Db;
use flow::Counts;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use rest::limits::Connections;

/// The media type of the output.
const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Sources of the metrics.
#[derive(Clone)]
pub struct Sources {
    pub db: Db,
    pub counts: Counts,
    pub agents: clusters::Bootstrap,
    pub agent_connections: Connections,
    pub api_connections: Connections,
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sources")
    }
}

pub fn routes(sources: Sources) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .with_state(sources)
}

async fn metrics(State(sources): State<Sources>) -> Response {
    let mut registry = Registry::with_prefix("jeroboam");
    registry.register_collector(Box::new(sources));
    let mut body = String::new();
    match text::encode(&mut body, &registry) {
        Ok(()) => ([(CONTENT_TYPE, TEXT)], body).into_response(),
        Err(e) => {
            tracing::error!(error = %e, "metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

impl Collector for Sources {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let figures = self.counts.figures();
        let (agents, api) = (
            self.agent_connections.figures(),
            self.api_connections.figures(),
        );
        let (clusters, streams) = self.agents.sessions();
        let plain = [
            (
                "db_statements",
                "Statements sent to the database",
                self.db.queries(),
            ),
            ("db_commits", "Transactions committed", self.db.commits()),
            (
                "db_retries",
                "Transactions repeated because the database aborted them",
                self.db.retries(),
            ),
            (
                "flow_lost_leases",
                "Leases lost while their runs were active",
                figures.lost_leases,
            ),
            (
                "agent_connections_refused",
                "Connections of agents refused because there were too many in use",
                agents.refused,
            ),
            (
                "agent_connections_evicted",
                "Unused connections to the bootstrap channel closed in favour of others",
                agents.evicted,
            ),
            (
                "api_connections_refused",
                "Connections to the API refused because there were too many in use",
                api.refused,
            ),
            (
                "api_connections_evicted",
                "Unused connections to the API closed in favour of others",
                api.evicted,
            ),
        ];
        for (name, help, value) in plain {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        let present = [
            (
                "agent_connections",
                "Open connections of agents",
                agents.connections,
            ),
            (
                "api_connections",
                "Open connections to the API",
                api.connections,
            ),
            (
                "agent_streams",
                "Streams on which agents wait for news",
                streams,
            ),
            (
                "agent_clusters",
                "Clusters that agents of this server belong to",
                clusters,
            ),
            (
                "agent_listeners",
                "Listening sockets of the bootstrap channel",
                agents.listeners,
            ),
        ];
        for (name, help, value) in present {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        let by_kind = [
            ("flow_runs", "Runs of reconcilers", figures.runs),
            (
                "flow_failures",
                "Runs that ended in an error and are repeated",
                figures.failures,
            ),
        ];
        for (name, help, values) in by_kind {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (kind, value) in values {
                let labels = [("kind", kind)];
                ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
