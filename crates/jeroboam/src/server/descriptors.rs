//! The limit of file descriptors. Each connection, listener and database connection
//! uses one descriptor. The default soft limit of 1024 exists only for programs that
//! use `select`, so the server raises it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Assumed limit if the system reports none.
const ASSUMED: u64 = 1024;

/// Raises the soft limit to the hard limit; returns the resulting limit.
pub fn raise_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if limit.current != limit.maximum
        && let Err(e) = setrlimit(Resource::Nofile, raised)
    {
        tracing::warn!(error = %e, "the limit of open files is not raised");
    }
    getrlimit(Resource::Nofile).current.unwrap_or(ASSUMED)
}
