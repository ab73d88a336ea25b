//! SQL of `magnum_cluster`. Rows are written by narrow updates, so that API
//! calls, node reports and the reconciler never overwrite each other's columns.
//! Columns that only the reconciler writes require its lease (`Fenced`).

use compute::api::Isolation;
use db::{Db, Fenced, Migration, Row, Table as _, Tx, Value, values};
use kernel::{ProjectId, Result, clock};
use serde_json::Value as Json;

use super::model::{Cluster, Intent};
use crate::ClusterId;
use crate::assignments::assign;
use crate::coe::Coe;
use crate::listing::{Column, Kind};
use crate::status::{Status, StoredStatus};

pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "clusters-010-cluster",
        sql: "CREATE TABLE IF NOT EXISTS magnum_cluster (
            uuid varchar(36) NOT NULL PRIMARY KEY, project_id varchar(64) NOT NULL,
            user_id varchar(64) NOT NULL, name varchar(255) NOT NULL,
            cluster_template_id varchar(36) NOT NULL, coe varchar(40) NOT NULL,
            keypair varchar(255), docker_volume_size bigint, labels {text} NOT NULL,
            master_flavor_id varchar(255), flavor_id varchar(255), create_timeout bigint NOT NULL,
            stack_id varchar(36) NOT NULL, status varchar(20) NOT NULL, status_reason {text},
            health_status varchar(20), health_status_reason {text} NOT NULL,
            discovery_url varchar(255), api_address varchar(255), coe_version varchar(255),
            container_version varchar(255), fixed_network varchar(255), fixed_subnet varchar(255),
            floating_ip_enabled boolean NOT NULL, master_lb_enabled boolean NOT NULL,
            intent varchar(20) NOT NULL, generation bigint NOT NULL,
            sent_generation bigint NOT NULL, ca_cert {text} NOT NULL, ca_key {text} NOT NULL,
            created_at bigint NOT NULL, updated_at bigint)",
    },
    Migration {
        name: "clusters-011-cluster-project",
        sql: "CREATE INDEX magnum_cluster_project ON magnum_cluster (project_id, created_at)",
    },
    Migration {
        name: "clusters-012-cluster-template",
        sql: "CREATE INDEX magnum_cluster_template ON magnum_cluster (cluster_template_id)",
    },
    Migration {
        name: "clusters-013-cluster-name",
        sql: "CREATE INDEX magnum_cluster_name ON magnum_cluster (name)",
    },
    Migration {
        name: "clusters-014-cluster-rollback",
        sql: "ALTER TABLE magnum_cluster ADD COLUMN rollback_count bigint",
    },
    Migration {
        name: "clusters-015-cluster-rollback-cause",
        sql: "ALTER TABLE magnum_cluster ADD COLUMN rollback_cause {text}",
    },
    Migration {
        name: "clusters-016-cluster-isolation",
        sql: "ALTER TABLE magnum_cluster ADD COLUMN isolation varchar(20) NOT NULL \
              DEFAULT 'host-root'",
    },
    Migration {
        name: "clusters-017-cluster-created",
        sql: "CREATE INDEX magnum_cluster_created ON magnum_cluster (created_at, uuid)",
    },
];

pub(crate) const SORT: &[Column] = &[
    ("uuid", Kind::Text),
    ("project_id", Kind::Text),
    ("user_id", Kind::Text),
    ("name", Kind::Text),
    ("cluster_template_id", Kind::Text),
    ("keypair", Kind::Text),
    ("docker_volume_size", Kind::Int),
    ("labels", Kind::Text),
    ("master_flavor_id", Kind::Text),
    ("flavor_id", Kind::Text),
    ("create_timeout", Kind::Int),
    ("stack_id", Kind::Text),
    ("status", Kind::Text),
    ("status_reason", Kind::Text),
    ("health_status", Kind::Text),
    ("discovery_url", Kind::Text),
    ("api_address", Kind::Text),
    ("coe_version", Kind::Text),
    ("container_version", Kind::Text),
    ("fixed_network", Kind::Text),
    ("fixed_subnet", Kind::Text),
    ("floating_ip_enabled", Kind::Flag),
    ("master_lb_enabled", Kind::Flag),
    ("created_at", Kind::Int),
    ("updated_at", Kind::Int),
];

db::columns! {
    Cluster in "magnum_cluster" {
        uuid, project_id, user_id, name, cluster_template_id, coe, keypair, docker_volume_size,
        labels as json, master_flavor_id, flavor_id, create_timeout, stack_id, status,
        status_reason, health_status, health_status_reason as json, discovery_url, api_address,
        coe_version, container_version, fixed_network, fixed_subnet, floating_ip_enabled,
        master_lb_enabled, intent via shown_intent, generation, sent_generation,
        rollback = "rollback_count", cause = "rollback_cause", isolation, created_at, updated_at,
    }
    also |row| { newer: newer(row)? }
}

