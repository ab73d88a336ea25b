//! SQL of `magnum_nodegroup`.

use std::collections::HashMap;

use db::{Column as _, Db, Fenced, Json, Migration, Row, Table as _, Tx, Value, values};
use kernel::{Error, Result, clock};

use super::model::{Group, MASTER_ROLE};
use crate::ClusterId;
use crate::assignments::assign;
use crate::status::Status;

pub(crate) const MIGRATIONS: &[Migration] = &[Migration {
    name: "clusters-020-nodegroup",
    sql: "CREATE TABLE IF NOT EXISTS magnum_nodegroup (
        cluster_id varchar(36) NOT NULL, id bigint NOT NULL, uuid varchar(36) NOT NULL,
        name varchar(255) NOT NULL, project_id varchar(64) NOT NULL, docker_volume_size bigint,
        labels {text} NOT NULL, flavor_id varchar(255), image_id varchar(255) NOT NULL,
        node_addresses {text} NOT NULL, node_count bigint NOT NULL, role varchar(255) NOT NULL,
        min_node_count bigint NOT NULL, max_node_count bigint, status varchar(20) NOT NULL,
        status_reason {text}, next_index bigint NOT NULL, created_at bigint NOT NULL,
        updated_at bigint, PRIMARY KEY (cluster_id, name))",
}];

db::columns! {
    Group in "magnum_nodegroup" {
        cluster_id, id, uuid, name, project_id, docker_volume_size, labels as json, flavor_id,
        image_id, node_addresses as json, node_count, role, min_node_count, max_node_count,
        status, status_reason, next_index, created_at, updated_at,
    }
}

/// Of one cluster, masters first, for display.
pub(crate) async fn of_cluster(db: &Db, cluster: &ClusterId) -> Result<Vec<Group>> {
    let sql = format!("{} WHERE cluster_id = ? ORDER BY id", Group::select());
    db.query(&sql, values![cluster])
        .await?
        .iter()
        .map(Group::read)
        .collect()
}

/// As [`of_cluster`] for an operation.
///
/// # Errors
/// Also if a newer release has written a group.
pub(crate) async fn of_operation(db: &Db, cluster: &ClusterId) -> Result<Vec<Group>> {
    let groups = of_cluster(db, cluster).await?;
    groups.into_iter().map(reject_newer).collect()
}

/// As [`of_operation`], in a transaction.
pub(crate) async fn of_cluster_tx(tx: &mut Tx, cluster: &ClusterId) -> Result<Vec<Group>> {
    let sql = format!("{} WHERE cluster_id = ? ORDER BY id", Group::select());
    let rows = tx.query(&sql, values![cluster]).await?;
    rows.iter().map(|r| reject_newer(Group::read(r)?)).collect()
}

fn reject_newer(group: Group) -> Result<Group> {
    group.status.known("node group").map(|_| group)
}

/// What the list of clusters shows of a group.
pub(crate) struct GroupBrief {
    /// The place of its cluster among those that were asked for.
    pub(crate) cluster: usize,
    pub(crate) id: i64,
    pub(crate) is_master: bool,
    pub(crate) node_count: i64,
    /// Empty unless it was requested.
    pub(crate) addresses: Vec<String>,
}

/// The groups of several clusters in one query, in no order.
pub(crate) async fn briefs(
    db: &Db,
    clusters: &[&ClusterId],
    with_addresses: bool,
) -> Result<Vec<GroupBrief>> {
    if clusters.is_empty() {
        return Ok(Vec::new());
    }
    let marks = vec!["?"; clusters.len()].join(", ");
    let addresses = if with_addresses {
        ", node_addresses"
    } else {
        ""
    };
    let sql = format!(
        "SELECT cluster_id, id, role, node_count{addresses} FROM magnum_nodegroup \
         WHERE cluster_id IN ({marks})"
    );
    let args = clusters.iter().map(|uuid| Value::from(*uuid)).collect();
    let places: HashMap<&str, usize> = clusters.iter().map(|uuid| uuid.as_str()).zip(0..).collect();
    let read = |row: &Row| {
        let cluster = places.get(row.str("cluster_id")?).copied();
        Ok(GroupBrief {
            cluster: cluster.ok_or_else(|| Error::internal("a group of another cluster"))?,
            id: row.int("id")?,
            is_master: row.str("role")? == MASTER_ROLE,
            node_count: row.int("node_count")?,
            addresses: if with_addresses {
                Json::read(row, "node_addresses")?.0
            } else {
                Vec::new()
            },
        })
    };
    db.query(&sql, args).await?.iter().map(read).collect()
}

/// Stores the desired size and the next index.
pub(crate) async fn set_size(tx: &mut Tx, g: &Group) -> Result<()> {
    tx.execute(
        "UPDATE magnum_nodegroup SET node_count = ?, next_index = ?, updated_at = ? \
         WHERE cluster_id = ? AND name = ?",
        values![
            g.node_count,
            g.next_index,
            clock::now(),
            &g.cluster_id,
            &g.name
        ],
    )
    .await
    .map(|_| ())
}

/// Sets the status of all groups at the start of an operation.
pub(crate) async fn start(tx: &mut Tx, cluster: &ClusterId, status: Status) -> Result<()> {
    write_status(tx, cluster, (status, None), Vec::new(), None).await
}

/// Sets the status of a group at the end of an operation.
pub(crate) async fn finish(
    tx: &mut Fenced,
    g: &Group,
    status: Status,
    reason: Option<&str>,
) -> Result<()> {
    let addresses = serde_json::to_string(&g.node_addresses)?;
    let others = vec![("node_addresses", addresses.into())];
    write_status(tx, &g.cluster_id, (status, reason), others, Some(&g.name)).await
}

/// Writes the status of all groups of a cluster or of one, and other columns in
/// the same statement.
async fn write_status(
    tx: &mut Tx,
    cluster: &ClusterId,
    (status, reason): (Status, Option<&str>),
    others: Vec<(&str, Value)>,
    group: Option<&str>,
) -> Result<()> {
    let mut sql =
        String::from("UPDATE magnum_nodegroup SET status = ?, status_reason = ?, updated_at = ?");
    let mut args = values![status.as_stored(), reason, clock::now()];
    assign(&mut sql, &mut args, others);
    sql.push_str(" WHERE cluster_id = ?");
    args.push(cluster.into());
    if let Some(name) = group {
        sql.push_str(" AND name = ?");
        args.push(name.into());
    }
    tx.execute(&sql, args).await.map(|_| ())
}
