//! What the agents of one process share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use infra::sim::Simulator;
use tokio::sync::Notify;

/// Shared state of the agents of one process.
pub(super) struct AgentHost {
    pub(super) simulator: Arc<Simulator>,
    pub(super) router: Router,
    /// By cluster: notifies its manager about changes of the member list.
    pub(super) changed: Arc<Mutex<HashMap<String, Arc<Notify>>>>,
}

impl AgentHost {
    pub(super) fn members(&self, cluster: &str) -> Arc<Notify> {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        if changed.len().is_power_of_two() {
            changed.retain(|_, notify| Arc::strong_count(notify) > 1);
        }
        changed.entry(cluster.to_owned()).or_default().clone()
    }
}
