//! The version documents, by which clients discover the API.

use kernel::Result;
use rest::{Access, Choices, Json, Route, With, get};
use schemars::JsonSchema;
use serde::Serialize;

use crate::call::{Call, IdentityCall};
use crate::state::State;

const DISCOVERY: Access = Access::Public("Clients look for the version before they log in.");

pub(crate) fn routes() -> Vec<Route<State>> {
    vec![
        get("/", DISCOVERY, "List the versions of the API.", versions),
        get("/v3", DISCOVERY, "Show the version of the API.", version),
    ]
}

#[derive(Debug, Serialize, JsonSchema)]
struct VersionLink {
    rel: &'static str,
    href: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct MediaType {
    base: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct Document {
    id: &'static str,
    status: &'static str,
    updated: &'static str,
    links: Vec<VersionLink>,
    media_types: Vec<MediaType>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct VersionBody {
    version: Document,
}

#[derive(Debug, Serialize, JsonSchema)]
struct VersionValues {
    values: Vec<Document>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct VersionsBody {
    versions: VersionValues,
}

fn document(base: &str) -> Document {
    Document {
        id: "v3.14",
        status: "stable",
        updated: "2020-04-07T00:00:00Z",
        links: vec![VersionLink {
            rel: "self",
            href: format!("{base}/identity/v3/"),
        }],
        media_types: vec![MediaType {
            base: "application/json",
            kind: "application/vnd.openstack.identity-v3+json",
        }],
    }
}

async fn versions(call: Call) -> Result<With<Choices<VersionsBody>>> {
    let values = vec![document(call.base())];
    let versions = VersionValues { values };
    let at = format!("{}/identity/v3/", call.base());
    Ok(With::location(Choices(VersionsBody { versions }), at))
}

async fn version(call: Call) -> Result<Json<VersionBody>> {
    Ok(Json(VersionBody {
        version: document(call.base()),
    }))
}
