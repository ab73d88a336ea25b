//! The version documents, which need no token.

use serde_json::{Map, Value, json};

use crate::router::VERSIONS;

const COLLECTIONS: &[&str] = &[
    "clustertemplates",
    "clusters",
    "quotas",
    "certificates",
    "mservices",
    "stats",
    "federations",
    "nodegroups",
    "credentials",
];

/// The document of `/` or `/v1`; `None` for other paths.
pub(crate) fn document(segments: &[&str], base: &str) -> Option<Value> {
    match segments {
        [] => Some(root(base)),
        ["v1"] => Some(v1(base)),
        _ => None,
    }
}

fn root(base: &str) -> Value {
    json!({
        "name": "OpenStack Magnum API",
        "description": "Magnum is an OpenStack project which aims to provide container cluster management.",
        "versions": [{ "id": "v1", "links": [{ "href": format!("{base}/v1/"), "rel": "self" }],
            "status": "CURRENT", "max_version": VERSIONS.max.to_string(),
            "min_version": VERSIONS.min.to_string() }],
    })
}

fn v1(base: &str) -> Value {
    let mut map = Map::new();
    map.insert("id".into(), json!("v1"));
    map.insert(
        "media_types".into(),
        json!([{ "base": "application/json", "type": "application/vnd.openstack.magnum.v1+json" }]),
    );
    map.insert(
        "links".into(),
        json!([
            { "href": format!("{base}/v1/"), "rel": "self" },
            { "href": "http://docs.openstack.org/developer/magnum/dev/api-spec-v1.html",
              "rel": "describedby", "type": "text/html" },
        ]),
    );
    for name in COLLECTIONS {
        let path = if *name == "nodegroups" {
            "clusters/{cluster_id}/nodegroups"
        } else {
            name
        };
        map.insert(
            (*name).to_owned(),
            json!([
                { "href": format!("{base}/v1/{path}/"), "rel": "self" },
                { "href": format!("{base}/{path}/"), "rel": "bookmark" },
            ]),
        );
    }
    Value::Object(map)
}
