//! Links of objects. `base` is the service's root without a slash at its end,
//! as `http://HOST/container-infra`.

use serde_json::{Value, json};

/// `self` under the version, `bookmark` without it.
pub(crate) fn links(base: &str, path: &str) -> Value {
    json!([
        { "href": format!("{base}/v1/{path}"), "rel": "self" },
        { "href": format!("{base}/{path}"), "rel": "bookmark" },
    ])
}
