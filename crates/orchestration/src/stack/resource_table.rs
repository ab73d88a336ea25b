//! SQL of the table `resource`.

use db::{Db, Dialect, Fenced, Row, Value, values};
use kernel::Result;

use super::model::{
    ResourceRow, ResourceSummary, action_of, action_word, newer, status_of, status_word,
};
use super::{Store, batches};
use crate::{ResourceId, Sealer, StackId, resource};

/// Columns in the order of [`row`]; the first is the key.
const COLUMNS: [&str; 19] = [
    "id",
    "stack_id",
    "name",
    "parent_id",
    "resource_type",
    "physical_id",
    "action",
    "status",
    "status_reason",
    "properties_sealed",
    "attributes_sealed",
    "data",
    "requires",
    "replaces",
    "doomed",
    "retain",
    "traversal",
    "started_at",
    "updated_at",
];

/// The resources of a stack, oldest first. The outer error is one of the database;
/// the inner error is returned if a row cannot be interpreted.
pub(crate) async fn load(store: &Store, stack_id: &StackId) -> Result<Result<Vec<ResourceRow>>> {
    let rows = store
        .db
        .query(
            &format!(
                "SELECT {} FROM resource WHERE stack_id = ? ORDER BY started_at, name, id",
                COLUMNS.join(", ")
            ),
            values![stack_id],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|r| read(store.sealer.as_ref(), r))
        .collect())
}

/// The resources of a stack without properties and attributes, so that no secret is
/// unsealed.
pub(super) async fn names(db: &Db, stack_id: &StackId) -> Result<Vec<ResourceSummary>> {
    let sql = format!("{NAMES} WHERE stack_id = ? ORDER BY started_at, name, id");
    let rows = db.query(&sql, values![stack_id]).await?;
    rows.iter().map(read_name).collect()
}

/// Like [`names`], for one name.
pub(super) async fn named(db: &Db, stack_id: &StackId, name: &str) -> Result<Vec<ResourceSummary>> {
    let sql = format!("{NAMES} WHERE stack_id = ? AND name = ? ORDER BY started_at, id");
    let rows = db.query(&sql, values![stack_id, name]).await?;
    rows.iter().map(read_name).collect()
}

const NAMES: &str = "SELECT id, name, parent_id, resource_type, physical_id, action, status, \
    status_reason, doomed FROM resource";

fn read_name(row: &Row) -> Result<ResourceSummary> {
    Ok(ResourceSummary {
        id: row.text("id")?.into(),
        name: row.text("name")?,
        parent: row.opt_text("parent_id")?.map(Into::into),
        resource_type: row.text("resource_type")?,
        physical_id: row.opt_text("physical_id")?,
        action: action_of(&row.text("action")?)?,
        status: status_of(&row.text("status")?)?,
        reason: row.text("status_reason")?,
        to_remove: row.flag("doomed")?,
    })
}

fn read(sealer: &dyn Sealer, row: &Row) -> Result<ResourceRow> {
    let open = |name: &str| -> Result<String> { sealer.open(&row.text(name)?) };
    let resource_type = row.text("resource_type")?;
    if resource::find(&resource_type).is_none() {
        // Processing this resource as an unknown type would leave its object behind.
        return Err(newer("resource type", &resource_type));
    }
    Ok(ResourceRow {
        id: row.text("id")?.into(),
        name: row.text("name")?,
        parent: row.opt_text("parent_id")?.map(Into::into),
        resource_type,
        physical_id: row.opt_text("physical_id")?,
        action: action_of(&row.text("action")?)?,
        status: status_of(&row.text("status")?)?,
        reason: row.text("status_reason")?,
        props: serde_json::from_str(&open("properties_sealed")?)?,
        attrs: serde_json::from_str(&open("attributes_sealed")?)?,
        data: serde_json::from_str(&row.text("data")?)?,
        requires: serde_json::from_str(&row.text("requires")?)?,
        replaces: row.opt_text("replaces")?.map(Into::into),
        to_remove: row.flag("doomed")?,
        retain: row.flag("retain")?,
        traversal: row.int("traversal")?,
        started_at: row.time("started_at")?,
        updated_at: row.time("updated_at")?,
    })
}

/// A resource as a row, with sealed secrets.
pub(crate) fn row(sealer: &dyn Sealer, stack_id: &StackId, p: &ResourceRow) -> Result<Vec<Value>> {
    Ok(values![
        &p.id,
        stack_id,
        &p.name,
        p.parent.clone(),
        &p.resource_type,
        p.physical_id.clone(),
        action_word(p.action),
        status_word(p.status),
        &p.reason,
        sealer.seal(&serde_json::to_string(&p.props)?)?,
        sealer.seal(&serde_json::to_string(&p.attrs)?)?,
        serde_json::to_string(&p.data)?,
        serde_json::to_string(&p.requires)?,
        p.replaces.clone(),
        p.to_remove,
        p.retain,
        p.traversal,
        p.started_at,
        p.updated_at
    ])
}

/// Writes new or changed resources in batches.
pub(crate) async fn upsert(tx: &mut Fenced, rows: &[Vec<Value>]) -> Result<()> {
    let dialect = tx.dialect();
    let set: Vec<String> = COLUMNS
        .iter()
        .skip(1)
        .map(|c| match dialect {
            Dialect::Mysql => format!("{c} = VALUES({c})"),
            Dialect::Sqlite | Dialect::Postgres => format!("{c} = excluded.{c}"),
        })
        .collect();
    let conflict = match dialect {
        Dialect::Mysql => "ON DUPLICATE KEY UPDATE",
        Dialect::Sqlite | Dialect::Postgres => "ON CONFLICT (id) DO UPDATE SET",
    };
    let tail = format!("{conflict} {}", set.join(", "));
    batches::insert(tx, "resource", &COLUMNS, rows, &tail).await
}

/// Removes resources by row id.
pub(crate) async fn remove(tx: &mut Fenced, ids: &[ResourceId]) -> Result<()> {
    for ids in batches::of(ids) {
        let marks = vec!["?"; ids.len()].join(", ");
        tx.execute(
            &format!("DELETE FROM resource WHERE id IN ({marks})"),
            ids.iter().map(Value::from).collect(),
        )
        .await?;
    }
    Ok(())
}
