//! The tables of this crate, collected from the modules that own them.

use db::{Migration, SealedColumn};

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

/// The sealed columns of this crate; the purposes are those of `tokens` and of
/// `kube::model`.
#[must_use]
pub fn sealed_columns() -> Vec<SealedColumn> {
    let column = |table, key, column, purpose| SealedColumn {
        table,
        key,
        column,
        purpose,
    };
    let (cluster, node): (&[&str], &[&str]) = (&["cluster_id"], &["id"]);
    vec![
        column("magnum_cluster", &["uuid"], "ca_key", "cluster/{}/ca-key"),
        column(
            "magnum_kube",
            cluster,
            "etcd_ca_key",
            "cluster/{}/etcd-ca-key",
        ),
        column(
            "magnum_kube",
            cluster,
            "front_ca_key",
            "cluster/{}/front-proxy-ca-key",
        ),
        column(
            "magnum_kube",
            cluster,
            "token_key",
            "cluster/{}/service-account-key",
        ),
        column("magnum_node", node, "token_sealed", "node/{}/token"),
        column("magnum_node", node, "fresh_sealed", "node/{}/token"),
        column("magnum_swarm", cluster, "join_sealed", "cluster/{}/join"),
    ]
}
