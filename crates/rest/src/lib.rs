//! HTTP for every service: listener, request ids, authentication,
//! microversions, bodies, queries, and the oslo.policy language. A
//! service provides its routes and its [`Dialect`]; this crate knows no
//! resource.

mod auth;
pub mod body;
mod dialect;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzz;
pub mod link;
mod middleware;
pub mod policy;
pub mod query;
mod serve;
pub mod version;

pub use auth::{Authenticator, Caller, require_auth};
pub use dialect::{Dialect, add_retry_after, status_of};
pub use middleware::{RequestId, finish};
pub use serve::serve;
pub use version::Microversion;
