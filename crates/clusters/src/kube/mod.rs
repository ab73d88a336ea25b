//! Additional data of a Kubernetes cluster: ranges, two more CAs, the key of
//! its service accounts.

pub(crate) mod model;
pub(crate) mod table;

pub(crate) use model::Kube;
