//! Bodies of the configuration of a domain.

use axum::response::Response;
use kernel::{Error, Result};
use rest::{Answer, Created, Json, RequestBody};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Value, json};

use super::Config;

/// Options by their groups, without the sensitive ones.
#[derive(Serialize, JsonSchema)]
pub(crate) struct DomainConfigBody {
    pub(crate) config: Config,
}

/// The options that a request sets.
pub(crate) struct GivenConfig(pub(crate) Config);

impl RequestBody for GivenConfig {
    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        let body = json!({"type": "object", "properties": {"config": {"type": "object"}}});
        Schema::try_from(body).ok()
    }

    fn read(body: Option<Value>) -> Result<Self> {
        match body {
            None => Ok(Self(Config::new())),
            Some(Value::Object(mut body)) => match body.remove("config") {
                None => Ok(Self(Config::new())),
                Some(Value::Object(config)) => Ok(Self(config)),
                Some(_) => Err(Error::invalid("config", "'config' must be an object.")),
            },
            Some(_) => Err(Error::invalid("config", "The body must be an object.")),
        }
    }
}

/// The answer of PUT: 201, or 200 if the domain had options.
pub(crate) enum Stored {
    New(DomainConfigBody),
    Replaced(DomainConfigBody),
}

impl Answer for Stored {
    const STATUS: u16 = 201;
    const OTHER_STATUS: Option<u16> = Some(200);

    fn schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Created::<DomainConfigBody>::schema(generator)
    }

    fn write(self) -> Result<Response> {
        match self {
            Self::New(body) => Created(body).write(),
            Self::Replaced(body) => Json(body).write(),
        }
    }
}
