//! SQL of the table `resource`.

use db::{Row, Tx, values};
use kernel::Result;

use super::Store;
use super::model::{Part, action_of, action_word, status_of, status_word};
use crate::Sealer;

/// The resources of a stack, oldest first.
pub(crate) async fn load(store: &Store, stack_id: &str) -> Result<Vec<Part>> {
    let rows = store
        .db
        .query(
            "SELECT * FROM resource WHERE stack_id = ? ORDER BY started_at, name, id",
            values![stack_id],
        )
        .await?;
    rows.iter()
        .map(|r| read(store.sealer.as_ref(), r))
        .collect()
}

fn read(sealer: &dyn Sealer, row: &Row) -> Result<Part> {
    let open = |name: &str| -> Result<String> { sealer.open(&row.text(name)?) };
    Ok(Part {
        id: row.text("id")?,
        name: row.text("name")?,
        parent: row.opt_text("parent_id")?,
        resource_type: row.text("resource_type")?,
        physical_id: row.opt_text("physical_id")?,
        action: action_of(&row.text("action")?)?,
        status: status_of(&row.text("status")?)?,
        reason: row.text("status_reason")?,
        props: serde_json::from_str(&open("properties_sealed")?)?,
        attrs: serde_json::from_str(&open("attributes_sealed")?)?,
        data: serde_json::from_str(&row.text("data")?)?,
        requires: serde_json::from_str(&row.text("requires")?)?,
        replaces: row.opt_text("replaces")?,
        doomed: row.flag("doomed")?,
        retain: row.flag("retain")?,
        traversal: row.int("traversal")?,
        started_at: row.int("started_at")?,
        updated_at: row.int("updated_at")?,
    })
}

struct Json {
    props: String,
    attrs: String,
    data: String,
    requires: String,
}

fn json(sealer: &dyn Sealer, p: &Part) -> Result<Json> {
    Ok(Json {
        props: sealer.seal(&serde_json::to_string(&p.props)?)?,
        attrs: sealer.seal(&serde_json::to_string(&p.attrs)?)?,
        data: serde_json::to_string(&p.data)?,
        requires: serde_json::to_string(&p.requires)?,
    })
}

pub(crate) async fn insert(
    tx: &mut Tx,
    sealer: &dyn Sealer,
    stack_id: &str,
    p: &Part,
) -> Result<()> {
    let j = json(sealer, p)?;
    tx.execute(
        "INSERT INTO resource (id, stack_id, name, parent_id, resource_type, physical_id, action, status, \
         status_reason, properties_sealed, attributes_sealed, data, requires, replaces, doomed, retain, \
         traversal, started_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        values![
            &p.id, stack_id, &p.name, p.parent.clone(), &p.resource_type, p.physical_id.clone(),
            action_word(p.action), status_word(p.status), &p.reason, j.props, j.attrs, j.data,
            j.requires, p.replaces.clone(), p.doomed, p.retain, p.traversal, p.started_at, p.updated_at
        ],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn update(tx: &mut Tx, sealer: &dyn Sealer, p: &Part) -> Result<()> {
    let j = json(sealer, p)?;
    tx.execute(
        "UPDATE resource SET physical_id = ?, action = ?, status = ?, status_reason = ?, \
         properties_sealed = ?, attributes_sealed = ?, data = ?, requires = ?, replaces = ?, doomed = ?, \
         retain = ?, traversal = ?, started_at = ?, updated_at = ? WHERE id = ?",
        values![
            p.physical_id.clone(), action_word(p.action), status_word(p.status), &p.reason, j.props,
            j.attrs, j.data, j.requires, p.replaces.clone(), p.doomed, p.retain, p.traversal,
            p.started_at, p.updated_at, &p.id
        ],
    )
    .await
    .map(|_| ())
}

pub(crate) async fn remove(tx: &mut Tx, id: &str) -> Result<()> {
    tx.execute("DELETE FROM resource WHERE id = ?", values![id])
        .await
        .map(|_| ())
}
