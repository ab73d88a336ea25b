//! What a Kubernetes cluster has beside its row: ranges, two more CAs, the
//! key of its service accounts.

pub(crate) mod model;
pub(crate) mod table;

pub(crate) use model::Kube;
