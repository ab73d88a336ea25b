//! SQL of `magnum_node` and `magnum_task`.

use db::{Db, Fenced, Json, Migration, Table as _, Tx, Value, values};
use kernel::{Result, Timestamp};

use super::model::{Node, NodeStatus, Step};
#[cfg(test)]
pub(crate) use super::swarm_table::Swarm;
pub(crate) use super::swarm_table::{
    insert_swarm, join_tx, observed_tx, set_join, set_observed, swarm,
};
use super::task::{Task, TaskKind, TaskStatus};
use crate::{ClusterId, NodeId, TaskId};

pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "clusters-030-node",
        sql: "CREATE TABLE IF NOT EXISTS magnum_node (
            id varchar(36) NOT NULL PRIMARY KEY, cluster_id varchar(36) NOT NULL,
            nodegroup varchar(255) NOT NULL, idx bigint NOT NULL, name varchar(128) NOT NULL,
            is_master boolean NOT NULL, status varchar(20) NOT NULL, steps {text} NOT NULL,
            addresses {text} NOT NULL, token_sealed {text} NOT NULL,
            token_hash varchar(64) NOT NULL, token_expires bigint NOT NULL,
            session_hash varchar(64), signal_status varchar(20), signalled boolean NOT NULL,
            generation bigint NOT NULL, created_at bigint NOT NULL)",
    },
    Migration {
        name: "clusters-031-node-cluster",
        sql: "CREATE INDEX magnum_node_cluster ON magnum_node (cluster_id, nodegroup, idx)",
    },
    Migration {
        name: "clusters-032-node-session",
        sql: "CREATE INDEX magnum_node_session ON magnum_node (session_hash)",
    },
    Migration {
        name: "clusters-033-task",
        sql: "CREATE TABLE IF NOT EXISTS magnum_task (
            id varchar(36) NOT NULL PRIMARY KEY, cluster_id varchar(36) NOT NULL,
            kind varchar(20) NOT NULL, node varchar(128) NOT NULL, status varchar(20) NOT NULL,
            taken_by varchar(128), taken_until bigint NOT NULL, deadline bigint NOT NULL,
            log {text} NOT NULL, generation bigint NOT NULL, created_at bigint NOT NULL)",
    },
    Migration {
        name: "clusters-034-task-cluster",
        sql: "CREATE INDEX magnum_task_cluster ON magnum_task (cluster_id, created_at)",
    },
    Migration {
        name: "clusters-035-swarm",
        sql: "CREATE TABLE IF NOT EXISTS magnum_swarm (
            cluster_id varchar(36) NOT NULL PRIMARY KEY, join_sealed {text},
            observed {text} NOT NULL)",
    },
    Migration {
        name: "clusters-036-node-pods",
        sql: "ALTER TABLE magnum_node ADD COLUMN pod_cidr varchar(20)",
    },
    Migration {
        name: "clusters-037-node-pods-unique",
        sql: "CREATE UNIQUE INDEX magnum_node_pods ON magnum_node (cluster_id, pod_cidr)",
    },
    Migration {
        name: "clusters-038-node-balancer",
        sql: "ALTER TABLE magnum_node ADD COLUMN is_balancer boolean NOT NULL DEFAULT false",
    },
    Migration {
        name: "clusters-039-node-fresh",
        sql: "ALTER TABLE magnum_node ADD COLUMN fresh_sealed {text}",
    },
];

db::columns! {
    Node in "magnum_node" {
        id, cluster_id, nodegroup, index = "idx", name, is_master, status, steps as json,
        addresses as json, token_sealed, token_hash, token_expires, session_hash,
        signal = "signal_status", signalled, generation, created_at, pod_cidr, is_balancer,
        fresh_sealed,
    }
}

db::columns! {
    Task in "magnum_task" {
        id, cluster_id, kind, node, status, taken_by, taken_until, deadline, log, generation,
        created_at,
    }
}

db::table! {
    /// A node for display; its status may be unknown to this release.
    pub(crate) struct Shown in "magnum_node" {
        pub(crate) name: String,
        pub(crate) is_master: bool,
        pub(crate) is_balancer: bool,
        pub(crate) status: String,
        pub(crate) steps: Json<Vec<Step>>,
        pub(crate) addresses: Json<Vec<String>>,
    }
}

