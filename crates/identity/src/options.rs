//! Resource options: `immutable` of projects, domains and roles, and the
//! options of users.

use kernel::Result;
use serde_json::{Map, Value};

use crate::errors::wrong;

/// Which options a kind of object has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    User,
    /// A project, a domain or a role.
    Resource,
}

pub(crate) const IMMUTABLE: &str = "immutable";
pub(crate) const LOCK_PASSWORD: &str = "lock_password";

/// Options that exempt a user from rules. No such rule exists here: passwords
/// do not expire, and users are not locked out.
const EXEMPTIONS: &[&str] = &[
    "ignore_change_password_upon_first_use",
    "ignore_password_expiry",
    "ignore_lockout_failure_attempts",
    "ignore_user_inactivity",
];

/// Applies a change to stored options; null removes an option.
///
/// # Errors
/// `Invalid` for an unknown option, a wrong value, or an option that would have
/// no effect.
pub(crate) fn apply(
    kind: Kind,
    stored: &mut Map<String, Value>,
    change: Map<String, Value>,
) -> Result<()> {
    for (name, value) in change {
        if value.is_null() {
            check_name(kind, &name)?;
            stored.shift_remove(&name);
            continue;
        }
        check(kind, &name, &value)?;
        stored.insert(name, value);
    }
    Ok(())
}

/// Whether a flag among the options is set.
pub(crate) fn is_set(options: &Map<String, Value>, name: &str) -> bool {
    options.get(name) == Some(&Value::Bool(true))
}

fn check_name(kind: Kind, name: &str) -> Result<()> {
    let known = match kind {
        Kind::Resource => name == IMMUTABLE,
        Kind::User => {
            EXEMPTIONS.contains(&name)
                || [
                    LOCK_PASSWORD,
                    "multi_factor_auth_enabled",
                    "multi_factor_auth_rules",
                ]
                .contains(&name)
        }
    };
    if known {
        return Ok(());
    }
    let why = "Additional properties are not allowed: there is no such option.";
    Err(wrong("options", name, why))
}

fn check(kind: Kind, name: &str, value: &Value) -> Result<()> {
    check_name(kind, name)?;
    let field = format!("options.{name}");
    match (name, value) {
        ("multi_factor_auth_rules", Value::Array(rules)) if rules.is_empty() => Ok(()),
        ("multi_factor_auth_enabled", Value::Bool(false)) => Ok(()),
        ("multi_factor_auth_rules" | "multi_factor_auth_enabled", _) => Err(wrong(
            &field,
            &value.to_string(),
            "several factors are not supported yet, so this user would not be protected by them; leave it out.",
        )),
        (_, Value::Bool(_)) => Ok(()),
        _ => Err(wrong(
            &field,
            &value.to_string(),
            "true or false is expected.",
        )),
    }
}
