//! Bodies of credentials of users.

use kernel::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::UserCredential;
use crate::envelope::{SelfLink, nouns};
use crate::fields::{Field, FromObject, Holds, Object, Unknown, field};
use crate::filter::{Filter, Listed};

/// A credential as Keystone shows it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct UserCredentialBody {
    id: String,
    user_id: String,
    project_id: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    blob: String,
    links: SelfLink,
    /// Attributes that Keystone does not know.
    #[serde(flatten)]
    extra: Map<String, Value>,
}

nouns! { UserCredentialBody = "credential", "credentials"; }

impl UserCredentialBody {
    /// `blob` is the unsealed one.
    pub(crate) fn new(c: UserCredential, blob: String, base: &str) -> Self {
        Self {
            links: SelfLink::new(base, &format!("/credentials/{}", c.id)),
            id: c.id,
            user_id: c.user_id.into(),
            project_id: c.project_id.map(Into::into),
            kind: c.kind,
            blob,
            extra: c.extra.0,
        }
    }
}

impl Listed for UserCredentialBody {
    fn id(&self) -> &str {
        &self.id
    }

    fn filter(&self, name: &str) -> Option<Filter<'_>> {
        match name {
            "user_id" => Some(Filter::Text(&self.user_id)),
            "type" => Some(Filter::Text(&self.kind)),
            _ => None,
        }
    }
}

/// Maximum number of characters of a blob. An administrator can list the credentials of
/// all users at once.
const BLOB: usize = 16_384;

/// The attributes of a new credential.
#[derive(Clone)]
pub(crate) struct UserCredentialFields {
    pub(crate) user_id: Option<String>,
    pub(crate) project_id: Option<String>,
    pub(crate) kind: String,
    pub(crate) blob: String,
    pub(crate) extra: Map<String, Value>,
}

impl FromObject for UserCredentialFields {
    const NOUN: &'static str = "credential";
    const FIELDS: &'static [Field] = &[
        field("blob", Holds::SecretText, BLOB),
        field("type", Holds::Name, 255),
        field("user_id", Holds::Name, 64),
        field("project_id", Holds::Nullable, 64),
    ];
    const REQUIRED: &'static [&'static str] = &["blob", "type"];
    const UNKNOWN: Unknown = Unknown::Kept;

    fn from_object(mut o: Object) -> Result<Self> {
        Ok(Self {
            user_id: o.text("user_id"),
            project_id: o.nullable("project_id").flatten(),
            kind: o.text("type").unwrap_or_default(),
            blob: o.text("blob").unwrap_or_default(),
            extra: o.extra(),
        })
    }
}

/// The change of a credential. Its owner, project and type stay, because a credential
/// that moves to another owner would give that owner's rights.
pub(crate) struct BlobChange {
    pub(crate) blob: String,
}

impl FromObject for BlobChange {
    const NOUN: &'static str = "credential";
    const FIELDS: &'static [Field] = &[field("blob", Holds::SecretText, BLOB)];
    const REQUIRED: &'static [&'static str] = &["blob"];
    const UNKNOWN: Unknown = Unknown::Refused;

    fn from_object(mut o: Object) -> Result<Self> {
        let blob = o.text("blob");
        let blob = blob.ok_or_else(|| Error::invalid("blob", "'blob' is a required property"))?;
        Ok(Self { blob })
    }
}
