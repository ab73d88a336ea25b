//! Bodies of key pairs of EC2.

use kernel::{Error, Result};
use rest::RequestBody;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Value, json};

use super::{UserCredential, blob};
use crate::envelope::{SelfLink, nouns};
use crate::errors::wrong;
use crate::filter::{Filter, Listed};

/// A key pair as Keystone shows it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Ec2Body {
    user_id: String,
    tenant_id: Option<String>,
    access: String,
    secret: Option<String>,
    trust_id: Option<String>,
    links: SelfLink,
}

nouns! { Ec2Body = "credential", "credentials"; }

impl Ec2Body {
    /// `blob` is the unsealed one.
    pub(super) fn new(c: UserCredential, blob: &str, base: &str) -> Self {
        let access = blob::member(blob, "access").unwrap_or_default();
        let path = format!("/users/{}/credentials/OS-EC2/{access}", c.user_id);
        Self {
            links: SelfLink::new(base, &path),
            user_id: c.user_id.into(),
            tenant_id: c.project_id.map(Into::into),
            access,
            secret: blob::member(blob, "secret"),
            trust_id: blob::member(blob, "trust_id"),
        }
    }
}

impl Listed for Ec2Body {
    fn id(&self) -> &str {
        &self.access
    }

    fn filter(&self, _: &str) -> Option<Filter<'_>> {
        None
    }
}

/// The body of a request for a new key pair, which has no noun.
pub(crate) struct NewPair {
    pub(super) tenant_id: String,
}

impl RequestBody for NewPair {
    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        let text = json!({"type": "string", "maxLength": 64});
        let body = json!({"type": "object", "required": ["tenant_id"],
            "properties": {"tenant_id": text}});
        Schema::try_from(body).ok()
    }

    fn read(body: Option<Value>) -> Result<Self> {
        let body = body.unwrap_or_default();
        match body.get("tenant_id") {
            Some(Value::String(id)) if id.chars().count() <= 64 => Ok(Self {
                tenant_id: id.clone(),
            }),
            Some(other) => {
                let why = "the id of a project is expected.";
                Err(wrong("tenant_id", &other.to_string(), why))
            }
            None => Err(Error::invalid(
                "tenant_id",
                "'tenant_id' is a required property",
            )),
        }
    }
}
