//! HTTP for every service: route tables, authentication, microversions, bodies,
//! queries, API documents, and the oslo.policy language. A service
//! provides its routes and its [`Dialect`]; this crate knows no resource.

mod answer;
mod api;
mod auth;
pub mod body;
mod call;
mod dialect;
mod dispatch;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzz;
pub mod limits;
pub mod link;
pub mod openapi;
pub mod policy;
pub mod query;
mod route;
mod serve;
mod service;
pub mod version;

pub use answer::{Accepted, Answer, Choices, Created, Json, NoContent, Raw, With};
pub use api::Api;
pub use auth::Authenticator;
pub use body::RequestBody;
pub use call::{Call, Incoming};
pub use dialect::{Asked, Dialect, add_retry_after, status_of};
pub use route::{
    Access, Param, ParamKind, Route, RouteInfo, delete, get, head, patch as patch_route, post, put,
};
pub use serve::bind;
pub use service::{RouteFigures, Service, Settings};
pub use version::Microversion;
