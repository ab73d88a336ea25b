//! State that the agents of one process share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use infra::sim::Simulator;
use tokio::sync::Notify;

/// Shared state of the agents of one process.
pub(super) struct AgentHost {
    pub(super) simulator: Arc<Simulator>,
    pub(super) router: Router,
    /// Notifies the manager of each cluster about changes of its member list.
    pub(super) changed: Arc<Mutex<HashMap<String, Arc<Notify>>>>,
}

impl AgentHost {
    /// The notification about changes of the members of a cluster.
    pub(super) fn members_changed(&self, cluster: &str) -> Arc<Notify> {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        // Notifications that no agent uses any more are removed from time to time.
        if changed.len().is_power_of_two() {
            changed.retain(|_, notify| Arc::strong_count(notify) > 1);
        }
        changed.entry(cluster.to_owned()).or_default().clone()
    }
}
