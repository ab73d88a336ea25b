//! Bodies of users.

use kernel::Result;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::User;
use crate::envelope::{SelfLink, nouns};
use crate::fields::{Field, FromObject, Holds, LONG, Object, Unknown, field};
use crate::filter::{Filter, Listed};

/// A user as Keystone shows it, without the password.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct UserBody {
    id: String,
    name: String,
    domain_id: String,
    enabled: bool,
    description: String,
    options: Map<String, Value>,
    /// Passwords do not expire.
    password_expires_at: Option<String>,
    links: SelfLink,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_project_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    /// Attributes that Keystone does not know.
    #[serde(flatten)]
    extra: Map<String, Value>,
}

nouns! { UserBody = "user", "users"; }

impl UserBody {
    pub(crate) fn new(user: User, base: &str) -> Self {
        Self {
            links: SelfLink::new(base, &format!("/users/{}", user.id)),
            id: user.id.into(),
            name: user.name,
            domain_id: user.domain_id.into(),
            enabled: user.enabled,
            description: user.description,
            options: user.options.0,
            password_expires_at: None,
            default_project_id: user.default_project_id.map(Into::into),
            email: user.email,
            extra: user.extra.0,
        }
    }
}

impl Listed for UserBody {
    fn id(&self) -> &str {
        &self.id
    }

    fn filter(&self, name: &str) -> Option<Filter<'_>> {
        match name {
            "name" => Some(Filter::Text(&self.name)),
            "domain_id" => Some(Filter::Text(&self.domain_id)),
            "enabled" => Some(Filter::Flag(self.enabled)),
            // No user is of another identity provider, and no password expires.
            "idp_id" | "unique_id" | "protocol_id" | "password_expires_at" => Some(Filter::Nothing),
            _ => None,
        }
    }
}

/// The attributes of a user that a request sets; absent ones stay.
#[derive(Debug, Clone)]
pub(crate) struct UserFields {
    pub(crate) name: Option<String>,
    pub(crate) domain_id: Option<String>,
    pub(crate) enabled: Option<bool>,
    pub(crate) email: Option<Option<String>>,
    pub(crate) description: Option<Option<String>>,
    pub(crate) default_project_id: Option<Option<String>>,
    pub(crate) password: Option<Option<String>>,
    pub(crate) options: Option<Map<String, Value>>,
    pub(crate) extra: Map<String, Value>,
}

const MAX_PASSWORD: usize = 4096;

impl FromObject for UserFields {
    const NOUN: &'static str = "user";
    const FIELDS: &'static [Field] = &[
        field("name", Holds::Name, 255),
        field("domain_id", Holds::Text, 64),
        field("enabled", Holds::Flag, 0),
        field("email", Holds::Nullable, 255),
        field("description", Holds::Nullable, LONG),
        field("default_project_id", Holds::Nullable, 64),
        field("password", Holds::Secret, MAX_PASSWORD),
        field("options", Holds::Options, 0),
        field("federated", Holds::NoItems, 0),
        // A client that sets a time must not rely on it.
        field("password_expires_at", Holds::Null, 0),
    ];
    const REQUIRED: &'static [&'static str] = &["name"];
    const UNKNOWN: Unknown = Unknown::Kept;

    fn from_object(mut o: Object) -> Result<Self> {
        // They have no other values.
        o.value("federated");
        o.value("password_expires_at");
        Ok(Self {
            name: o.text("name"),
            domain_id: o.text("domain_id"),
            enabled: o.flag("enabled"),
            email: o.nullable("email"),
            description: o.nullable("description"),
            default_project_id: o.nullable("default_project_id"),
            password: o.nullable("password"),
            options: o.map("options"),
            extra: o.extra(),
        })
    }
}

/// A user's own change of the password.
pub(crate) struct PasswordChange {
    pub(crate) original: String,
    pub(crate) password: String,
}

impl FromObject for PasswordChange {
    const NOUN: &'static str = "user";
    const FIELDS: &'static [Field] = &[
        field("original_password", Holds::SecretText, MAX_PASSWORD),
        field("password", Holds::SecretText, MAX_PASSWORD),
    ];
    const REQUIRED: &'static [&'static str] = &["original_password", "password"];
    const UNKNOWN: Unknown = Unknown::Refused;

    fn from_object(mut o: Object) -> Result<Self> {
        let mut need = |name: &'static str| {
            o.text(name)
                .ok_or_else(|| crate::errors::wrong(name, "***", "text is expected."))
        };
        Ok(Self {
            original: need("original_password")?,
            password: need("password")?,
        })
    }
}
