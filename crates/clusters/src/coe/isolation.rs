//! The label that selects the isolation level of a cluster.

pub(crate) const LABEL: &str = "isolation";

/// Its values: the stored words of [`compute::api::Isolation`].
pub(crate) const LEVELS: &[&str] = &["host-root", "user-namespace"];
