//! Derives `health_status` from an observation of a master, in Magnum's format
//! for Kubernetes: `{"api": "ok", "NODE.Ready": "True"}`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::coe::member::Member;

/// `HEALTHY` if the API answers and every expected node is Ready. Without the
/// API the state of the nodes is unknown.
pub(crate) fn evaluate_health(
    expected: &[String],
    seen: &[Member],
    problem: Option<&str>,
) -> (&'static str, Value) {
    if let Some(problem) = problem {
        return ("UNHEALTHY", json!({ "api": problem }));
    }
    let mut reason = Map::new();
    reason.insert("api".into(), "ok".into());
    let mut healthy = true;
    for name in expected {
        let state = seen
            .iter()
            .find(|m| m.hostname == *name)
            .map_or("", |m| m.state.as_str());
        let word = match state.to_ascii_lowercase().as_str() {
            "ready" => "True",
            "unknown" => "Unknown",
            _ => "False",
        };
        healthy &= word == "True";
        reason.insert(format!("{name}.Ready"), word.into());
    }
    let status = if healthy { "HEALTHY" } else { "UNHEALTHY" };
    (status, Value::Object(reason))
}

/// Whether a controller inside the cluster sets the health through the API, so
/// that the server must not change it.
pub(crate) fn delegated(labels: &BTreeMap<String, String>) -> bool {
    let is = |label: &str, word: &str| {
        labels
            .get(label)
            .is_some_and(|v| v.trim().eq_ignore_ascii_case(word))
    };
    is("auto_healing_enabled", "true") && is("auto_healing_controller", "magnum-auto-healer")
}
