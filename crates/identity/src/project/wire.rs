//! Bodies of projects and domains.

use serde_json::{Value, json};

use super::Project;

/// A project or domain as Keystone shows it.
pub(crate) fn show(p: &Project, base: &str) -> Value {
    if p.is_domain {
        return json!({
            "id": p.id, "name": p.name, "description": p.description, "enabled": p.enabled,
            "tags": [], "options": {},
            "links": {"self": format!("{base}/identity/v3/domains/{}", p.id)},
        });
    }
    json!({
        "id": p.id, "name": p.name, "domain_id": p.domain_id, "description": p.description,
        "enabled": p.enabled, "parent_id": p.parent_id.as_deref().unwrap_or(&p.domain_id),
        "is_domain": false, "tags": [], "options": {},
        "links": {"self": format!("{base}/identity/v3/projects/{}", p.id)},
    })
}
