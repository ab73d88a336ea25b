//! Bodies of roles.

use serde_json::{Value, json};

use super::{Role, is_built_in};

/// A role as Keystone shows it.
pub(crate) fn show(r: &Role, base: &str) -> Value {
    let options = if is_built_in(&r.name) {
        json!({"immutable": true})
    } else {
        json!({})
    };
    json!({
        "id": r.id, "name": r.name, "domain_id": null, "description": r.description,
        "options": options, "links": {"self": format!("{base}/identity/v3/roles/{}", r.id)},
    })
}

/// The short form inside inferences.
pub(crate) fn short(r: &Role, base: &str) -> Value {
    json!({
        "id": r.id, "name": r.name,
        "links": {"self": format!("{base}/identity/v3/roles/{}", r.id)},
    })
}
