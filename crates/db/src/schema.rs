//! The schema version of this release, and the versions that can share a
//! database with it.

/// The schema version of this release. Incremented with each release that adds
/// a migration or a stored value.
pub const SCHEMA: i64 = 4;
/// The oldest schema version whose servers can run concurrently with this
/// release: they ignore unknown columns and leave rows with unknown values
/// unchanged. Servers of schema 3 do not know isolation levels, so they would create
/// nodes without the user namespaces of their clusters.
pub(crate) const SHARED_WITH: i64 = 4;
