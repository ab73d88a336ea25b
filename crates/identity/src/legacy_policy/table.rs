//! SQL of `identity_policy` and `identity_policy_link`.

use db::{Column as _, Db, Row, Table as _, Tx, Value, values};
use kernel::Result;

use super::{LegacyPolicy, LinkTarget, PolicyLink};

db::columns! {
    LegacyPolicy in "identity_policy" { id, kind = "type", blob = "blob_text", extra }
}

pub(crate) async fn by_id(db: &Db, id: &str) -> Result<Option<LegacyPolicy>> {
    let sql = format!("{} WHERE id = ?", LegacyPolicy::select());
    let row = db.query_opt(&sql, values![id]).await?;
    row.as_ref().map(LegacyPolicy::read).transpose()
}

/// A policy, locked until the transaction ends.
pub(crate) async fn lock(tx: &mut Tx, id: &str) -> Result<Option<LegacyPolicy>> {
    let sql = format!("{} WHERE id = ?", LegacyPolicy::select());
    let row = tx.lock_opt(&sql, values![id]).await?;
    row.as_ref().map(LegacyPolicy::read).transpose()
}

pub(crate) async fn list(db: &Db) -> Result<Vec<LegacyPolicy>> {
    let sql = format!("{} ORDER BY id", LegacyPolicy::select());
    let rows = db.query(&sql, vec![]).await?;
    rows.iter().map(LegacyPolicy::read).collect()
}

pub(crate) async fn update(tx: &mut Tx, p: &LegacyPolicy) -> Result<u64> {
    tx.execute(
        "UPDATE identity_policy SET type = ?, blob_text = ?, extra = ? WHERE id = ?",
        values![&p.kind, &p.blob, p.extra.value()?, &p.id],
    )
    .await
}

/// Deletes a policy with its links.
pub(crate) async fn delete(tx: &mut Tx, id: &str) -> Result<u64> {
    tx.execute(
        "DELETE FROM identity_policy_link WHERE policy_id = ?",
        values![id],
    )
    .await?;
    tx.execute("DELETE FROM identity_policy WHERE id = ?", values![id])
        .await
}

const LINKS: &str =
    "SELECT policy_id, endpoint_id, service_id, region_id FROM identity_policy_link";
const TARGET: &str = "endpoint_id = ? AND service_id = ? AND region_id = ?";

fn target_values(target: &LinkTarget) -> Vec<Value> {
    values![&target.endpoint_id, &target.service_id, &target.region_id]
}

fn read_link(row: &Row) -> Result<PolicyLink> {
    Ok(PolicyLink {
        policy_id: row.str("policy_id")?.into(),
        target: LinkTarget {
            endpoint_id: row.text("endpoint_id")?,
            service_id: row.text("service_id")?,
            region_id: row.text("region_id")?,
        },
    })
}

/// The links of all policies.
pub(crate) async fn links(db: &Db) -> Result<Vec<PolicyLink>> {
    let sql = format!("{LINKS} ORDER BY policy_id, endpoint_id, service_id, region_id");
    let rows = db.query(&sql, vec![]).await?;
    rows.iter().map(read_link).collect()
}

pub(crate) async fn insert_link(tx: &mut Tx, link: &PolicyLink) -> Result<()> {
    let mut args = values![&link.policy_id];
    args.extend(target_values(&link.target));
    tx.execute(
        "INSERT INTO identity_policy_link (policy_id, endpoint_id, service_id, region_id) \
         VALUES (?, ?, ?, ?)",
        args,
    )
    .await
    .map(|_| ())
}

/// Removes the policy of a target, whichever it is.
pub(crate) async fn delete_link_of_target(tx: &mut Tx, target: &LinkTarget) -> Result<u64> {
    let sql = format!("DELETE FROM identity_policy_link WHERE {TARGET}");
    tx.execute(&sql, target_values(target)).await
}

pub(crate) async fn delete_link(tx: &mut Tx, link: &PolicyLink) -> Result<u64> {
    let sql = format!("DELETE FROM identity_policy_link WHERE policy_id = ? AND {TARGET}");
    let mut args = values![&link.policy_id];
    args.extend(target_values(&link.target));
    tx.execute(&sql, args).await
}

pub(crate) async fn delete_links_of_endpoint(tx: &mut Tx, id: &str) -> Result<u64> {
    tx.execute(
        "DELETE FROM identity_policy_link WHERE endpoint_id = ?",
        values![id],
    )
    .await
}

/// Deletes the links of a service and of its endpoints.
pub(crate) async fn delete_links_of_service(tx: &mut Tx, id: &str) -> Result<u64> {
    tx.execute(
        "DELETE FROM identity_policy_link WHERE service_id = ? OR endpoint_id IN \
         (SELECT id FROM identity_endpoint WHERE service_id = ?)",
        values![id, id],
    )
    .await
}

pub(crate) async fn delete_links_of_region(tx: &mut Tx, id: &str) -> Result<u64> {
    tx.execute(
        "DELETE FROM identity_policy_link WHERE region_id = ?",
        values![id],
    )
    .await
}
