//! The service catalogue: regions, services and endpoints. The entries of this server are
//! rows, too, which it keeps true; their endpoints store a path, which is rendered with
//! the public endpoint or the host of the request.

pub(crate) mod http;
pub(crate) mod ops;
mod own;
mod render;
pub(crate) mod table;
mod url;
pub(crate) mod wire;

use std::collections::{BTreeMap, BTreeSet};

use kernel::ProjectId;

use crate::attributes::Attributes;
use crate::ids::{EndpointId, ServiceId};

pub use own::CatalogEntry;
pub(crate) use own::{OwnEntries, keep_own_entries};
pub(crate) use render::{Bearer, CatalogService, load, render};

/// A region as stored; its id is chosen by the user.
#[derive(Debug, Clone)]
pub(crate) struct Region {
    pub id: String,
    pub description: String,
    pub parent_region_id: Option<String>,
    pub extra: Attributes,
}

/// A service as stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Service {
    pub id: ServiceId,
    pub kind: String,
    pub name: String,
    pub description: Option<String>,
    pub enabled: bool,
    pub extra: Attributes,
}

/// An endpoint as stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Endpoint {
    pub id: EndpointId,
    pub service_id: ServiceId,
    pub region_id: Option<String>,
    /// `public`, `internal` or `admin`.
    pub interface: String,
    /// Only an endpoint of this server has a path, which starts with a slash.
    pub url: String,
    pub enabled: bool,
    pub extra: Attributes,
}

/// The ids of endpoints by the projects whose catalogues contain only these.
pub(crate) type Visible = BTreeMap<ProjectId, BTreeSet<EndpointId>>;

/// What the catalogues of tokens contain.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    /// The enabled services, each with its enabled endpoints.
    services: Vec<(Service, Vec<Endpoint>)>,
    visible: Visible,
}
