//! The tables of this crate, collected from the modules that own them.

use db::Migration;

use crate::{cluster, kube, node, nodegroup, template};

/// The tables of this crate.
#[must_use]
pub fn migrations() -> Vec<Migration> {
    [
        template::table::MIGRATIONS,
        cluster::table::MIGRATIONS,
        nodegroup::table::MIGRATIONS,
        node::table::MIGRATIONS,
        kube::table::MIGRATIONS,
    ]
    .concat()
}
