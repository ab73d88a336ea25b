//! Server side of the bootstrap protocol: reports and requests of the agents
//! inside nodes. It is served on a separate listener.

pub(crate) mod assign;
pub(crate) mod caller;
pub(crate) mod feed;
pub(crate) mod hello;
pub(crate) mod http;
pub(crate) mod kube;
pub(crate) mod ops;
pub(crate) mod poll;
pub(crate) mod session;
mod state;
mod swarm;
mod wire;

use kernel::Result;

pub use state::Bootstrap;

impl Bootstrap {
    /// `/bootstrap/v1/…` and `/bootstrap/v2/…`, for a separate listener.
    ///
    /// # Errors
    /// `Internal` if the route table is malformed.
    pub fn routes(&self) -> Result<rest::Api> {
        http::api(self.clone())
    }
}
