//! Creating, changing and deleting endpoints.

use db::{Table as _, Tx};
use kernel::{Error, Result};

use crate::attributes::{Attributes, merge_extra};
use crate::catalog::wire::EndpointFields;
use crate::catalog::{Endpoint, Region, table, url};
use crate::endpoint_filter::{self, Linked};
use crate::errors::missing;
use crate::ids::{EndpointId, ServiceId};
use crate::legacy_policy;
use crate::state::State;

pub(crate) async fn get(state: &State, id: &str) -> Result<Endpoint> {
    let found = table::endpoint(&state.db, id).await?;
    found.ok_or_else(|| missing("endpoint", id))
}

pub(crate) async fn create(state: &State, fields: EndpointFields) -> Result<Endpoint> {
    let mut endpoint = Endpoint {
        id: EndpointId::random(),
        service_id: ServiceId::default(),
        region_id: None,
        interface: String::new(),
        url: String::new(),
        enabled: true,
        extra: Attributes::default(),
    };
    let legacy = apply(&mut endpoint, fields)?;
    let stored = db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        tx.serialize().await?;
        check_parts(tx, &endpoint, legacy).await?;
        endpoint.insert(tx).await
    });
    state.cache.clear();
    stored?;
    Ok(endpoint)
}

pub(crate) async fn update(state: &State, id: &str, fields: EndpointFields) -> Result<Endpoint> {
    state.own_entries.refuse_change("update", "endpoint", id)?;
    let stored = db::write!(state.db, |tx| {
        tx.serialize().await?;
        let found = table::read_endpoint(tx, id).await?;
        let mut endpoint = found.ok_or_else(|| missing("endpoint", id))?;
        let legacy = apply(&mut endpoint, fields.clone())?;
        check_parts(tx, &endpoint, legacy).await?;
        table::update_endpoint(tx, &endpoint).await?;
        Ok(endpoint)
    });
    state.cache.clear();
    stored
}

/// Applies a change; returns whether the region is given by the attribute of version 2,
/// by which it is also created.
fn apply(endpoint: &mut Endpoint, fields: EndpointFields) -> Result<bool> {
    if let Some(id) = fields.service_id {
        endpoint.service_id = id.into();
    }
    if let Some(interface) = fields.interface {
        endpoint.interface = interface;
    }
    if let Some(given) = fields.url {
        url::check(&given)?;
        endpoint.url = given;
    }
    if let Some(enabled) = fields.enabled {
        endpoint.enabled = enabled;
    }
    let region_id = fields.region_id.clone().flatten();
    let legacy = fields.region.flatten().filter(|_| region_id.is_none());
    let is_legacy = legacy.is_some();
    if is_legacy {
        endpoint.region_id = legacy;
    } else if fields.region_id.is_some() {
        endpoint.region_id = region_id;
    }
    merge_extra(&mut endpoint.extra.0, fields.extra)?;
    Ok(is_legacy)
}

/// The service and the region exist.
async fn check_parts(tx: &mut Tx, endpoint: &Endpoint, create_region: bool) -> Result<()> {
    if table::read_service(tx, &endpoint.service_id)
        .await?
        .is_none()
    {
        return Err(not_in("service_id", "service"));
    }
    let Some(region_id) = &endpoint.region_id else {
        return Ok(());
    };
    let regions = table::read_regions(tx).await?;
    if regions.iter().any(|r| r.id == *region_id) {
        return Ok(());
    }
    if !create_region {
        return Err(not_in("region_id", "region"));
    }
    let region = Region {
        id: region_id.clone(),
        description: String::new(),
        parent_region_id: None,
        extra: Attributes::default(),
    };
    region.insert(tx).await
}

fn not_in(field: &str, noun: &str) -> Error {
    let text = format!(
        "Expecting to find endpoint {field} in {noun} table. The server could not comply with \
         the request since it is either malformed or otherwise incorrect. The client is assumed \
         to be in error."
    );
    Error::invalid(field, text)
}

pub(crate) async fn delete(state: &State, id: &str) -> Result<()> {
    state.own_entries.refuse_change("delete", "endpoint", id)?;
    let deleted = db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        tx.serialize().await?;
        legacy_policy::table::delete_links_of_endpoint(tx, id).await?;
        endpoint_filter::table::delete_links_to(tx, Linked::Endpoint, id).await?;
        if table::delete_endpoint(tx, id).await? == 0 {
            return Err(missing("endpoint", id));
        }
        Ok(())
    });
    state.cache.clear();
    deleted
}