pub(crate) async fn shown(db: &Db, cluster: &ClusterId) -> Result<Vec<Shown>> {
    let sql = format!(
        "{} WHERE cluster_id = ? ORDER BY is_master DESC, idx",
        Shown::select()
    );
    let rows = db.query(&sql, values![cluster]).await?;
    rows.iter().map(Shown::read).collect()
}

pub(crate) async fn of_cluster(db: &Db, cluster: &ClusterId) -> Result<Vec<Node>> {
    let sql = format!(
        "{} WHERE cluster_id = ? ORDER BY is_master DESC, idx",
        Node::select()
    );
    db.query(&sql, values![cluster])
        .await?
        .iter()
        .map(Node::read)
        .collect()
}

pub(crate) async fn of_cluster_tx(tx: &mut Tx, cluster: &ClusterId) -> Result<Vec<Node>> {
    let sql = format!(
        "{} WHERE cluster_id = ? ORDER BY is_master DESC, idx",
        Node::select()
    );
    tx.query(&sql, values![cluster])
        .await?
        .iter()
        .map(Node::read)
        .collect()
}

/// Deletes a node that was never sent to a stack.
pub(crate) async fn delete_unsent(tx: &mut Tx, id: &NodeId) -> Result<()> {
    tx.execute("DELETE FROM magnum_node WHERE id = ?", values![id])
        .await
        .map(|_| ())
}

pub(crate) async fn by_session(db: &Db, session_hash: &str) -> Result<Option<Node>> {
    let sql = format!("{} WHERE session_hash = ?", Node::select());
    db.query_opt(&sql, values![session_hash])
        .await?
        .as_ref()
        .map(Node::read)
        .transpose()
}

pub(crate) async fn load_tx(tx: &mut Tx, id: &NodeId) -> Result<Option<Node>> {
    // Concurrent reports of one node must not overwrite each other's steps.
    let sql = format!("{} WHERE id = ?", Node::select());
    tx.lock_opt(&sql, values![id])
        .await?
        .as_ref()
        .map(Node::read)
        .transpose()
}

/// Writes the status of a node, and other columns in the same statement.
/// Returns the number of rows that the condition matched.
async fn write_status(
    tx: &mut Tx,
    n: &Node,
    others: Vec<(&str, Value)>,
    condition: &str,
    parameters: Vec<Value>,
) -> Result<u64> {
    let mut sql = String::from("UPDATE magnum_node SET status = ?");
    let mut args = values![n.status.as_stored()];
    for (column, value) in others {
        sql.push_str(", ");
        sql.push_str(column);
        sql.push_str(" = ?");
        args.push(value);
    }
    sql.push_str(" WHERE id = ?");
    sql.push_str(condition);
    args.push(Value::from(&n.id));
    args.extend(parameters);
    tx.execute(&sql, args).await
}

/// Binds the token to a session; returns `false` if another session has it.
pub(crate) async fn bind(tx: &mut Tx, node: &Node, session_hash: &str) -> Result<bool> {
    let others = vec![
        ("session_hash", session_hash.into()),
        ("addresses", serde_json::to_string(&node.addresses)?.into()),
    ];
    let free = " AND (session_hash IS NULL OR session_hash = ?)";
    Ok(write_status(tx, node, others, free, values![session_hash]).await? == 1)
}

/// Writes status, steps and signal of a node that was locked by `load_tx`. A
/// removed node releases its pod range and session, and the other nodes get a
/// new list of peers.
pub(crate) async fn save(tx: &mut Tx, n: &Node) -> Result<()> {
    if !n.status.wanted() || n.status == NodeStatus::Lost {
        tx.wake(crate::cluster::KIND, &n.cluster_id);
    }
    let pods = n
        .pod_cidr
        .clone()
        .filter(|_| n.status != NodeStatus::Removed);
    let others = vec![
        ("steps", serde_json::to_string(&n.steps)?.into()),
        ("signal_status", n.signal.clone().into()),
        ("signalled", n.signalled.into()),
        ("pod_cidr", pods.into()),
    ];
    write_status(tx, n, others, "", Vec::new())
        .await
        .map(|_| ())
}

/// Stores a report by the reconciler for a node whose agent cannot report.
pub(crate) async fn save_fenced(tx: &mut Fenced, n: &Node) -> Result<()> {
    save(tx, n).await
}

/// Stores a status set by an operation (leaving or lost), and notifies the
/// agents.
pub(crate) async fn set_status(tx: &mut Tx, n: &Node) -> Result<()> {
    tx.wake(crate::cluster::KIND, &n.cluster_id);
    write_status(tx, n, Vec::new(), "", Vec::new())
        .await
        .map(|_| ())
}

