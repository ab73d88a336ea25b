//! Reads the parts of nodes that the bootstrap service needs, without the logs
//! of their steps, because all nodes of a cluster are read whenever one
//! changes.

use std::collections::BTreeMap;

use db::{Db, Row, Value, values};
use kernel::{Result, Timestamp};

use super::model::NodeStatus;
use super::task::{Task, TaskKind, TaskStatus};
use crate::{ClusterId, NodeId};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeBrief {
    pub(crate) id: NodeId,
    pub(crate) name: String,
    pub(crate) index: i64,
    pub(crate) is_master: bool,
    pub(crate) is_balancer: bool,
    pub(crate) status: NodeStatus,
    pub(crate) addresses: Vec<String>,
    pub(crate) pod_cidr: Option<String>,
    pub(crate) token_hash: String,
    pub(crate) token_expires: Timestamp,
    pub(crate) session_hash: Option<String>,
    /// Whether its server was rebuilt.
    pub(crate) is_fresh: bool,
}

const COLUMNS: &str = "id, name, idx, is_master, is_balancer, status, addresses, pod_cidr, \
    token_hash, token_expires, session_hash, fresh_sealed";

fn read(row: &Row) -> Result<NodeBrief> {
    Ok(NodeBrief {
        id: row.text("id")?.into(),
        name: row.text("name")?,
        index: row.int("idx")?,
        is_master: row.flag("is_master")?,
        is_balancer: row.flag("is_balancer")?,
        status: NodeStatus::from_stored(&row.text("status")?)?,
        addresses: serde_json::from_str(&row.text("addresses")?)?,
        pod_cidr: row.opt_text("pod_cidr")?,
        token_hash: row.text("token_hash")?,
        token_expires: row.time("token_expires")?,
        session_hash: row.opt_text("session_hash")?,
        is_fresh: row.opt_text("fresh_sealed")?.is_some(),
    })
}

async fn find(db: &Db, condition: &str, args: Vec<Value>) -> Result<Vec<NodeBrief>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM magnum_node WHERE cluster_id = ?{condition} \
         ORDER BY is_master DESC, idx"
    );
    db.query(&sql, args).await?.iter().map(read).collect()
}

/// All nodes of a cluster, masters first.
pub(crate) async fn of_cluster(db: &Db, cluster: &ClusterId) -> Result<Vec<NodeBrief>> {
    find(db, "", values![cluster]).await
}

/// Returns the masters and the node of this name.
pub(crate) async fn masters_and(
    db: &Db,
    cluster: &ClusterId,
    name: &str,
) -> Result<Vec<NodeBrief>> {
    let condition = " AND (is_master = ? OR name = ?)";
    find(db, condition, values![cluster, true, name]).await
}

/// Tasks of a cluster, oldest first, without the logs of their results.
pub(crate) async fn tasks(db: &Db, cluster: &ClusterId) -> Result<Vec<Task>> {
    let sql = "SELECT id, kind, node, status, taken_by, taken_until, deadline, generation, \
               created_at FROM magnum_task WHERE cluster_id = ? ORDER BY created_at, id";
    let read = |row: &Row| {
        Ok(Task {
            id: row.text("id")?.into(),
            cluster_id: cluster.clone(),
            kind: TaskKind::from_stored(&row.text("kind")?)?,
            node: row.text("node")?,
            status: TaskStatus::from_stored(&row.text("status")?)?,
            taken_by: row.opt_text("taken_by")?,
            taken_until: row.time("taken_until")?,
            deadline: row.time("deadline")?,
            log: String::new(),
            generation: row.int("generation")?,
            created_at: row.time("created_at")?,
        })
    };
    db.query(sql, values![cluster])
        .await?
        .iter()
        .map(read)
        .collect()
}

/// Data of a cluster that its agents need besides nodes and tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ClusterBrief {
    pub(crate) coe: String,
    pub(crate) api_address: Option<String>,
    pub(crate) join_sealed: Option<String>,
}

/// Returns `None` if the cluster does not exist.
pub(crate) async fn cluster(db: &Db, cluster: &ClusterId) -> Result<Option<ClusterBrief>> {
    let sql = "SELECT c.coe AS coe, c.api_address AS api_address, s.join_sealed AS join_sealed \
               FROM magnum_cluster c LEFT JOIN magnum_swarm s ON s.cluster_id = c.uuid \
               WHERE c.uuid = ?";
    let row = db.query_opt(sql, values![cluster]).await?;
    row.map(|r| {
        Ok(ClusterBrief {
            coe: r.text("coe")?,
            api_address: r.opt_text("api_address")?,
            join_sealed: r.opt_text("join_sealed")?,
        })
    })
    .transpose()
}

/// By id.
pub(crate) fn by_id(nodes: Vec<NodeBrief>) -> BTreeMap<NodeId, NodeBrief> {
    nodes.into_iter().map(|n| (n.id.clone(), n)).collect()
}
