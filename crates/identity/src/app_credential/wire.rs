//! Bodies of application credentials.

use kernel::{Result, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::AppCredential;
use crate::access_rule::wire::{AskedRule, RuleOfCredential, asked_rules};
use crate::envelope::{SelfLink, nouns};
use crate::fields::{Field, FromObject, Holds, LONG, Object, Unknown, field};
use crate::filter::{Filter, Listed};
use crate::role::Role;

#[derive(Debug, Serialize, JsonSchema)]
struct CredentialRole {
    id: String,
    name: String,
    domain_id: Option<String>,
}

/// An application credential as Keystone shows it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CredentialBody {
    id: String,
    name: String,
    description: Option<String>,
    project_id: String,
    user_id: String,
    system: Option<String>,
    roles: Vec<CredentialRole>,
    unrestricted: bool,
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_rules: Option<Vec<RuleOfCredential>>,
    links: SelfLink,
    /// Shown once, by the answer to the creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<String>,
}

nouns! { CredentialBody = "application_credential", "application_credentials"; }

impl CredentialBody {
    /// `all`: the roles among which those of the credential are looked up.
    pub(crate) fn new(c: AppCredential, all: &[Role], base: &str) -> Self {
        let roles = all.iter().filter(|r| c.roles.contains(&r.id));
        let path = format!("/users/{}/application_credentials/{}", c.user_id, c.id);
        let expires = c.expires_at.map(Timestamp::iso_micros_z);
        Self {
            links: SelfLink::new(base, &path),
            roles: roles
                .map(|r| CredentialRole {
                    id: r.id.clone().into(),
                    name: r.name.clone(),
                    domain_id: None,
                })
                .collect(),
            id: c.id.into(),
            name: c.name,
            description: c.description,
            project_id: c.project_id.into(),
            user_id: c.user_id.into(),
            system: None,
            unrestricted: c.unrestricted,
            access_rules: c.access_rules.0.map(|rules| RuleOfCredential::list(&rules)),
            expires_at: expires.map(|t| t.trim_end_matches('Z').to_owned()),
            secret: None,
        }
    }
}

impl Listed for CredentialBody {
    fn id(&self) -> &str {
        &self.id
    }

    fn filter(&self, name: &str) -> Option<Filter<'_>> {
        (name == "name").then_some(Filter::Text(&self.name))
    }
}

/// The attributes of a new application credential.
#[derive(Debug)]
pub(crate) struct CredentialFields {
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) secret: Option<String>,
    pub(crate) expires_at: Option<String>,
    pub(crate) roles: Option<Value>,
    pub(crate) unrestricted: Option<bool>,
    pub(crate) access_rules: Vec<AskedRule>,
    pub(crate) project_id: Option<String>,
}

impl FromObject for CredentialFields {
    const NOUN: &'static str = "application_credential";
    const FIELDS: &'static [Field] = &[
        field("name", Holds::Name, 255),
        field("description", Holds::Nullable, LONG),
        field("secret", Holds::Secret, 4096),
        field("expires_at", Holds::Nullable, 64),
        field("roles", Holds::Any, 0),
        field("unrestricted", Holds::Flag, 0),
        field("access_rules", Holds::Any, 0),
        field("project_id", Holds::Nullable, 64),
    ];
    const REQUIRED: &'static [&'static str] = &["name"];
    const UNKNOWN: Unknown = Unknown::Refused;

    fn from_object(mut o: Object) -> Result<Self> {
        Ok(Self {
            name: o.text("name"),
            description: o.nullable("description").flatten(),
            secret: o.nullable("secret").flatten(),
            expires_at: o.nullable("expires_at").flatten(),
            roles: o.value("roles"),
            unrestricted: o.flag("unrestricted"),
            access_rules: asked_rules(o.value("access_rules"))?,
            project_id: o.nullable("project_id").flatten(),
        })
    }
}
