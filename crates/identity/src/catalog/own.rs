//! The entries of this server in the catalogue.

use db::{Db, Table as _, Tx};
use kernel::{Error, Result};

use super::{Endpoint, Region, Service, table};
use crate::attributes::Attributes;
use crate::ids::{EndpointId, ServiceId};

const REGION: &str = "RegionOne";
const INTERFACES: [&str; 3] = ["public", "internal", "admin"];

/// A service of this server.
#[derive(Debug, Clone)]
pub struct CatalogEntry {
    pub service_type: &'static str,
    pub name: &'static str,
    /// Path on this server, such as `/identity/v3`.
    pub path: &'static str,
}

impl CatalogEntry {
    #[must_use]
    pub const fn new(service_type: &'static str, name: &'static str, path: &'static str) -> Self {
        Self {
            service_type,
            name,
            path,
        }
    }
}

/// The rows of the entries of this server. Their ids are the same on all servers and
/// never change, because clients may cache them.
#[derive(Debug, Default)]
pub(crate) struct OwnEntries {
    services: Vec<Service>,
    endpoints: Vec<Endpoint>,
}

impl OwnEntries {
    pub(crate) fn new(entries: &[CatalogEntry]) -> Self {
        let mut own = Self::default();
        for entry in entries {
            let kind = entry.service_type;
            let service_id: ServiceId = stable_id(&format!("service {kind}")).into();
            own.endpoints.extend(INTERFACES.map(|interface| Endpoint {
                id: EndpointId::from(stable_id(&format!("endpoint {kind} {interface}"))),
                service_id: service_id.clone(),
                region_id: Some(REGION.to_owned()),
                interface: interface.to_owned(),
                url: entry.path.to_owned(),
                enabled: true,
                extra: Attributes::default(),
            }));
            own.services.push(Service {
                id: service_id,
                kind: kind.to_owned(),
                name: entry.name.to_owned(),
                description: Some(String::new()),
                enabled: true,
                extra: Attributes::default(),
            });
        }
        own
    }

    /// # Errors
    /// `Forbidden` for the id of a service or endpoint of this server, which would be
    /// restored at the next start.
    pub(crate) fn refuse_change(&self, verb: &str, noun: &str, id: &str) -> Result<()> {
        let is_own =
            self.services.iter().any(|s| s.id == *id) || self.endpoints.iter().any(|e| e.id == *id);
        if is_own {
            return Err(Error::forbidden(format!(
                "Unable to {verb} {noun} {id}: it belongs to this server, which keeps it up to \
                 date. Add another {noun} instead."
            )));
        }
        Ok(())
    }
}

/// 32 hex digits derived from a text.
fn stable_id(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest
        .as_ref()
        .iter()
        .take(16)
        .map(|b| format!("{b:02x}"))
        .collect()
}

/// Adds and corrects the rows of the entries of this server. Rows of services that only
/// another release has are left as they are.
///
/// # Errors
/// Same errors as [`Tx::execute`].
pub(crate) async fn keep_own_entries(db: &Db, own: &OwnEntries) -> Result<()> {
    db::write!(db, |tx| {
        // Several servers may start at the same time.
        tx.serialize().await?;
        keep_rows(tx, own).await
    })
}

async fn keep_rows(tx: &mut Tx, own: &OwnEntries) -> Result<()> {
    let regions = table::read_regions(tx).await?;
    if regions.iter().all(|r| r.id != REGION) && !own.endpoints.is_empty() {
        let region = Region {
            id: REGION.to_owned(),
            description: String::new(),
            parent_region_id: None,
            extra: Attributes::default(),
        };
        region.insert(tx).await?;
    }
    for service in &own.services {
        match table::read_service(tx, &service.id).await? {
            None => service.insert(tx).await?,
            Some(stored) if stored != *service => table::update_service(tx, service).await?,
            Some(_) => {}
        }
    }
    for endpoint in &own.endpoints {
        match table::read_endpoint(tx, &endpoint.id).await? {
            None => endpoint.insert(tx).await?,
            Some(stored) if stored != *endpoint => table::update_endpoint(tx, endpoint).await?,
            Some(_) => {}
        }
    }
    Ok(())
}
