//! HTTP for every service: listener, request ids, authentication,
//! microversions, bodies, queries, JSON Patch, and the oslo.policy language.
//! A service brings its routes and its [`Dialect`]; nothing here knows a
//! resource.

mod auth;
pub mod body;
mod dialect;
pub mod link;
mod outer;
pub mod patch;
pub mod policy;
pub mod query;
mod serve;
pub mod version;

pub use auth::{Authenticator, Caller, require_auth};
pub use dialect::{Dialect, status_of};
pub use outer::{RequestId, finish};
pub use serve::serve;
pub use version::Microversion;
