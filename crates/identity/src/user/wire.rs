//! Bodies of users.

use serde_json::{Value, json};

use super::User;

/// A user as Keystone shows it, without the password.
pub(crate) fn show(u: &User, base: &str) -> Value {
    let mut body = json!({
        "id": u.id, "name": u.name, "domain_id": u.domain_id, "enabled": u.enabled,
        "description": u.description, "options": {}, "password_expires_at": null,
        "links": {"self": format!("{base}/identity/v3/users/{}", u.id)},
    });
    if let Some(project) = &u.default_project_id {
        body["default_project_id"] = project.as_str().into();
    }
    if let Some(email) = &u.email {
        body["email"] = email.as_str().into();
    }
    body
}
