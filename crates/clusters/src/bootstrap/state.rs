//! What the routes of the bootstrap protocol share.

use std::sync::Arc;

use flow::Tasks;

use super::feed::Feeds;
use crate::ClustersDeps;

/// The server side of the nodes' bootstrap. Cheap to clone.
#[derive(Clone)]
pub struct Bootstrap {
    pub(super) deps: Arc<ClustersDeps>,
    pub(super) feeds: Feeds,
}

impl Bootstrap {
    pub(crate) fn new(deps: Arc<ClustersDeps>, tasks: &Tasks) -> Self {
        Self {
            feeds: Feeds::new(deps.clone(), tasks),
            deps,
        }
    }

    /// Returns the number of clusters with connected agents and the number of
    /// open agent streams.
    #[must_use]
    pub fn sessions(&self) -> (usize, usize) {
        self.feeds.count()
    }
}
