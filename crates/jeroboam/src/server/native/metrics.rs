//! `GET /metrics` in the Prometheus text format: metrics of this process.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use kernel::{Error, Result};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use rest::{Call, Raw};

use super::dependencies::{Dependencies, Native};

/// The media type of the output.
const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

struct Sources(Arc<Dependencies>);

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sources")
    }
}

pub async fn show(call: Call<Native>) -> Result<Raw> {
    let mut registry = Registry::with_prefix("jeroboam");
    registry.register_collector(Box::new(Sources(call.state.0)));
    let mut body = String::new();
    text::encode(&mut body, &registry).map_err(|e| Error::internal(e).context("metrics"))?;
    let mut response = Response::new(Body::from(body));
    let kind = HeaderValue::from_static(TEXT);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(Raw(response))
}

impl Collector for Sources {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let figures = self.0.counts.figures();
        let (agents, api) = (
            self.0.agent_connections.figures(),
            self.0.api_connections.figures(),
        );
        let (clusters, streams) = self.0.agents.sessions();
        let plain = [
            (
                "db_statements",
                "Statements sent to the database",
                self.0.db.queries(),
            ),
            ("db_commits", "Transactions committed", self.0.db.commits()),
            (
                "db_retries",
                "Transactions repeated because the database aborted them",
                self.0.db.retries(),
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
                "Streams on which agents wait for changes",
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
        self.encode_requests(&mut encoder)?;
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

impl Sources {
    /// Requests by route and class of status, and the time that they took.
    fn encode_requests(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(api) = self.0.api.get() else {
            return Ok(());
        };
        let routes: Vec<_> = api.figures().collect();
        let help = "Answers by route and class of status";
        let mut family =
            encoder.encode_descriptor("http_requests", help, None, MetricType::Counter)?;
        for route in &routes {
            let answered = route.answered.iter().enumerate().filter(|(_, n)| **n > 0);
            for (class, count) in answered {
                let class = format!("{class}xx");
                let labels = [
                    ("service", route.service),
                    ("method", route.method.as_str()),
                    ("route", route.path),
                    ("status", class.as_str()),
                ];
                ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "Time spent in answering, microseconds";
        let mut family =
            encoder.encode_descriptor("http_request_micros", help, None, MetricType::Counter)?;
        for route in routes.iter().filter(|route| route.micros > 0) {
            let labels = [
                ("service", route.service),
                ("method", route.method.as_str()),
                ("route", route.path),
            ];
            ConstCounter::new(route.micros).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
