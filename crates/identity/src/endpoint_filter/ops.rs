//! Creating, changing and deleting groups of endpoints.

use db::Table as _;
use kernel::Result;

use super::wire::EndpointGroupFields;
use super::{EndpointGroup, table};
use crate::catalog;
use crate::catalog::Endpoint;
use crate::errors::missing;
use crate::ids::EndpointGroupId;
use crate::state::State;

pub(crate) async fn get(state: &State, id: &str) -> Result<EndpointGroup> {
    let found = table::by_id(&state.db, id).await?;
    found.ok_or_else(|| missing("Endpoint Group", id))
}

pub(crate) async fn create(state: &State, fields: EndpointGroupFields) -> Result<EndpointGroup> {
    let mut group = EndpointGroup {
        id: EndpointGroupId::random(),
        name: String::new(),
        description: None,
        filters: serde_json::Map::new(),
    };
    apply(&mut group, fields);
    db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        group.insert(tx).await
    })?;
    Ok(group)
}

pub(crate) async fn update(
    state: &State,
    id: &str,
    fields: EndpointGroupFields,
) -> Result<EndpointGroup> {
    let stored = db::write!(state.db, |tx| {
        tx.serialize().await?;
        let found = table::read(tx, id).await?;
        let mut group = found.ok_or_else(|| missing("Endpoint Group", id))?;
        apply(&mut group, fields.clone());
        table::update(tx, &group).await?;
        Ok(group)
    });
    state.cache.clear();
    stored
}

fn apply(group: &mut EndpointGroup, fields: EndpointGroupFields) {
    if let Some(name) = fields.name {
        group.name = name;
    }
    if let Some(text) = fields.description {
        group.description = text;
    }
    if let Some(filters) = fields.filters {
        group.filters = filters;
    }
}

/// Deletes a group with its associations.
pub(crate) async fn delete(state: &State, id: &str) -> Result<()> {
    let deleted = db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        tx.serialize().await?;
        if table::delete(tx, id).await? == 0 {
            return Err(missing("Endpoint Group", id));
        }
        Ok(())
    });
    state.cache.clear();
    deleted
}

/// The endpoints that a group includes.
pub(crate) async fn endpoints_of(state: &State, group: &EndpointGroup) -> Result<Vec<Endpoint>> {
    let mut all = catalog::table::endpoints(&state.db).await?;
    all.retain(|e| group.includes(e));
    Ok(all)
}
