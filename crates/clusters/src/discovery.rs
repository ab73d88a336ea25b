//! The version documents, which need no token.

use kernel::Result;
use rest::{Access, Call, Json, Route, get, head};
use schemars::JsonSchema;
use serde::Serialize;

use crate::deps::State;
use crate::links::{self, Link, Links};
use crate::versions::VERSIONS;

const PUBLIC: Access = Access::Public("clients look for the versions before they have a token");

/// The routes of the documents. HEAD is served only here.
pub(crate) fn routes() -> Vec<Route<State>> {
    vec![
        get("/", PUBLIC, "Lists the versions of the API.", root).unversioned(),
        head("/", PUBLIC, "As GET without the body.", root).unversioned(),
        get("/v1", PUBLIC, "Describes version 1 of the API.", v1),
        head("/v1", PUBLIC, "As GET without the body.", v1),
    ]
}

/// The versions of the service.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MagnumRoot")]
struct Root {
    name: &'static str,
    description: &'static str,
    versions: [Version; 1],
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MagnumVersion")]
struct Version {
    id: &'static str,
    links: [Link; 1],
    status: &'static str,
    max_version: String,
    min_version: String,
}

/// Version 1 with its collections.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MagnumV1")]
struct V1 {
    id: &'static str,
    media_types: [MediaType; 1],
    links: [Link; 2],
    clustertemplates: Links,
    clusters: Links,
    quotas: Links,
    certificates: Links,
    mservices: Links,
    stats: Links,
    federations: Links,
    nodegroups: Links,
    credentials: Links,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MagnumMediaType")]
struct MediaType {
    base: &'static str,
    #[serde(rename = "type")]
    media_type: &'static str,
}

async fn root(call: Call<State>) -> Result<Json<Root>> {
    let base = links::base(&call);
    Ok(Json(Root {
        name: "OpenStack Magnum API",
        description: "Magnum is an OpenStack project which aims to provide container cluster \
                      management.",
        versions: [Version {
            id: "v1",
            links: [Link::new(format!("{base}/v1/"), "self")],
            status: "CURRENT",
            max_version: VERSIONS.max.to_string(),
            min_version: VERSIONS.min.to_string(),
        }],
    }))
}

async fn v1(call: Call<State>) -> Result<Json<V1>> {
    let base = links::base(&call);
    let of = |path: &str| Links::new(&base, format!("{path}/"));
    Ok(Json(V1 {
        id: "v1",
        media_types: [MediaType {
            base: "application/json",
            media_type: "application/vnd.openstack.magnum.v1+json",
        }],
        links: [
            Link::new(format!("{base}/v1/"), "self"),
            Link {
                href: "http://docs.openstack.org/developer/magnum/dev/api-spec-v1.html".into(),
                rel: "describedby",
                media_type: Some("text/html"),
            },
        ],
        clustertemplates: of("clustertemplates"),
        clusters: of("clusters"),
        quotas: of("quotas"),
        certificates: of("certificates"),
        mservices: of("mservices"),
        stats: of("stats"),
        federations: of("federations"),
        nodegroups: of("clusters/{cluster_id}/nodegroups"),
        credentials: of("credentials"),
    }))
}