/// Columns that are not read with the others.
pub(crate) const CA: [&str; 2] = ["ca_cert", "ca_key"];

/// For an unknown value, `newer` holds the error.
fn shown_intent(row: &Row, column: &str) -> Result<Intent> {
    Ok(Intent::from_stored(&row.text(column)?).unwrap_or_default())
}

/// Error text if a newer release has written the row.
fn newer(row: &Row) -> Result<Option<String>> {
    let (intent, coe) = (row.text("intent")?, row.text("coe")?);
    let known = Intent::from_stored(&intent)
        .and_then(|_| Coe::from_stored(&coe))
        .and_then(|_| Isolation::from_stored(&row.text("isolation")?))
        .and_then(|_| {
            <StoredStatus as db::Column>::read(row, "status")?
                .known("cluster")
                .map(|_| ())
        });
    Ok(known.err().map(|e| e.message))
}

fn select(condition: &str) -> String {
    format!("{} WHERE {condition}", Cluster::select())
}

/// `ca_key` is sealed.
pub(crate) async fn insert(tx: &mut Tx, c: &Cluster, ca_cert: &str, ca_key: &str) -> Result<()> {
    let columns = [Cluster::COLUMNS, &CA].concat();
    let mut args = c.values()?;
    args.extend(values![ca_cert, ca_key]);
    let sql = format!(
        "INSERT INTO {} ({}) VALUES ({})",
        Cluster::TABLE,
        columns.join(", "),
        vec!["?"; columns.len()].join(", ")
    );
    tx.execute(&sql, args).await.map(|_| ())
}

/// Finds rows by uuid or name within a project (`None`: all projects); at most
/// two. Rows of a newer release are included.
pub(crate) async fn find(
    db: &Db,
    key: &str,
    by_name: bool,
    project: Option<&ProjectId>,
) -> Result<Vec<Cluster>> {
    let column = if by_name { "name" } else { "uuid" };
    let mut sql = select(&format!("{column} = ?"));
    let mut args = values![key];
    if let Some(project) = project {
        sql.push_str(" AND project_id = ?");
        args.push(project.into());
    }
    sql.push_str(" LIMIT 2");
    db.query(&sql, args)
        .await?
        .iter()
        .map(Cluster::read)
        .collect()
}

/// Reads the row for an operation on the cluster.
pub(crate) async fn load(db: &Db, uuid: &ClusterId) -> Result<Option<Cluster>> {
    let row = db.query_opt(&select("uuid = ?"), values![uuid]).await?;
    row.map(|r| Cluster::read(&r)?.reject_newer()).transpose()
}

/// Reads and locks the row. Wherever the key of the reconciler is marked too,
/// it is locked first.
pub(crate) async fn lock(tx: &mut Tx, uuid: &ClusterId) -> Result<Option<Cluster>> {
    let row = tx.lock_opt(&select("uuid = ?"), values![uuid]).await?;
    row.map(|r| Cluster::read(&r)?.reject_newer()).transpose()
}

/// The CA: certificate and sealed key.
pub(crate) async fn ca(db: &Db, uuid: &ClusterId) -> Result<Option<(String, String)>> {
    db.query_opt(
        "SELECT ca_cert, ca_key FROM magnum_cluster WHERE uuid = ?",
        values![uuid],
    )
    .await?
    .map(|r| Ok((r.text("ca_cert")?, r.text("ca_key")?)))
    .transpose()
}

/// Replaces the certificate of the CA by one for the same key, unless it has
/// changed.
pub(crate) async fn renew_ca(tx: &mut Tx, uuid: &ClusterId, old: &str, new: &str) -> Result<u64> {
    tx.execute(
        "UPDATE magnum_cluster SET ca_cert = ? WHERE uuid = ? AND ca_cert = ?",
        values![new, uuid, old],
    )
    .await
}

pub(crate) async fn set_ca(tx: &mut Tx, uuid: &ClusterId, cert: &str, key: &str) -> Result<()> {
    tx.execute(
        "UPDATE magnum_cluster SET ca_cert = ?, ca_key = ? WHERE uuid = ?",
        values![cert, key, uuid],
    )
    .await
    .map(|_| ())
}

/// Starts an operation without a rollback (see `set_rollback`); returns `false`
/// if the cluster changed since it was read.
pub(crate) async fn start(
    tx: &mut Tx,
    c: &Cluster,
    intent: Intent,
    (status, reason): (Status, Option<&str>),
) -> Result<bool> {
    let others = vec![
        ("intent", intent.as_stored().into()),
        ("rollback_count", None::<i64>.into()),
        ("rollback_cause", None::<String>.into()),
        ("generation", (c.generation + 1).into()),
    ];
    write_status(tx, c, (status, reason), others).await
}

