//! Bodies of requests for tokens by a signature.

use kernel::{Error, Result};
use rest::RequestBody;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::errors::unauthenticated;

/// Parameters or headers, in the order of the body.
pub(crate) type Pairs = Vec<(String, String)>;

/// A signed request, as the service that received it describes it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signed {
    pub access: String,
    pub signature: String,
    pub verb: String,
    pub host: String,
    pub path: String,
    pub params: Pairs,
    pub headers: Pairs,
    pub body_hash: String,
    /// The signed text in base64, of requests to S3.
    pub token: String,
}

/// The value of a parameter or header.
pub(super) fn value_of<'a>(pairs: &'a Pairs, name: &str) -> Option<&'a str> {
    let found = pairs.iter().find(|(n, _)| n == name);
    found.map(|(_, value)| value.as_str())
}

/// The names of the object in the body.
const NOUNS: [&str; 3] = ["credentials", "credential", "ec2Credentials"];

impl RequestBody for Signed {
    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        let text = json!({"type": "string"});
        let map = json!({"type": "object", "additionalProperties": {"type": "string"}});
        let signed = json!({"type": "object", "required": ["access", "signature"], "properties": {
            "access": text, "signature": text, "verb": text, "host": text, "path": text,
            "body_hash": text, "token": text, "params": map, "headers": map,
        }});
        let noun = |name: &str| json!({"required": [name], "properties": {name: signed}});
        let body = json!({"type": "object", "oneOf": NOUNS.map(noun)});
        Schema::try_from(body).ok()
    }

    fn read(body: Option<Value>) -> Result<Self> {
        let body = body.unwrap_or_default();
        if body.as_object().is_none_or(Map::is_empty) {
            let text = "request must include a request body";
            return Err(Error::invalid("credentials", text));
        }
        let given = NOUNS.iter().find_map(|noun| body.get(noun)?.as_object());
        let given = given.ok_or_else(|| unauthenticated("no signature"))?;
        let text = |name: &str| given.get(name).and_then(as_text).unwrap_or_default();
        let signed = Self {
            access: text("access"),
            signature: text("signature"),
            verb: text("verb"),
            host: text("host"),
            path: text("path"),
            params: pairs(given.get("params"))?,
            headers: pairs(given.get("headers"))?,
            body_hash: text("body_hash"),
            token: text("token"),
        };
        if signed.access.is_empty() || signed.signature.is_empty() {
            return Err(unauthenticated("no signature"));
        }
        Ok(signed)
    }
}

/// A text, or a number as it was signed.
fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn pairs(value: Option<&Value>) -> Result<Pairs> {
    let object = match value {
        None | Some(Value::Null) => return Ok(vec![]),
        Some(Value::Object(object)) => object,
        Some(_) => return Err(unauthenticated("parameters and headers must be objects")),
    };
    let pair = |(name, value): (&String, &Value)| {
        let text = as_text(value).map(|text| (name.clone(), text));
        text.ok_or_else(|| unauthenticated("a parameter is no text"))
    };
    object.iter().map(pair).collect()
}
