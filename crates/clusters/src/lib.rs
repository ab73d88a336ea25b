//! Magnum-compatible cluster templates, clusters and certificates, and the
//! server side of the bootstrap protocol. A cluster is a stack: this crate
//! renders its template, creates it through orchestration, and reconciles it on
//! events.

mod api;
mod assembly;
mod assignments;
mod authorized;
mod bootstrap;
mod certificate;
mod cluster;
mod coe;
mod deps;
mod dialect;
mod discovery;
mod errors;
mod fields;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzz;
mod ids;
mod join_secrets;
mod kube;
mod links;
mod listing;
mod lookups;
mod names;
mod node;
mod nodegroup;
mod notify;
mod patch;
mod policies;
mod python;
mod ranges;
mod schema;
mod service;
mod status;
mod template;
mod tokens;
mod versions;
mod wire;

#[cfg(test)]
mod tests;

pub use assembly::Clusters;
pub use bootstrap::Bootstrap;
pub use deps::{BootstrapParams, ClustersDeps};
pub use dialect::Magnum;
pub(crate) use ids::{ClusterId, GroupId, NodeId, TaskId, TemplateId};
pub use policies::CLUSTER_CREATE_HOST_ROOT as CREATE_HOST_ROOT;
pub use policies::CLUSTER_CREATE_USER_NAMESPACE as CREATE_USER_NAMESPACE;
pub use policies::policies;
pub use ranges::RangePools;
pub use schema::{migrations, sealed_columns};