/// Stores a status set by the reconciler, and notifies the agents. A removed
/// node releases its pod range.
pub(crate) async fn set_observed_status(tx: &mut Fenced, n: &Node) -> Result<()> {
    tx.wake(crate::cluster::KIND, &n.cluster_id);
    let others = if n.status == NodeStatus::Removed {
        vec![("pod_cidr", None::<String>.into())]
    } else {
        Vec::new()
    };
    write_status(tx, n, others, "", Vec::new())
        .await
        .map(|_| ())
}

/// Stores a new token for a rebuilt server of the node; the previous session
/// becomes invalid.
pub(crate) async fn replace_token(tx: &mut Fenced, n: &Node) -> Result<()> {
    tx.wake(crate::cluster::KIND, &n.cluster_id);
    tx.execute(
        "UPDATE magnum_node SET steps = '[]', session_hash = NULL, token_hash = ?, \
         token_expires = ?, token_sealed = ?, fresh_sealed = ? WHERE id = ?",
        values![
            &n.token_hash,
            n.token_expires,
            &n.token_sealed,
            n.fresh_sealed.clone(),
            &n.id
        ],
    )
    .await
    .map(|_| ())
}

/// Records the signal that was sent to the wait condition.
pub(crate) async fn set_signalled(tx: &mut Tx, id: &NodeId, signal: &str) -> Result<()> {
    tx.execute(
        "UPDATE magnum_node SET signalled = ? WHERE id = ? AND signal_status = ?",
        values![true, id, signal],
    )
    .await
    .map(|_| ())
}

/// Inserts a task, and notifies agents that wait for one.
pub(crate) async fn insert_task(tx: &mut Tx, t: &Task) -> Result<()> {
    tx.wake(crate::cluster::KIND, &t.cluster_id);
    t.insert(tx).await
}

/// All tasks of a cluster, oldest first. Finished tasks are few, because they
/// are deleted with their operation.
pub(crate) async fn tasks(db: &Db, cluster: &ClusterId) -> Result<Vec<Task>> {
    let sql = format!(
        "{} WHERE cluster_id = ? ORDER BY created_at, id",
        Task::select()
    );
    let rows = db.query(&sql, values![cluster]).await?;
    rows.iter().map(Task::read).collect()
}

pub(crate) async fn task_tx(tx: &mut Tx, cluster: &ClusterId, id: &TaskId) -> Result<Option<Task>> {
    let sql = format!("{} WHERE cluster_id = ? AND id = ?", Task::select());
    let row = tx.query_opt(&sql, values![cluster, id]).await?;
    row.as_ref().map(Task::read).transpose()
}

/// Claims a task for a node; returns `false` if another node claimed it first.
pub(crate) async fn claim_task(
    tx: &mut Tx,
    t: &Task,
    node: &str,
    until: Timestamp,
) -> Result<bool> {
    let n = tx
        .execute(
            "UPDATE magnum_task SET taken_by = ?, taken_until = ? \
             WHERE id = ? AND status = ? AND taken_until = ?",
            values![
                node,
                until,
                &t.id,
                TaskStatus::Pending.as_stored(),
                t.taken_until
            ],
        )
        .await?;
    Ok(n == 1)
}

pub(crate) async fn end_task(
    tx: &mut Tx,
    id: &TaskId,
    status: TaskStatus,
    log: &str,
) -> Result<()> {
    tx.execute(
        "UPDATE magnum_task SET status = ?, log = ? WHERE id = ?",
        values![status.as_stored(), log, id],
    )
    .await
    .map(|_| ())
}

/// Deletes the drains of a cancelled resize, and notifies the agents that run
/// them. A late result finds no task.
pub(crate) async fn drop_drains(tx: &mut Fenced, cluster: &ClusterId) -> Result<()> {
    tx.wake(crate::cluster::KIND, cluster);
    tx.execute(
        "DELETE FROM magnum_task WHERE cluster_id = ? AND kind = ?",
        values![cluster, TaskKind::Drain.as_stored()],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn drop_tasks(
    tx: &mut Fenced,
    cluster: &ClusterId,
    generation: i64,
) -> Result<()> {
    tx.execute(
        "DELETE FROM magnum_task WHERE cluster_id = ? AND generation <= ?",
        values![cluster, generation],
    )
    .await
    .map(|_| ())
}
