//! HTTP: listener, authentication, microversions, dialects, policy, JSON Patch.

mod auth;
mod dialect;

pub use auth::Authenticator;
pub use dialect::Dialect;