/// Stores the status of the current operation; returns `false` if a newer one
/// has started.
pub(crate) async fn set_status(
    tx: &mut Fenced,
    c: &Cluster,
    status: Status,
    reason: Option<&str>,
) -> Result<bool> {
    write_status(tx, c, (status, reason), Vec::new()).await
}

/// Writes the status, and other columns in the same statement, unless the
/// cluster changed since it was read.
async fn write_status(
    tx: &mut Tx,
    c: &Cluster,
    (status, reason): (Status, Option<&str>),
    others: Vec<(&str, Value)>,
) -> Result<bool> {
    let mut sql =
        String::from("UPDATE magnum_cluster SET status = ?, status_reason = ?, updated_at = ?");
    let mut args = values![status.as_stored(), reason, clock::now()];
    assign(&mut sql, &mut args, others);
    sql.push_str(" WHERE uuid = ? AND generation = ?");
    args.extend(values![&c.uuid, c.generation]);
    Ok(tx.execute(&sql, args).await? == 1)
}

/// Stores the number of workers for a rollback, or the failure that caused the
/// rollback.
pub(crate) async fn set_rollback(
    tx: &mut Tx,
    uuid: &ClusterId,
    count: Option<i64>,
    cause: Option<&str>,
) -> Result<()> {
    tx.execute(
        "UPDATE magnum_cluster SET rollback_count = ?, rollback_cause = ? WHERE uuid = ?",
        values![count, cause, uuid],
    )
    .await
    .map(|_| ())
}

/// Records that the desired state of this generation was sent to the stack.
pub(crate) async fn set_sent(tx: &mut Fenced, uuid: &ClusterId, generation: i64) -> Result<()> {
    tx.execute(
        "UPDATE magnum_cluster SET sent_generation = ? WHERE uuid = ?",
        values![generation, uuid],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn set_address(
    tx: &mut Fenced,
    uuid: &ClusterId,
    api_address: Option<&str>,
) -> Result<()> {
    tx.execute(
        "UPDATE magnum_cluster SET api_address = ? WHERE uuid = ?",
        values![api_address, uuid],
    )
    .await
    .map(|_| ())
}

/// `container` is the version of the container engine, if known.
pub(crate) async fn set_version(
    tx: &mut Tx,
    uuid: &ClusterId,
    version: &str,
    container: Option<&str>,
) -> Result<()> {
    tx.execute(
        "UPDATE magnum_cluster SET coe_version = ?, container_version = ? WHERE uuid = ?",
        values![version, container, uuid],
    )
    .await
    .map(|_| ())
}

/// Stores health set by a user or reported by a master.
pub(crate) async fn set_health(
    tx: &mut Tx,
    uuid: &ClusterId,
    status: Option<&str>,
    reason: &Json,
) -> Result<()> {
    tx.execute(
        "UPDATE magnum_cluster SET health_status = ?, health_status_reason = ? WHERE uuid = ?",
        values![status, reason.to_string(), uuid],
    )
    .await
    .map(|_| ())
}

/// Stores health that the reconciler derived from server states.
pub(crate) async fn set_observed_health(
    tx: &mut Fenced,
    uuid: &ClusterId,
    status: &str,
    reason: &Json,
) -> Result<()> {
    set_health(tx, uuid, Some(status), reason).await
}

/// Deletes the row and all dependent rows.
pub(crate) async fn purge(tx: &mut Fenced, uuid: &ClusterId) -> Result<()> {
    for table in [
        "magnum_task",
        "magnum_node",
        "magnum_nodegroup",
        "magnum_swarm",
        "magnum_kube",
    ] {
        tx.execute(
            &format!("DELETE FROM {table} WHERE cluster_id = ?"),
            values![uuid],
        )
        .await?;
    }
    tx.execute("DELETE FROM magnum_cluster WHERE uuid = ?", values![uuid])
        .await
        .map(|_| ())
}

/// Counts clusters and nodes of a project, or of all projects.
pub(crate) async fn count(db: &Db, project: Option<&ProjectId>) -> Result<(i64, i64)> {
    let (scope, args): (&str, Vec<Value>) = match project {
        Some(p) => (" WHERE project_id = ?", values![p]),
        None => ("", vec![]),
    };
    let clusters = db
        .query(
            &format!("SELECT COUNT(*) AS n FROM magnum_cluster{scope}"),
            args.clone(),
        )
        .await?;
    // A sum of integers is a decimal on two of the three databases: added here.
    let nodes = db
        .query(
            &format!("SELECT node_count FROM magnum_nodegroup{scope}"),
            args,
        )
        .await?;
    let mut sum = 0;
    for row in &nodes {
        sum += row.int("node_count")?;
    }
    let n = clusters
        .first()
        .map(|r| r.int("n"))
        .transpose()?
        .unwrap_or(0);
    Ok((n, sum))
}
