//! Creating, changing and deleting services.

use db::Table as _;
use kernel::Result;

use crate::attributes::{Attributes, merge_extra};
use crate::catalog::wire::ServiceFields;
use crate::catalog::{Service, table};
use crate::endpoint_filter;
use crate::errors::missing;
use crate::ids::ServiceId;
use crate::legacy_policy;
use crate::state::State;

pub(crate) async fn get(state: &State, id: &str) -> Result<Service> {
    let found = table::service(&state.db, id).await?;
    found.ok_or_else(|| missing("service", id))
}

pub(crate) async fn create(state: &State, fields: ServiceFields) -> Result<Service> {
    let mut service = Service {
        id: ServiceId::random(),
        kind: String::new(),
        name: String::new(),
        description: None,
        enabled: true,
        extra: Attributes::default(),
    };
    apply(&mut service, fields)?;
    let stored = db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        service.insert(tx).await
    });
    state.cache.clear();
    stored?;
    Ok(service)
}

pub(crate) async fn update(state: &State, id: &str, fields: ServiceFields) -> Result<Service> {
    state.own_entries.refuse_change("update", "service", id)?;
    let stored = db::write!(state.db, |tx| {
        tx.serialize().await?;
        let found = table::read_service(tx, id).await?;
        let mut service = found.ok_or_else(|| missing("service", id))?;
        apply(&mut service, fields.clone())?;
        table::update_service(tx, &service).await?;
        Ok(service)
    });
    state.cache.clear();
    stored
}

fn apply(service: &mut Service, fields: ServiceFields) -> Result<()> {
    if let Some(kind) = fields.kind {
        service.kind = kind;
    }
    if let Some(name) = fields.name {
        service.name = name;
    }
    if let Some(text) = fields.description {
        service.description = text;
    }
    if let Some(enabled) = fields.enabled {
        service.enabled = enabled;
    }
    merge_extra(&mut service.extra.0, fields.extra)
}

/// Deletes a service with its endpoints.
pub(crate) async fn delete(state: &State, id: &str) -> Result<()> {
    state.own_entries.refuse_change("delete", "service", id)?;
    let deleted = db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        tx.serialize().await?;
        legacy_policy::table::delete_links_of_service(tx, id).await?;
        endpoint_filter::table::delete_links_to_service(tx, id).await?;
        if table::delete_service(tx, id).await? == 0 {
            return Err(missing("service", id));
        }
        Ok(())
    });
    state.cache.clear();
    deleted
}
