//! The groups that a cluster is created with. Requests for a cluster as a whole
//! have one number of workers, which is the size of one of these groups.

use std::collections::BTreeMap;

/// Names of the groups of a new cluster.
pub(crate) const MASTER: &str = "default-master";
pub(crate) const WORKER: &str = "default-worker";

/// The sizes of groups that a `node_count` of a cluster means.
pub(crate) fn sizes(node_count: i64) -> BTreeMap<String, i64> {
    BTreeMap::from([(WORKER.to_owned(), node_count)])
}
