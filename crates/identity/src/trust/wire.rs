//! Bodies of trusts.

use kernel::{Result, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Trust;
use crate::envelope::{ListLinks, SelfLink, nouns};
use crate::errors::wrong;
use crate::fields::{Field, FromObject, Holds, Object, Unknown, field};
use crate::filter::{Filter, Listed};
use crate::role::Role;
use crate::role::wire::RoleBody;

/// A trust as Keystone shows it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct TrustBody {
    id: String,
    trustor_user_id: String,
    trustee_user_id: String,
    project_id: Option<String>,
    impersonation: bool,
    expires_at: Option<String>,
    remaining_uses: Option<i64>,
    /// A deleted trust is not shown.
    deleted_at: Option<String>,
    redelegated_trust_id: Option<String>,
    redelegation_count: i64,
    links: SelfLink,
    /// Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<Vec<RoleBody>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    roles_links: Option<ListLinks>,
    /// Attributes that Keystone does not know.
    #[serde(flatten)]
    extra: Map<String, Value>,
}

nouns! { TrustBody = "trust", "trusts"; }

impl TrustBody {
    /// The form in lists.
    pub(crate) fn new(t: Trust, base: &str) -> Self {
        Self {
            links: SelfLink::new(base, &format!("/OS-TRUST/trusts/{}", t.id)),
            id: t.id.into(),
            trustor_user_id: t.trustor_user_id.into(),
            trustee_user_id: t.trustee_user_id.into(),
            project_id: t.project_id.map(Into::into),
            impersonation: t.impersonation,
            expires_at: t.expires_at.map(Timestamp::iso_micros_z),
            remaining_uses: t.remaining_uses,
            deleted_at: None,
            redelegated_trust_id: t.redelegated_trust_id.map(Into::into),
            redelegation_count: t.redelegation_count,
            roles: None,
            roles_links: None,
            extra: t.extra.0,
        }
    }

    /// `all`: the roles among which those of the trust are looked up.
    pub(crate) fn with_roles(t: Trust, all: Vec<Role>, base: &str) -> Self {
        let roles = role_bodies(&t, all, base);
        let own = format!("{base}/identity/v3/OS-TRUST/trusts/{}/roles", t.id);
        Self {
            roles: Some(roles),
            roles_links: Some(ListLinks {
                next: None,
                own,
                previous: None,
            }),
            ..Self::new(t, base)
        }
    }
}

/// The roles of a trust, apart from those that were deleted.
pub(crate) fn role_bodies(t: &Trust, all: Vec<Role>, base: &str) -> Vec<RoleBody> {
    let of_trust = all.into_iter().filter(|r| t.roles.contains(&r.id));
    of_trust.map(|r| RoleBody::new(r, base)).collect()
}

impl Listed for TrustBody {
    fn id(&self) -> &str {
        &self.id
    }

    fn filter(&self, name: &str) -> Option<Filter<'_>> {
        match name {
            "trustor_user_id" => Some(Filter::Text(&self.trustor_user_id)),
            "trustee_user_id" => Some(Filter::Text(&self.trustee_user_id)),
            _ => None,
        }
    }
}

/// A role that a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NamedRole {
    Id(String),
    Name(String),
}

/// The attributes of a new trust.
#[derive(Debug, Clone)]
pub(crate) struct TrustFields {
    pub(crate) trustor_user_id: String,
    pub(crate) trustee_user_id: String,
    pub(crate) project_id: Option<String>,
    pub(crate) impersonation: bool,
    pub(crate) roles: Vec<NamedRole>,
    pub(crate) expires_at: Option<String>,
    pub(crate) remaining_uses: Option<i64>,
    pub(crate) allow_redelegation: bool,
    pub(crate) redelegation_count: Option<i64>,
    pub(crate) redelegated_trust_id: Option<String>,
    pub(crate) extra: Map<String, Value>,
}

impl FromObject for TrustFields {
    const NOUN: &'static str = "trust";
    const FIELDS: &'static [Field] = &[
        field("trustor_user_id", Holds::Text, 64),
        field("trustee_user_id", Holds::Text, 64),
        field("project_id", Holds::Nullable, 64),
        field("impersonation", Holds::Flag, 0),
        field("roles", Holds::Any, 0),
        field("expires_at", Holds::Nullable, 64),
        field("remaining_uses", Holds::Any, 0),
        field("allow_redelegation", Holds::Any, 0),
        field("redelegation_count", Holds::Any, 0),
        field("redelegated_trust_id", Holds::Nullable, 64),
    ];
    const REQUIRED: &'static [&'static str] =
        &["trustor_user_id", "trustee_user_id", "impersonation"];
    const UNKNOWN: Unknown = Unknown::Kept;

    fn from_object(mut o: Object) -> Result<Self> {
        // The server decides them.
        o.value("deleted_at");
        o.value("roles_links");
        // Keystone takes an empty text as no project.
        let project_id = o.nullable("project_id").flatten();
        Ok(Self {
            trustor_user_id: o.text("trustor_user_id").unwrap_or_default(),
            trustee_user_id: o.text("trustee_user_id").unwrap_or_default(),
            project_id: project_id.filter(|id| !id.is_empty()),
            impersonation: o.flag("impersonation").unwrap_or_default(),
            roles: roles(o.value("roles"))?,
            expires_at: o.nullable("expires_at").flatten(),
            remaining_uses: count(&mut o, "remaining_uses", 1)?,
            allow_redelegation: flag(o.value("allow_redelegation"))?,
            redelegation_count: count(&mut o, "redelegation_count", 0)?,
            redelegated_trust_id: o.nullable("redelegated_trust_id").flatten(),
            extra: o.extra(),
        })
    }
}

fn roles(value: Option<Value>) -> Result<Vec<NamedRole>> {
    let items = match value {
        None => return Ok(vec![]),
        Some(Value::Array(items)) => items,
        Some(other) => {
            let why = "a list of {\"id\"} or {\"name\"} is expected.";
            return Err(wrong("roles", &other.to_string(), why));
        }
    };
    let mut named = Vec::new();
    for item in items {
        let only = item.as_object().filter(|o| o.len() == 1);
        let only = only.and_then(|o| o.iter().next());
        named.push(
            match only.map(|(key, value)| (key.as_str(), value.as_str())) {
                Some(("id", Some(id))) => NamedRole::Id(id.to_owned()),
                Some(("name", Some(name))) => NamedRole::Name(name.to_owned()),
                _ => {
                    let why = "either {\"id\"} or {\"name\"} is expected.";
                    return Err(wrong("roles", &item.to_string(), why));
                }
            },
        );
    }
    Ok(named)
}

fn count(o: &mut Object, name: &str, least: i64) -> Result<Option<i64>> {
    let value = o.value(name).unwrap_or_default();
    if value.is_null() {
        return Ok(None);
    }
    let number = value.as_i64();
    let number = number.filter(|n| (least..=i64::from(i32::MAX)).contains(n));
    let why = format!(
        "a whole number from {least} to {}, or null, is expected.",
        i32::MAX
    );
    number
        .map(Some)
        .ok_or_else(|| wrong(name, &value.to_string(), &why))
}

fn flag(value: Option<Value>) -> Result<bool> {
    match value {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(set)) => Ok(set),
        Some(other) => {
            let why = "true, false or null is expected.";
            Err(wrong("allow_redelegation", &other.to_string(), why))
        }
    }
}
