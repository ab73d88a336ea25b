//! Server side of the bootstrap protocol: reports and requests of the agents
//! inside nodes. It is served on a separate listener.

pub(crate) mod assign;
pub(crate) mod feed;
pub(crate) mod hello;
pub(crate) mod http;
pub(crate) mod kube;
pub(crate) mod ops;
pub(crate) mod poll;
pub(crate) mod session;
mod swarm;
mod wire;

use std::sync::Arc;

use flow::Tasks;
use kernel::Result;

use crate::ClustersDeps;
use feed::Feeds;

/// The server side of the nodes' bootstrap. Cheap to clone.
#[derive(Clone)]
pub struct Bootstrap {
    deps: Arc<ClustersDeps>,
    feeds: Feeds,
}

impl Bootstrap {
    pub(crate) fn new(deps: Arc<ClustersDeps>, tasks: &Tasks) -> Self {
        Self {
            feeds: Feeds::new(deps.clone(), tasks),
            deps,
        }
    }

    /// `/bootstrap/v1/…` and `/bootstrap/v2/…`, for a separate listener.
    ///
    /// # Errors
    /// `Internal` if the route table is malformed.
    pub fn routes(&self) -> Result<rest::Api> {
        http::api(self.clone())
    }

    /// Returns the number of clusters with connected agents and the number of
    /// open agent streams.
    #[must_use]
    pub fn sessions(&self) -> (usize, usize) {
        self.feeds.count()
    }
}
