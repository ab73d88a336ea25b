//! SQL of `identity_endpoint_group` and `identity_project_endpoint`.

use db::{Column as _, Db, Table as _, Tx, values};
use kernel::{ProjectId, Result};

use super::{EndpointGroup, Linked};
use crate::project::Project;

db::columns! {
    EndpointGroup in "identity_endpoint_group" { id, name, description, filters as json }
}

pub(crate) async fn by_id(db: &Db, id: &str) -> Result<Option<EndpointGroup>> {
    let sql = format!("{} WHERE id = ?", EndpointGroup::select());
    let row = db.query_opt(&sql, values![id]).await?;
    row.as_ref().map(EndpointGroup::read).transpose()
}

pub(crate) async fn read(tx: &mut Tx, id: &str) -> Result<Option<EndpointGroup>> {
    let sql = format!("{} WHERE id = ?", EndpointGroup::select());
    let row = tx.query_opt(&sql, values![id]).await?;
    row.as_ref().map(EndpointGroup::read).transpose()
}

pub(crate) async fn list(db: &Db) -> Result<Vec<EndpointGroup>> {
    let sql = format!("{} ORDER BY name, id", EndpointGroup::select());
    let rows = db.query(&sql, vec![]).await?;
    rows.iter().map(EndpointGroup::read).collect()
}

pub(crate) async fn update(tx: &mut Tx, g: &EndpointGroup) -> Result<u64> {
    let filters = serde_json::to_string(&g.filters)?;
    tx.execute(
        "UPDATE identity_endpoint_group SET name = ?, description = ?, filters = ? WHERE id = ?",
        values![&g.name, g.description.clone(), filters, &g.id],
    )
    .await
}

/// Deletes a group with its associations.
pub(crate) async fn delete(tx: &mut Tx, id: &str) -> Result<u64> {
    delete_links_to(tx, Linked::Group, id).await?;
    tx.execute(
        "DELETE FROM identity_endpoint_group WHERE id = ?",
        values![id],
    )
    .await
}

const LINK: &str = "project_id = ? AND kind = ? AND linked_id = ?";

/// All associations.
pub(crate) async fn links(db: &Db) -> Result<Vec<(ProjectId, Linked, String)>> {
    let sql = "SELECT project_id, kind, linked_id FROM identity_project_endpoint";
    let rows = db.query(sql, vec![]).await?;
    rows.iter()
        .map(|r| {
            let kind = Linked::read(r, "kind")?;
            Ok((r.str("project_id")?.into(), kind, r.text("linked_id")?))
        })
        .collect()
}

/// The ids of what a project is associated with.
pub(crate) async fn linked_to(db: &Db, kind: Linked, project_id: &str) -> Result<Vec<String>> {
    let sql = "SELECT linked_id FROM identity_project_endpoint WHERE project_id = ? AND kind = ?";
    let rows = db.query(sql, values![project_id, kind.as_stored()]).await?;
    rows.iter().map(|r| r.text("linked_id")).collect()
}

pub(crate) async fn has_link(db: &Db, kind: Linked, id: &str, project_id: &str) -> Result<bool> {
    let sql = format!("SELECT project_id FROM identity_project_endpoint WHERE {LINK}");
    let row = db
        .query_opt(&sql, values![project_id, kind.as_stored(), id])
        .await?;
    Ok(row.is_some())
}

/// The projects that an endpoint or group is associated with.
pub(crate) async fn projects_of(db: &Db, kind: Linked, id: &str) -> Result<Vec<Project>> {
    let sql = format!(
        "{} WHERE id IN (SELECT project_id FROM identity_project_endpoint \
         WHERE kind = ? AND linked_id = ?) ORDER BY name, id",
        Project::select()
    );
    let rows = db.query(&sql, values![kind.as_stored(), id]).await?;
    rows.iter().map(Project::read).collect()
}

pub(crate) async fn insert_link(
    tx: &mut Tx,
    kind: Linked,
    id: &str,
    project_id: &str,
) -> Result<u64> {
    tx.execute(
        "INSERT INTO identity_project_endpoint (project_id, kind, linked_id) VALUES (?, ?, ?)",
        values![project_id, kind.as_stored(), id],
    )
    .await
}

pub(crate) async fn delete_link(
    tx: &mut Tx,
    kind: Linked,
    id: &str,
    project_id: &str,
) -> Result<u64> {
    let sql = format!("DELETE FROM identity_project_endpoint WHERE {LINK}");
    tx.execute(&sql, values![project_id, kind.as_stored(), id])
        .await
}

/// Deletes the associations of an endpoint or group.
pub(crate) async fn delete_links_to(tx: &mut Tx, kind: Linked, id: &str) -> Result<u64> {
    tx.execute(
        "DELETE FROM identity_project_endpoint WHERE kind = ? AND linked_id = ?",
        values![kind.as_stored(), id],
    )
    .await
}

/// Deletes the associations of the endpoints of a service.
pub(crate) async fn delete_links_to_service(tx: &mut Tx, service_id: &str) -> Result<u64> {
    tx.execute(
        "DELETE FROM identity_project_endpoint WHERE kind = ? AND linked_id IN \
         (SELECT id FROM identity_endpoint WHERE service_id = ?)",
        values![Linked::Endpoint.as_stored(), service_id],
    )
    .await
}

pub(crate) async fn delete_of_project(tx: &mut Tx, project_id: &str) -> Result<u64> {
    tx.execute(
        "DELETE FROM identity_project_endpoint WHERE project_id = ?",
        values![project_id],
    )
    .await
}
